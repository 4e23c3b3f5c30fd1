"""The mAP of responses, and what is swept."""

import numpy as np
import pytest

from benchmarks import accuracy, coco_accuracy
from examples.train_shapes import shapes

_DRAWN = [shapes.draw(seed) for seed in range(6)]


def _perfect(image):
  """A response that finds what was drawn, masks cut to their boxes."""
  size = len(image.image)
  cut = [mask[round(top * size):round(bottom * size), round(left * size):round(right * size)]
         for mask, (top, left, bottom, right) in zip(image.masks, image.boxes)]
  # The nearest pixel of each of 96 cells.
  masks = [mask[np.ix_(*(np.arange(96) * n // 96 for n in mask.shape))] for mask in cut]
  return {'num_detections': np.float32(len(cut)), 'detection_boxes': image.boxes,
          'detection_classes': np.array(image.classes, np.float32) + 1,
          'detection_scores': np.linspace(0.9, 0.5, len(cut), dtype=np.float32),
          'detection_masks': np.array(masks, np.float32)}


def test_what_was_drawn_is_found():
  found = coco_accuracy.evaluate(_DRAWN, [_perfect(image) for image in _DRAWN])
  assert found.box == pytest.approx(1) and found.box_50 == pytest.approx(1)
  assert found.mask > 0.9 and found.mask_50 == pytest.approx(1)


def test_what_is_not_found_or_has_the_wrong_class_costs():
  responses = [_perfect(image) for image in _DRAWN]
  for response in responses:
    response['num_detections'] = np.float32(1)
  fewer = coco_accuracy.evaluate(_DRAWN, responses)
  for response in responses:
    response['detection_classes'] = response['detection_classes'] % 3 + 1
  wrong = coco_accuracy.evaluate(_DRAWN, responses)
  assert 1 > fewer.box_50 > 0 == wrong.box_50 == wrong.mask_50


def test_nothing_found():
  responses = [{**_perfect(image), 'num_detections': np.float32(0)} for image in _DRAWN]
  assert coco_accuracy.evaluate(_DRAWN, responses) == coco_accuracy.Accuracy(0, 0, 0, 0)
  for response in responses:
    del response['detection_masks']
  assert coco_accuracy.evaluate(_DRAWN, responses) == coco_accuracy.Accuracy(0, 0)


def test_profiles_that_can_be_scored():
  boxes = ['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections',
           'raw_detection_boxes']
  assert accuracy.fitting_profiles(boxes) == {
      'boxes': sorted(boxes[:4]), 'without_intermediate': sorted(boxes[:4])}
  with_masks = accuracy.fitting_profiles([*boxes, 'detection_masks'])
  assert sorted(with_masks) == [
      'boxes', 'boxes_and_masks', 'compact_mask_rcnn', 'without_intermediate']


def test_bytes_are_those_of_the_response():
  response = {key: np.asarray(value)[np.newaxis] for key, value in _perfect(_DRAWN[0]).items()}
  row = accuracy.measure('all', _DRAWN[:1], [response])
  assert row.grpc_bytes > sum(value.nbytes for value in response.values())
  halves = {**response, 'detection_masks': response['detection_masks'].astype(np.float16)}
  smaller = accuracy.measure('half', _DRAWN[:1], [halves])
  assert smaller.rest_bytes is None and smaller.grpc_bytes < row.grpc_bytes
