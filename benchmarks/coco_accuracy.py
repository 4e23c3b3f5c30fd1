"""pycocotools' evaluation of responses on generated shapes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pycocotools import mask as mask_lib
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from examples.train_shapes import shapes
from exporter.errors import UserError
from exporter.serving import masks as masks_lib


@dataclasses.dataclass(frozen=True)
class Accuracy:
  """Mean average precision, from 0 to 1; None for masks where there are none.

  Attributes:
    box: the mean over IoUs from 0.5 to 0.95.
    box_50: at the IoU 0.5.
    mask: as `box`, of masks.
    mask_50: as `box_50`, of masks.
  """
  box: float
  box_50: float
  mask: float | None = None
  mask_50: float | None = None


def evaluate(drawn: Sequence[shapes.Shapes],
             responses: Sequence[Mapping[str, np.ndarray]]) -> Accuracy:
  """How well responses find what was drawn.

  Args:
    drawn: the images.
    responses: of each, without the batch dimension: num_detections and, at least
      that long, detection_boxes, detection_classes (from 1), detection_scores and,
      cut to their boxes, detection_masks.

  Raises:
    UserError: nothing is drawn, or a detection is of a class that no shape has.
  """
  if not any(image.classes for image in drawn):
    raise UserError('Nothing is drawn on any image, so that there is no mAP.')
  with_masks = 'detection_masks' in responses[0]
  entries = [entry for i, (image, response) in enumerate(zip(drawn, responses), 1)
             for entry in _found(i, image, response, with_masks)]
  # pycocotools takes no list without entries.
  if not entries:
    return Accuracy(0.0, 0.0, *([0.0, 0.0] if with_masks else []))
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = _dataset(drawn)
    truth.createIndex()
    found = truth.loadRes(entries)
    kinds = ('bbox', 'segm') if with_masks else ('bbox',)
    return Accuracy(*(
        value for kind in kinds for value in _precisions(truth, found, kind)))


def _precisions(truth: COCO, found: COCO, kind: str) -> tuple[float, float]:
  evaluation = COCOeval(truth, found, kind)
  evaluation.evaluate()
  evaluation.accumulate()
  evaluation.summarize()
  return float(evaluation.stats[0]), float(evaluation.stats[1])


def _dataset(drawn: Sequence[shapes.Shapes]) -> dict:
  annotations = []
  for image_id, image in enumerate(drawn, 1):
    for box, mask, kind in zip(image.boxes, image.masks, image.classes):
      annotations.append({
          'id': len(annotations) + 1, 'image_id': image_id, 'category_id': kind + 1,
          'bbox': _corner_and_size(box, image), 'area': int(mask.sum()),
          'segmentation': _run_lengths(mask), 'iscrowd': 0})
  return {
      'images': [{'id': i, 'height': image.image.shape[0],
                  'width': image.image.shape[1]} for i, image in enumerate(drawn, 1)],
      'categories': [{'id': i, 'name': n} for i, n in enumerate(shapes.CLASSES, 1)],
      'annotations': annotations}


def _found(image_id: int, image: shapes.Shapes, response, with_masks) -> Iterator[dict]:
  count = int(response['num_detections'])
  masks = (masks_lib.full_image_masks(response, *image.image.shape[:2])
           if with_masks else None)
  for i in range(count):
    kind = int(response['detection_classes'][i])
    # pycocotools would leave it out without a word.
    if not 1 <= kind <= len(shapes.CLASSES):
      raise UserError(
          f'A detection has the class {kind}, and shapes have those from 1 to'
          f' {len(shapes.CLASSES)}; the model was trained on something else.')
    entry = {'image_id': image_id, 'category_id': kind,
             'bbox': _corner_and_size(response['detection_boxes'][i], image),
             'score': float(response['detection_scores'][i])}
    if masks is not None:
      entry['segmentation'] = _run_lengths(masks[i])
    yield entry


def _corner_and_size(box, image: shapes.Shapes) -> list[float]:
  """COCO's x, y, width, height in pixels."""
  height, width = image.image.shape[:2]
  top, left, bottom, right = (
      np.asarray(box, np.float64) * [height, width, height, width])
  return [left, top, right - left, bottom - top]


def _run_lengths(mask) -> dict:
  return mask_lib.encode(np.asfortranarray(mask, np.uint8))
