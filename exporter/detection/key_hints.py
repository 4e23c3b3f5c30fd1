"""Why a key that was asked for is no output of this model: who else has it.

    >>> because('detection_masks', [])
    ' Models that have it: Mask R-CNN, CenterNet with a mask head, DeepMAC.'
    >>> because('anchors', ['anchors', 'box_encodings'])
    " 'anchors' is a tensor of the model's predict, which its postprocess does not return."
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.output_keys import OutputKeyError, OutputSelection, UnknownKeyError

_BOTH = 'SSD, Faster R-CNN, Mask R-CNN'
_KEYPOINTS = 'CenterNet with a keypoint head'

# From what upstream's meta-architectures return, read in their postprocess.
MODELS_WITH = {
    'detection_masks': 'Mask R-CNN, CenterNet with a mask head, DeepMAC',
    'detection_keypoints': f'{_KEYPOINTS}, SSD with a keypoint box coder',
    'detection_keypoint_scores': _KEYPOINTS,
    'detection_keypoint_depths': 'CenterNet with a keypoint head that predicts depth',
    'detection_surface_coords': 'CenterNet with a DensePose head',
    'detection_embeddings': 'CenterNet with a tracking head',
    'detection_temporal_offsets': 'CenterNet with a temporal offset head',
    'detection_features': 'Faster R-CNN with output_final_box_features',
    'cropped_rpn_box_features': 'Faster R-CNN with output_final_box_rpn_features',
    'detection_classes_as_text': 'any with classes, exported with --label_map_path',
    'detection_anchor_indices': _BOTH,
    'raw_detection_boxes': _BOTH,
    'raw_detection_scores': _BOTH,
    **dict.fromkeys((
        'anchors', 'box_classifier_features', 'class_predictions_with_background',
        'final_anchors', 'image_shape', 'mask_predictions', 'num_proposals',
        'proposal_boxes', 'proposal_boxes_normalized', 'refined_box_encodings',
        'rpn_box_encodings', 'rpn_objectness_predictions_with_background'),
        'Mask R-CNN'),
}


def select(selection: OutputSelection, detections: Iterable[str],
           predictions: Iterable[str]) -> list[str]:
  """The keys of `detections` that stay; an unknown one is told with its reason.

  Args:
    selection: what was asked for.
    detections: keys of what `postprocess` returned.
    predictions: keys of what `predict` returned.

  Raises:
    OutputKeyError: as `OutputSelection.select`.
  """
  try:
    return selection.select(detections)
  except UnknownKeyError as e:
    raise OutputKeyError(f'{e}{because(e.pattern, predictions)}') from e


def because(pattern: str, predictions: Iterable[str]) -> str:
  """A sentence on what `pattern` means elsewhere, with a blank before it; or `''`."""
  inner = _meant(pattern, sorted(predictions))
  if inner:
    return (f' {inner[0]!r} is a tensor of the model\'s predict, which its postprocess'
            ' does not return.')
  known = _meant(pattern, MODELS_WITH)
  if not known:
    return ''
  what = 'it' if known == [pattern] else repr(known[0])
  return f' Models that have {what}: {MODELS_WITH[known[0]]}.'


def _meant(pattern: str, keys: Iterable[str]) -> list[str]:
  try:
    return OutputSelection((pattern,)).select(keys)
  except OutputKeyError:
    return []
