"""Trains and evaluates a Mask R-CNN for a step; run by run_script.py.

    meta_arch_job.py PIPELINE CHECKPOINT_DIR OUTPUT.npz

Writes under `ORDER/KIND/NAME` what the model gives on one image: losses, detections
and what the evaluator makes of them. ORDER is that of TF2's evaluation (loss, then
postprocess), of the Estimator's (the other way round), or `training`.
"""

import sys

import numpy as np
import tensorflow as tf
from object_detection import eval_util
from object_detection.builders import model_builder
from object_detection.core import standard_fields as fields
from object_detection.utils import config_util

_CLASSES = np.array([[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]], np.float32)


def _true_boxes(model, image):
  """Two boxes that the model detects, as masks count for matching boxes only."""
  images, true_shapes = model.preprocess(image)
  detections = model.postprocess(model.predict(images, true_shapes), true_shapes)
  boxes = detections['detection_boxes'][0].numpy()
  areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
  return boxes[np.argsort(areas)[-2:]]


def _masks(boxes, size):
  masks = np.zeros([len(boxes), size, size], np.float32)
  for mask, box in zip(masks, (boxes * size).astype(int)):
    mask[box[0]:box[2], box[1]:(box[1] + box[3]) // 2] = 1
  return masks


def _run(model, image, boxes, order):
  """Losses, detections and the evaluator's dict, as tensors by name."""
  images, true_shapes = model.preprocess(image)
  masks = _masks(boxes, images.shape[1])
  model.provide_groundtruth(
      [tf.constant(boxes)], [tf.constant(_CLASSES)],
      groundtruth_masks_list=[tf.constant(masks)],
      groundtruth_weights_list=[tf.ones([2])])
  predictions = model.predict(images, true_shapes)
  if order == 'training':
    return {f'losses/{key}': value
            for key, value in model.loss(predictions, true_shapes).items()}
  if order == 'estimator':
    detections = model.postprocess(predictions, true_shapes)
  losses = model.loss(predictions, true_shapes)
  if order == 'tf2':
    detections = model.postprocess(predictions, true_shapes)
  evaluated = eval_util.result_dict_for_batched_example(
      tf.cast(images, tf.uint8), tf.constant(['image']), detections,
      {fields.InputDataFields.groundtruth_boxes: tf.constant(boxes[None]),
       fields.InputDataFields.groundtruth_classes: tf.constant([[2, 4]]),
       fields.InputDataFields.groundtruth_instance_masks: tf.constant(masks[None])},
      scale_to_absolute=True, max_gt_boxes=tf.constant([2]))
  return {f'{kind}/{key}': value for kind, found in (
      ('losses', losses), ('detections', detections), ('evaluated', evaluated))
          for key, value in found.items()}


def _model(pipeline, checkpoint, is_training):
  config = config_util.get_configs_from_pipeline_file(pipeline)['model']
  model = model_builder.build(config, is_training=is_training)
  restored = tf.train.Checkpoint(model=model)
  # Read when the variables are made.
  restored.restore(tf.train.latest_checkpoint(checkpoint)).expect_partial()
  return model


def main(pipeline, checkpoint, output):
  results = {}
  image = tf.constant(
      np.random.default_rng(0).uniform(0, 255, [1, 96, 128, 3]), tf.float32)
  boxes = _true_boxes(_model(pipeline, checkpoint, is_training=False), image)
  for order in ('tf2', 'estimator', 'training'):
    # The samples of training are random.
    tf.keras.utils.set_random_seed(1)
    model = _model(pipeline, checkpoint, is_training=order == 'training')
    found = _run(model, image, boxes, order)
    results.update({f'{order}/{key}': value.numpy()
                    for key, value in found.items()
                    if value.dtype != tf.string})
  np.savez(output, **results)


if __name__ == '__main__':
  main(*sys.argv[1:])
