"""A model that only AutoGraph can trace, exported by stock and by us."""

import os

import numpy as np

from exporter import exporter_lib_v2 as ours
from exporter.output_keys import OutputSelection
from object_detection import exporter_lib_v2 as stock
from object_detection.protos import pipeline_pb2
import tensorflow as tf


class _Model(tf.Module):
  """Detects the brightest corner; its code branches and loops on tensors."""

  def __init__(self):
    super().__init__()
    self.weights_made = False

  def preprocess(self, images):
    return images / 255.0, tf.shape(images)[1:][tf.newaxis]

  def predict(self, images, true_shapes, **side_inputs):
    del true_shapes, side_inputs
    if not self.weights_made:  # As a Keras layer, on its first call.
      self.scale = tf.Variable([1.0, 2.0, 3.0])
      self.unused = tf.Variable(tf.ones([50, 50]))
      self.weights_made = True
    return {'means': tf.reduce_mean(images, [1, 2]) * self.scale,
            'waste': tf.matmul(self.unused, self.unused)[tf.newaxis]}

  def postprocess(self, predictions, true_shapes):
    del true_shapes
    means = predictions['means']
    if tf.reduce_max(means) > 1.0:  # A tensor: Python alone cannot branch on it.
      scores = means / tf.reduce_max(means)
    else:
      scores = means
    count = tf.constant(0.0)
    for score in scores[0]:
      if score > 0.5:
        count += 1.0
    return {'detection_boxes': tf.tile([[[0.0, 0.0, 1.0, 1.0]]], [1, 3, 1]),
            'detection_scores': scores,
            'detection_classes': tf.argsort(scores),
            'num_detections': count[tf.newaxis],
            'waste': predictions['waste']}


def export(folder: str):
  """Exports to `stock` and `selected`; writes an image to `inputs.npz`."""
  for exporter in (stock, ours):
    exporter.INPUT_BUILDER_UTIL_MAP['model_build'] = (
        lambda config, is_training: _Model())
  model = _Model()
  model.predict(tf.zeros([1, 4, 4, 3]), None)
  model.scale.assign([4.0, 5.0, 6.0])
  training = os.path.join(folder, 'training')
  tf.train.CheckpointManager(
      tf.train.Checkpoint(model=model), training, max_to_keep=1).save(0)
  config = pipeline_pb2.TrainEvalPipelineConfig()
  stock.export_inference_graph(
      'image_tensor', config, training, os.path.join(folder, 'stock'))
  ours.export_inference_graph(
      'image_tensor', config, training, os.path.join(folder, 'selected'),
      output_selection=OutputSelection.parse('detection_scores,*classes,num*'))
  np.savez(os.path.join(folder, 'inputs.npz'), input_tensor=(
      np.random.default_rng(0).integers(256, size=(1, 8, 8, 3), dtype=np.uint8)))
