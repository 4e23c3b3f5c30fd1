"""Makes of a model's outputs for an image the row that is written."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from exporter.batch.detector import Detected
from exporter.errors import UserError
from exporter.saved_model.signature import Signature, shape_text
from exporter.serving import masks
from exporter.serving.detections import BOXES, CLASSES, COUNT, MASKS, SCORES

_NAMES = 'detection_classes_as_text'
# Outputs whose rows are cut with the detections begin so.
_PER_DETECTION = 'detection_'
MASK_FORMS = ('rle', 'box', 'none')

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RowOptions:
  """What a row holds beside `path`, `height`, `width` and `error`.

  Attributes:
    normalized: whether boxes go from 0 to 1; they are in pixels otherwise.
    min_score: detections with a lower score are left out; None keeps all.
    max_detections: how many of the best are kept; None keeps all.
    masks: 'rle', of the pasted mask; 'box', as the export gives it; or 'none'.
    mask_threshold: the probability from which a pixel is in a mask.
    columns: keys of further outputs, each a column of its name.
    class_names: (class, name) pairs; None where the export's own are taken, if it has them.
  """
  normalized: bool = False
  min_score: float | None = None
  max_detections: int | None = None
  masks: str = 'rle'
  mask_threshold: float = 0.5
  columns: tuple[str, ...] = ()
  class_names: tuple[tuple[int, str], ...] | None = None

  def outputs(self, signature: Signature) -> list[str]:
    """Keys of the outputs of `signature` that a row is made of.

    Raises:
      UserError: there are none, one lacks what goes with it, or boxes have a shape
        that is none of a batch of detections.
    """
    wanted = [BOXES, SCORES, CLASSES, COUNT, _NAMES, *self.columns]
    if self.masks != 'none':
      wanted.append(MASKS)
    keys = [key for key in dict.fromkeys(wanted) if key in signature.outputs]
    self._check(signature, keys)
    return keys

  def has(self, column: str, signature: Signature) -> bool:
    """Whether rows have a column that not all models can fill."""
    outputs = signature.outputs
    return {
        'boxes': BOXES in outputs, 'scores': SCORES in outputs,
        'classes': CLASSES in outputs,
        'class_names': _NAMES in outputs or (
            self.class_names is not None and CLASSES in outputs),
        'masks': MASKS in outputs and self.masks != 'none'}[column]

  def _check(self, signature: Signature, keys: list[str]) -> None:
    outputs = signature.outputs
    if not keys:
      raise UserError(
          f'The signature {signature.name!r} has none of the outputs that are written,'
          f' {BOXES}, {SCORES}, {CLASSES} and so on; it has {", ".join(outputs)}.')
    if MASKS in keys and BOXES not in keys and self.masks == 'rle':
      raise UserError(f'The export has {MASKS} and no {BOXES}, which are needed to'
                      ' paste them; give --masks=box or --masks=none.')
    if self.min_score is not None and SCORES not in outputs:
      raise UserError(f'--min_score needs {SCORES}, and the export has only'
                      f' {", ".join(outputs)}.')
    shape = outputs[BOXES].shape if BOXES in keys else None
    if shape is not None and (len(shape) != 3 or shape[2] not in (4, None)):
      raise UserError(f'{BOXES} has the shape {shape_text(shape)}, and a batch of boxes'
                      ' is [batch, detections, 4].')


def make_row(path: str, detected: Detected, options: RowOptions) -> Row:
  """The row of an image; columns that the outputs do not fill are missing.

  Columns are 'boxes' float32 [n, 4], 'scores' float32 [n], 'classes' int32 [n],
  'class_names' n strings, 'masks' n codes or float32 [n, rows, columns].
  """
  row = {'path': path, 'height': detected.height, 'width': detected.width,
         'error': detected.error}
  if detected.error is not None:
    return row
  outputs = detected.outputs
  kept = _kept(outputs, options)
  if SCORES in outputs:
    row['scores'] = outputs[SCORES][kept]
  if CLASSES in outputs:
    row['classes'] = outputs[CLASSES][kept].astype(np.int32)
  if options.class_names is not None and CLASSES in outputs:
    names = dict(options.class_names)
    row['class_names'] = [names.get(int(c), '') for c in row['classes']]
  elif _NAMES in outputs:
    row['class_names'] = [name.decode('utf-8', 'replace')
                          for name in outputs[_NAMES][kept]]
  if MASKS in outputs and options.masks != 'none':
    row['masks'] = _masks(outputs, kept, detected, options)
  if BOXES in outputs:
    scale = (1, 1) if options.normalized else (detected.height, detected.width)
    row['boxes'] = outputs[BOXES][kept] * np.tile(np.float32(scale), 2)
  for key in options.columns:
    value = outputs[key]
    row[key] = value[kept] if _has_row_each(key, value, outputs) else value
  return row


def _kept(outputs, options: RowOptions) -> np.ndarray:
  """Indices of the detections that count, in their order."""
  most = next((len(outputs[key]) for key in (SCORES, BOXES, CLASSES, MASKS)
               if key in outputs), 0)
  count = int(outputs[COUNT]) if COUNT in outputs else most
  kept = np.arange(min(count, most))
  if options.min_score is not None:
    kept = kept[outputs[SCORES][kept] >= options.min_score]
  return kept[:options.max_detections]


def _has_row_each(key: str, value: np.ndarray, outputs) -> bool:
  return key.startswith(_PER_DETECTION) and value.ndim > 0 and any(
      len(outputs[other]) == len(value)
      for other in (SCORES, BOXES, CLASSES) if other in outputs)


def _masks(outputs, kept: np.ndarray, detected: Detected, options: RowOptions):
  found = outputs[MASKS][kept]
  if options.masks == 'box':
    return found
  return [_run_lengths(mask, box, detected, options.mask_threshold)
          for mask, box in zip(masks.as_probabilities(found), outputs[BOXES][kept])]


def _run_lengths(mask: np.ndarray, box: np.ndarray, image: Detected,
                 threshold: float) -> dict:
  """COCO's code of a mask that is pasted into an empty image."""
  from pycocotools import mask as coco_mask
  # Column after column, as the code counts.
  image_mask = np.zeros([image.height, image.width], np.uint8, order='F')
  masks.paste_mask(image_mask, mask, box, threshold)
  code = coco_mask.encode(image_mask)
  return {'size': list(map(int, code['size'])), 'counts': code['counts'].decode()}
