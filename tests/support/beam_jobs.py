"""What the tests of Apache Beam run in processes that have imported both exporters."""

from __future__ import annotations

import datetime
import glob
import importlib
import io

import numpy as np


def export_both(config_path: str, checkpoint: str, folder: str):
  """Exports that take tf.Examples: stock's, ours for embeddings, stock's slimmed."""
  from exporter import exporter_lib_v2 as ours
  from exporter import slimming
  from exporter.detection import output_profile, pipeline_config
  from object_detection import exporter_lib_v2 as stock
  config = pipeline_config.read(config_path)
  selection = {name: output_profile.load(name).selection
               for name in ('context_embedding', 'context_detection')}
  stock.export_inference_graph('tf_example', config, checkpoint, f'{folder}/stock')
  ours.export_inference_graph(
      'tf_example', config, checkpoint, f'{folder}/context_embedding',
      output_selection=selection['context_embedding'])
  slimming.slim_saved_model(
      f'{folder}/stock', f'{folder}/context_detection/saved_model',
      selection['context_detection'])


def write_examples(path: str, count: int):
  """tf.Examples as camera traps give them: an image, its class, when it was taken."""
  from PIL import Image
  import tensorflow as tf
  rng = np.random.default_rng(0)

  def feature(value):
    if isinstance(value, int):
      return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

  with tf.io.TFRecordWriter(path) as writer:
    for i in range(count):
      stream = io.BytesIO()
      Image.fromarray(rng.integers(256, size=(60, 80, 3), dtype=np.uint8)).save(
          stream, 'JPEG')
      taken = datetime.datetime(2020, 1, 1 + i).strftime('%Y-%m-%d %H:%M:%S')
      writer.write(tf.train.Example(features=tf.train.Features(feature={
          name: feature(value) for name, value in {
              'image/encoded': stream.getvalue(), 'image/format': b'jpeg',
              'image/height': 60, 'image/width': 80, 'image/source_id': b'%d' % i,
              'image/object/class/label': 2, 'image/object/class/text': b'deer',
              'image/date_captured': taken.encode()}.items()})).SerializeToString())


def run_upstream(name: str, examples: str, saved_model_dir: str, output: str,
                 options: list):
  """Runs the pipeline of `dataset_tools/context_rcnn/NAME.py` on the DirectRunner.

  Returns:
    The tf.Examples that it wrote, as text, in the order of their ids.
  """
  import apache_beam as beam
  import tensorflow as tf
  module = importlib.import_module(
      f'object_detection.dataset_tools.context_rcnn.{name}')
  with beam.Pipeline() as pipeline:
    module.construct_pipeline(pipeline, examples, output, saved_model_dir, *options)
  records = tf.data.TFRecordDataset(sorted(glob.glob(f'{output}*')))
  found = [tf.train.Example.FromString(record.numpy()) for record in records]
  return [str(example) for example in sorted(
      found, key=lambda e: e.features.feature['image/source_id'].bytes_list.value[0])]


def run_example(saved_model_dir: str, images: str, output: str):
  """Runs `examples/beam_detection.py`."""
  from examples import beam_detection
  beam_detection.run(saved_model_dir, images, output)
