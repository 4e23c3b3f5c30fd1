"""What the tests of `exporter/batch/` run in processes that have imported TensorFlow."""

from __future__ import annotations

import pickle
import re
import sys

from exporter.batch.detector import Detector
from exporter.errors import UserError


def detect(saved_model_dir: str, images_path: str, columns_path: str,
           batch_size: int = 1, outputs: list[str] | None = None):
  """Runs a Detector on a pickled list of images; pickles the columns.

  Returns:
    The sizes of the calls that it made.
  """
  with open(images_path, 'rb') as f:
    images = pickle.load(f)
  detector = Detector(saved_model_dir, outputs, batch_size=batch_size)
  call, sizes = detector.call, []

  def counted(images):
    sizes.append(len(images))
    return call(images)

  detector.call = counted
  columns = detector.detect(images)
  with open(columns_path, 'wb') as f:
    pickle.dump(columns, f)
  return sizes


def mistake(saved_model_dir: str, outputs: list[str] | None = None,
            signature_name: str = 'serving_default'):
  """What a Detector says of what it refuses."""
  try:
    Detector(saved_model_dir, outputs, signature_name)
  except UserError as e:
    return str(e)


def write_models(folder: str):
  """Models of input shapes that no small pipeline has."""
  import tensorflow as tf

  def save(name, shape, dtype, with_batch=True):
    @tf.function(input_signature=[tf.TensorSpec(shape, dtype, 'input_tensor')])
    def predict(images):
      images = images if with_batch else images[tf.newaxis]
      brightness = tf.reduce_mean(tf.cast(images, tf.float32), [1, 2, 3])
      with tf.control_dependencies([tf.debugging.assert_less(brightness, 250.0)]):
        return {'detection_scores': brightness[:, tf.newaxis],
                'anchors': tf.zeros([2, 4])}

    module = tf.Module()
    module.predict = predict
    tf.saved_model.save(module, f'{folder}/{name}',
                        signatures={'serving_default': predict})

  save('batch_of_3', [3, None, None, 3], tf.uint8)
  save('any_batch', [None, None, None, 3], tf.uint8)
  save('fixed_size', [1, 8, 6, 3], tf.float32)
  save('one_image', [None, None, 3], tf.uint8, with_batch=False)
  save('gray', [1, None, None, 1], tf.uint8)


def write_detector(folder: str, rounds: int = 0):
  """A model whose outputs for an image are known: see `test_detect_images.py`.

  Args:
    folder: for the SavedModel.
    rounds: of a computation that keeps a processor busy, about 1 ms each.
  """
  import tensorflow as tf

  @tf.function(input_signature=[
      tf.TensorSpec([1, None, None, 3], tf.uint8, 'input_tensor')])
  def predict(images):
    busy = tf.while_loop(
        lambda i, x: i < rounds, lambda i, x: (i + 1, x @ x),
        [0, tf.eye(256)])[1]
    share = tf.reduce_mean(tf.cast(images, tf.float32)) / 255 * busy[0, 0]
    cells = tf.reshape(tf.range(25, dtype=tf.float32) / 24, [1, 1, 5, 5])
    return {
        'detection_boxes': tf.constant(
            [[[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.5, 0.5], [0.1, 0.1, 0.2, 0.2],
              [0.0, 0.0, 0.0, 0.0]]]),
        'detection_scores': tf.stack([[1.0, 0.5, share / 2, 0.0]]),
        'detection_classes': tf.constant([[3.0, 1.0, 2.0, 1.0]]),
        'detection_masks': tf.tile(cells, [1, 4, 1, 1]),
        'detection_classes_as_text': tf.constant([['cat', 'Köder', '', '']]),
        'detection_multiclass_scores': tf.ones([1, 4, 2]),
        'num_detections': tf.constant([3.0]),
        'anchors': tf.ones([7, 4])}

  module = tf.Module()
  module.predict = predict
  tf.saved_model.save(module, folder, signatures={'serving_default': predict})


def detect_images(*args: str):
  """Runs the command line; returns the largest memory of its process, in bytes."""
  from exporter import detect_images as command
  with open('/proc/self/clear_refs', 'w') as f:
    f.write('5')  # The peak from here on, not of what this was forked from.
  sys.argv = ['detect_images', *args]
  try:
    command.run()
  except SystemExit as e:
    if e.code:
      raise
  with open('/proc/self/status') as f:
    return int(re.search(r'VmHWM:\s+(\d+) kB', f.read())[1]) * 1024


def decode_examples(pattern: str):
  """What upstream's decoder reads of tf.Examples, as lists."""
  import glob
  import tensorflow as tf
  from object_detection.data_decoders import tf_example_decoder
  from object_detection.protos import input_reader_pb2
  decoder = tf_example_decoder.TfExampleDecoder(
      load_instance_masks=True, instance_mask_type=input_reader_pb2.PNG_MASKS)
  files = sorted(glob.glob(pattern))
  wanted = ('groundtruth_boxes', 'groundtruth_classes', 'groundtruth_instance_masks')
  decoded = [decoder.decode(record) for record in tf.data.TFRecordDataset(files)]
  return [{'image': list(tensors['image'].shape),
           'filename': tensors['filename'].numpy().decode(),
           **{key: tensors[key].numpy().tolist() for key in wanted}}
          for tensors in decoded]
