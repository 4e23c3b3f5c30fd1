"""The edit of `faster_rcnn_meta_arch.py`: `postprocess` drops keys of Mask R-CNN.

With three stages `FasterRCNNMetaArch.postprocess` returns all that was predicted.
The edit makes it return a new dict without the keys given. The dict that came in
keeps them, because `loss` may still be given it.
"""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst
import libcst.matchers as m

from patches import prediction_keys
from patches import structure
from patches.structure import UnrecognisedSource

_CLASS = 'FasterRCNNMetaArch'
_METHOD = 'postprocess'
_KEYS_NAME = 'lean_dropped_keys'

_KEYS = '''
# Lean exports, added by `python -m patches`. The dict is a new one because
# `loss` may still be given the one that came in.
lean_dropped_keys = (
{lines}
)
'''

_STAGES = m.Attribute(attr=m.Name('_number_of_stages') | m.Name('number_of_stages'))
_THREE_STAGES = m.Comparison(
    left=_STAGES,
    comparisons=[m.ComparisonTarget(m.Equal(), m.Integer('3'))])
_TRAINING = m.Attribute(attr=m.Name('_is_training'))


def dropped_keys(module: cst.Module) -> tuple[str, ...] | None:
  """The keys that an edited module drops; None for one without the edit."""
  for node in m.findall(module, m.Assign(
      targets=[m.AssignTarget(target=m.Name(_KEYS_NAME))])):
    strings = m.findall(node.value, m.SimpleString())
    return tuple(s.evaluated_value for s in strings)
  return None


def apply(module: cst.Module, path: str, keys: Sequence[str]) -> cst.Module:
  """The module with the edit.

  Args:
    module: a revision of `faster_rcnn_meta_arch.py` without the edit.
    path: the file's name in messages.
    keys: what `postprocess` is to drop; at least one.

  Raises:
    UnrecognisedSource: the place to edit is not there, or looks different.
    DropKeysError: `loss` or the evaluator needs a key, or the model has no such.
  """
  meta_arch = structure.class_named(module, _CLASS)
  method = meta_arch and structure.function_named(meta_arch.body.body, _METHOD)
  if method is None:
    raise UnrecognisedSource(
        f'{path} is not a revision of the meta-architecture that this edit knows:'
        f' it looked for a class {_CLASS} with a method {_METHOD} and found none.')
  if structure.function_named(meta_arch.body.body, 'loss') is None:
    raise UnrecognisedSource(
        f'{path} is not a revision of the meta-architecture that this edit knows:'
        f' it looked for a method loss in {_CLASS}, to see which keys it needs, and'
        ' found none.')
  prediction_keys.check_drop_keys(keys, meta_arch, path)
  dropping = _DroppingBranch(keys, module)
  edited = method.with_changes(body=method.body.visit(dropping))
  if not dropping.count:
    raise UnrecognisedSource(
        f'{path} is not a revision of the meta-architecture that this edit knows:'
        f' it looked in {_CLASS}.{_METHOD} for `if self._number_of_stages == 3:`'
        ' with a return of the prediction dict in it, and found none.')
  return structure.replaced(
      module, meta_arch, structure.replaced(meta_arch, method, edited))


class _DroppingBranch(structure.OwnCode):
  """Edits what is under `if self._number_of_stages == 3:`."""

  def __init__(self, keys, module):
    super().__init__()
    self._returns = _DroppingReturns(keys, module)

  @property
  def count(self):
    return self._returns.count

  def leave_If(self, original_node, updated_node):
    if not _is_three_stages(updated_node.test):
      return updated_node
    return updated_node.with_changes(body=updated_node.body.visit(self._returns))


def _is_three_stages(test):
  """Whether a test holds for three stages only, and not for training."""
  conditions = _conditions(test)
  return (any(m.matches(c, _THREE_STAGES) for c in conditions)
          and not any(m.matches(c, _TRAINING) for c in conditions))


def _conditions(test):
  """What a test joins with `and`."""
  if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
    return _conditions(test.left) + _conditions(test.right)
  return [test]


class _DroppingReturns(structure.OwnCode):
  """`return prediction_dict` becomes a return of what is left of it."""

  def __init__(self, keys, module):
    super().__init__()
    self.count = 0
    self._keys, = structure.statements(_KEYS.format(
        lines='\n'.join(f'    {key!r},' for key in keys)), module)
    self._left, = structure.statements(
        'return {key: value for key, value in detections.items()\n'
        f'        if key not in {_KEYS_NAME}}}', module)

  def leave_SimpleStatementLine(self, original_node, updated_node):
    *others, last = updated_node.body
    if not isinstance(last, cst.Return) or not isinstance(
        last.value, (cst.Name, cst.Call, cst.Dict, cst.DictComp)):
      return updated_node
    self.count += 1
    new_return = self._left.deep_clone().body[0]
    detections, = m.findall(new_return, m.Name('detections'))
    new_return = new_return.deep_replace(detections, last.value)
    return cst.FlattenSentinel([
        self._keys.deep_clone(),
        updated_node.with_changes(body=[*others, new_return])])
