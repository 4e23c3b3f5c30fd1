"""The mAP of responses, and what is swept."""

import pathlib

import numpy as np
import pytest

from benchmarks import accuracy, coco_accuracy
from examples.train_shapes import shapes
from exporter.detection.compact_options import CompactOptions
from exporter.errors import UserError

_DRAWN = [shapes.draw(seed) for seed in range(6)]
_NOTHING = shapes.Shapes(_DRAWN[0].image, np.zeros([0, 96, 96], bool), ())
_SHAPES = pathlib.Path(shapes.__file__).parent


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


def test_what_lies_on_an_image_without_shapes_is_wrong():
  surer = _perfect(_DRAWN[0])
  surer['detection_scores'] = surer['detection_scores'] + np.float32(0.1)
  found = coco_accuracy.evaluate([_DRAWN[0], _NOTHING], [_perfect(_DRAWN[0]), surer])
  assert 0 < found.box < 1 and 0 < found.mask_50 < 1


def test_classes_that_are_not_drawn_do_not_count():
  image = _DRAWN[0]
  assert len(set(image.classes)) < len(shapes.CLASSES)
  assert coco_accuracy.evaluate([image], [_perfect(image)]).box == pytest.approx(1)


def test_no_map_where_nothing_is_drawn_or_other_classes_are_found():
  for drawn in ([], [_NOTHING]):
    with pytest.raises(UserError, match='Nothing is drawn'):
      coco_accuracy.evaluate(drawn, [_perfect(_DRAWN[0])] * len(drawn))
  for kind in (0, 4):
    response = _perfect(_DRAWN[0])
    response['detection_classes'][-1] = kind
    with pytest.raises(UserError, match=f'has the class {kind}, and .* from 1 to 3'):
      coco_accuracy.evaluate(_DRAWN[:1], [response])


@pytest.mark.slow
def test_a_cut_that_leaves_nothing(tf):
  del tf
  response = {key: np.asarray(value)[np.newaxis] for key, value in _perfect(_DRAWN[0]).items()}
  cut = accuracy.compacted(response, list(response), CompactOptions(min_score=1.0))
  assert cut['detection_boxes'].shape == (1, 0, 4)
  row = accuracy.measure('none', _DRAWN[:1], [cut])
  assert row.accuracy == coco_accuracy.Accuracy(0, 0, 0, 0)


def test_profiles_that_can_be_scored():
  boxes = ['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections',
           'raw_detection_boxes']
  assert accuracy.fitting_profiles(boxes) == {
      'boxes': sorted(boxes[:4]), 'without_intermediate': sorted(boxes[:4])}
  with_masks = accuracy.fitting_profiles([*boxes, 'detection_masks'])
  assert sorted(with_masks) == [
      'boxes', 'boxes_and_masks', 'compact_mask_rcnn', 'without_intermediate']


@pytest.mark.slow
@pytest.mark.parametrize('pipeline, trained, plot, said', [
    ('missing/pipeline.config', 'trained_ssd', None, 'missing/pipeline.config cannot be read'),
    ('ssd.config', '.', None, 'no checkpoint'),
    ('ssd.config', 'trained_ssd', 'missing/a.png', 'missing is not a folder'),
    ('ssd.config', 'trained_ssd', 'a.jpg', 'a.jpg is to be a PNG')])
def test_what_cannot_work_is_told_at_once(tf, pipeline, trained, plot, said):
  del tf
  with pytest.raises(UserError, match=said):
    accuracy.check(str(_SHAPES / pipeline), str(_SHAPES / trained), plot)


def test_bytes_are_those_of_the_response():
  response = {key: np.asarray(value)[np.newaxis] for key, value in _perfect(_DRAWN[0]).items()}
  row = accuracy.measure('all', _DRAWN[:1], [response])
  assert row.grpc_bytes > sum(value.nbytes for value in response.values())
  halves = {**response, 'detection_masks': response['detection_masks'].astype(np.float16)}
  smaller = accuracy.measure('half', _DRAWN[:1], [halves])
  assert smaller.rest_bytes is None and smaller.grpc_bytes < row.grpc_bytes
