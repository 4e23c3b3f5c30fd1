"""What the tests of examples/train_shapes run beside object_detection."""

from __future__ import annotations

import os

from exporter.detection import environment

environment.prepare()

# pylint: disable=g-import-not-at-top,g-bad-import-order
import numpy as np
import tensorflow as tf
from object_detection.data_decoders import tf_example_decoder

from examples.train_shapes import records


def decode(seeds: list[int], folder: str) -> None:
  """Writes what upstream's decoder reads of the last of some generated images."""
  records.write_label_map(os.path.join(folder, 'label_map.pbtxt'))
  path = os.path.join(folder, 'shapes.tfrecord')
  records.write_records(path, seeds)
  decoder = tf_example_decoder.TfExampleDecoder(
      load_instance_masks=True, instance_mask_type=2,
      label_map_proto_file=os.path.join(folder, 'label_map.pbtxt'))
  for record in tf.data.TFRecordDataset(path):
    decoded = decoder.decode(record)
  np.savez(os.path.join(folder, 'decoded.npz'),
           **{key: decoded[key].numpy() for key in (
               'image', 'groundtruth_boxes', 'groundtruth_classes',
               'groundtruth_instance_masks')})


def evaluate_shipped(folder: str, images: int) -> float:
  """The box mAP@0.5 of a lean export of the checkpoint in the repository."""
  from benchmarks import accuracy, coco_accuracy
  from examples import train_shapes
  from examples.train_shapes import shapes
  from exporter import exporter_lib_v2
  from exporter.detection import output_profile, pipeline_config
  here = os.path.dirname(train_shapes.__file__)
  exporter_lib_v2.export_inference_graph(
      'image_tensor', pipeline_config.read(os.path.join(here, 'ssd.config'), ''),
      os.path.join(here, 'trained_ssd'), folder,
      output_selection=output_profile.load('boxes').selection)
  drawn = [shapes.draw(seed) for seed in range(2 * 10**6, 2 * 10**6 + images)]
  return coco_accuracy.evaluate(drawn, [
      {key: value[0] for key, value in outputs.items()}
      for outputs in accuracy.run(folder, drawn)]).box_50


def fine_tune(model: str, checkpoint: str, folder: str, steps: int) -> str:
  """Trains on from a checkpoint as upstream does; the path of the pipeline config."""
  from examples.train_shapes import __main__ as training
  from exporter.detection import pipeline_config
  from object_detection import model_lib_v2
  from object_detection.protos import train_pb2
  from object_detection.utils import config_util
  path, _ = training.write_pipeline(model, folder, steps, 8, 20)
  config = pipeline_config.read(path, '')
  config.train_config.fine_tune_checkpoint = checkpoint
  config.train_config.fine_tune_checkpoint_type = 'full'
  config.train_config.fine_tune_checkpoint_version = train_pb2.CheckpointVersion.V2
  config.train_config.batch_size = 1  # Upstream traces each image of a batch by itself.
  config_util.save_pipeline_config(config, folder)
  # model_main_tf2 calls this with a hundred steps at a time.
  model_lib_v2.train_loop(path, folder, checkpoint_every_n=steps, num_steps_per_iteration=1)
  return path


def changed_variables(exported: str, folder: str) -> dict[str, list[str]]:
  """Which weights differ from an export's, before the first step and after the last."""
  weights = tf.train.load_checkpoint(exported)
  names = [name for name in weights.get_variable_to_shape_map()
           if name.startswith('model/') and '.ATTRIBUTES/VARIABLE_VALUE' in name]
  assert names

  def differing(checkpoint: str) -> list[str]:
    others = tf.train.load_checkpoint(checkpoint)
    return [name for name in names if not np.array_equal(
        weights.get_tensor(name), others.get_tensor(name))]

  return {'at_the_start': differing(os.path.join(folder, 'ckpt-1')),
          'after': differing(tf.train.latest_checkpoint(folder))}


def evaluate(pipeline: str, folder: str) -> dict[str, float]:
  """What upstream's evaluation finds of the newest checkpoint."""
  from examples.train_shapes import __main__ as training
  from object_detection import model_lib_v2
  model_lib_v2.eval_continuously(
      pipeline, model_dir=folder, checkpoint_dir=folder, wait_interval=1, timeout=1)
  return training._metrics(folder)
