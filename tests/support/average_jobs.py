"""Trains with upstream's moving averages; runs where both exporters are imported."""

from __future__ import annotations

import numpy as np

import families
from exporter import exporter_lib_v2 as ours  # First: it prepares the environment.
from exporter.detection import pipeline_config
from exporter.output_keys import OutputSelection
from object_detection.builders import optimizer_builder

import tensorflow as tf

_IMAGE = (np.arange(96 * 96 * 3) % 251).astype(np.uint8).reshape(1, 96, 96, 3)


def train(family_name: str, start: str, target: str):
  """Takes two steps from the checkpoint `start`; writes `target/ckpt-1`.

  Beside it, in `weights.npz`, each weight's value and, if it is trained, its average;
  and what upstream's model detects with the averages, as evaluation puts them in.
  """
  config, model = _built(family_name)
  tf.train.Checkpoint(model=model).restore(
      tf.train.latest_checkpoint(start)).expect_partial()
  optimizer = _optimizer(config)
  optimizer.shadow_copy(model)
  trained = model.trainable_variables
  for step in range(2):
    optimizer.apply_gradients(
        [(tf.sin(v) * 1e-3 * (step + 1), v) for v in trained])
  tf.train.Checkpoint(model=model, optimizer=optimizer, step=tf.Variable(2)).save(
      f'{target}/ckpt')
  weights = {f'weight/{i}': v.numpy() for i, v in enumerate(model.variables)}
  number = {v.ref(): i for i, v in enumerate(model.variables)}
  averages = {f'average/{number[v.ref()]}': optimizer.get_slot(v, 'average').numpy()
              for v in trained}
  with tf.distribute.OneDeviceStrategy('cpu').scope():
    optimizer.swap_weights()
  detections = _detect(model)
  np.savez(f'{target}/weights.npz', image=_IMAGE, **weights, **averages, **{
      f'output/{key}': value.numpy() for key, value in detections.items()})


def export(family_name: str, checkpoint: str, target: str, averages: bool,
           evaluates_averages: bool = False):
  """Exports `detection_boxes` and `detection_scores`."""
  config = pipeline_config.read(families.by_name(family_name).pipeline)
  config.eval_config.use_moving_averages = evaluates_averages
  ours.export_inference_graph(
      'image_tensor', config, checkpoint, target, use_moving_averages=averages,
      output_selection=OutputSelection.parse('detection_boxes,detection_scores'))


def weights(family_name: str, export_dir: str, path: str):
  """Writes the weights in the `checkpoint/` of an export, as `train` does."""
  _, model = _built(family_name)
  tf.train.Checkpoint(model=model).restore(
      f'{export_dir}/checkpoint/ckpt-0').assert_existing_objects_matched()
  np.savez(path, **{f'weight/{i}': v.numpy() for i, v in enumerate(model.variables)})


def _built(family_name: str):
  config = pipeline_config.read(families.by_name(family_name).pipeline)
  model = ours.build_model(config)
  _detect(model)  # Makes the variables.
  return config, model


def _detect(model):
  images, shapes = model.preprocess(tf.constant(_IMAGE, tf.float32))
  return model.postprocess(model.predict(images, shapes), shapes)


def _optimizer(config):
  wanted = config.train_config.optimizer
  wanted.momentum_optimizer.SetInParent()
  wanted.use_moving_average = True
  wanted.moving_average_decay = 0.5
  optimizer, _ = optimizer_builder.build(wanted)
  return optimizer
