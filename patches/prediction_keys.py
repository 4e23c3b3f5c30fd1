"""Which keys of a Mask R-CNN's prediction dict may go, and which are needed.

`FasterRCNNMetaArch.postprocess` hands the whole prediction dict on as detections
when the model has three stages. After that

* the evaluator and the exporter read the keys of `EVALUATOR_KEYS`;
* `loss` reads its keys from the prediction dict. Upstream's own loops give it the
  dict that `predict` returned, but the two used to be one object, and a caller may
  have only the one that `postprocess` returned.

`mask_predictions` is the exception among the keys of `loss`: it is read with
`.get`, as a model without masks has none, and it is one of the two large outputs
that people want gone. It may go because the edit returns a new dict, and the one
that `predict` returned still has it.
"""

from collections.abc import Sequence

import libcst as cst
import libcst.matchers as m

from exporter.errors import UserError, did_you_mean
from patches import structure

# What eval_util takes from the detections, and exporter_lib_v2 to count classes
# from one.
EVALUATOR_KEYS = frozenset({
    'detection_boxes', 'detection_classes', 'detection_masks',
    'detection_scores', 'num_detections',
})

# What `loss` cannot do without on every revision that we have seen; a fork's own
# `loss` is read as well.
LOSS_KEYS = frozenset({
    'anchors', 'class_predictions_with_background', 'image_shape',
    'num_proposals', 'proposal_boxes', 'refined_box_encodings',
    'rpn_box_encodings', 'rpn_objectness_predictions_with_background',
})

# What NMS leaves beside the keys of the evaluator. The names of the others are read
# in the fork's methods that predict.
_NMS_KEYS = frozenset({
    'detection_anchor_indices', 'detection_multiclass_scores',
    'raw_detection_boxes', 'raw_detection_feature_map_indices',
    'raw_detection_scores',
})

_FIELDS = ('DetectionResultFields', 'PredictionFields')


class DropKeysError(UserError):
  """Keys that must not, or cannot, be dropped."""


def parse_drop_keys(text: str) -> tuple[str, ...]:
  """The keys of a comma-separated list, each once, in the order given.

  Raises:
    DropKeysError: no key in it.
  """
  keys = tuple(dict.fromkeys(k for k in map(str.strip, text.split(',')) if k))
  if not keys:
    raise DropKeysError(
        f'drop_keys is {text!r}, which names no key; give keys separated by'
        ' commas, or take the edit out with --revert --only=meta_arch.')
  return keys


def check_drop_keys(keys: Sequence[str], meta_arch: cst.ClassDef,
                    path: str) -> None:
  """Refuses keys that are needed, and keys that the model does not make.

  Args:
    keys: what is to be dropped.
    meta_arch: the class FasterRCNNMetaArch of the fork.
    path: its file, for messages.

  Raises:
    DropKeysError: see above.
  """
  loss_keys = LOSS_KEYS | _required_by_loss(meta_arch)
  made = _NMS_KEYS | _predicted_keys(meta_arch)
  droppable = sorted(made - loss_keys - EVALUATOR_KEYS)
  for key in keys:
    for needed, reader in ((EVALUATOR_KEYS, 'the evaluator'), (loss_keys, 'loss')):
      if key in needed:
        raise DropKeysError(
            f'drop_keys has {key!r}, which {reader} needs; droppable are'
            f' {", ".join(droppable)}.')
    if key not in made:
      nearest = did_you_mean(key, droppable)
      raise DropKeysError(
          f'drop_keys has {key!r}, which FasterRCNNMetaArch in {path} does not'
          f' make{nearest or ";"} droppable are {", ".join(droppable)}.')


def _required_by_loss(meta_arch) -> set[str]:
  """Keys that the fork's `loss` takes with `prediction_dict[…]`."""
  loss = structure.function_named(meta_arch.body.body, 'loss')
  if loss is None:
    return set()
  prediction_dict = (structure.parameter_names(loss) + ['', ''])[1]
  reads = m.findall(loss, m.Subscript(value=m.Name(prediction_dict)))
  return {key for read in reads for key in _key_of(read.slice[0].slice)}


def _predicted_keys(meta_arch) -> set[str]:
  """Every name that `predict` and its helpers use as a key of a dict."""
  keys = set()
  for method in meta_arch.body.body:
    if not m.matches(method, m.FunctionDef()) or 'predict' not in method.name.value:
      continue
    for read in m.findall(method, m.Subscript(value=m.Name())):
      if isinstance(read.slice[0].slice, cst.Index):
        keys |= _key_of(read.slice[0].slice)
    for element in m.findall(method, m.DictElement()):
      keys |= _key_of(element.key)
  return keys


def _key_of(node) -> set[str]:
  """The key that an expression stands for, in a set; empty for a computed one."""
  if isinstance(node, cst.Index):
    node = node.value
  if isinstance(node, cst.SimpleString):
    value = node.evaluated_value
    return {value} if isinstance(value, str) else set()
  # Upstream's classes of names give each attribute its own name as the value.
  *_, holder, name = ['', '', *structure.dotted_name(node).split('.')]
  return {name} if holder in _FIELDS else set()
