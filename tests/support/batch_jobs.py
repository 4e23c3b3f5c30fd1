"""What the tests of `exporter/batch/` run in processes that have imported TensorFlow."""

from __future__ import annotations

import pickle

import numpy as np

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
