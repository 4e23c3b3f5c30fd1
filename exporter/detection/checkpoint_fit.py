"""Compares a model's variables with those of a checkpoint, by where they hang.

TensorFlow says of an unfitting checkpoint how many Python objects were not bound,
or stumbles over a shape while it traces. Here is what there is and what is missing,
by name, as soon as the variables are made.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NoReturn

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from exporter.detection import tracing
from exporter.detection.checkpoint import OBJECT_GRAPH
from exporter.errors import UserError

# The slot in which upstream's optimizer averages a variable.
_AVERAGE = 'average'

# What a variable belongs to, by words in its name or place, and the fields of the
# pipeline config that its shape follows from. The first that is found counts.
_FIELDS = (
    (r'mask', 'num_classes, mask_height, mask_width or mask_prediction_conv_depth'),
    (r'keypoint|kpt', 'keypoint_label_map_path or keypoint_class_name'),
    (r'class_?(predictor|head)|classpredictor|object_center|first_stage_box.*class',
     'num_classes'),
    (r'box_?(encoding|predictor|head)', 'num_classes or the anchor generator'),
    (r'', 'the type, depth_multiplier or min_depth of the feature extractor, or the'
          ' channels that the image resizer gives'))


class CheckpointFit:
  """What a checkpoint holds of a model's variables.

  Args:
    path: path prefix of a checkpoint with objects, as TF2 writes it.
    trackable: the `tf.train.Checkpoint` of `model` that is restored from it.
  """

  def __init__(self, path: str, trackable):
    self._path = path
    self._trackable = trackable
    self._reader = tf.train.load_checkpoint(path)
    self._shapes = self._reader.get_variable_to_shape_map()
    self._nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        self._reader.get_tensor(OBJECT_GRAPH)).nodes

  def check_holds_a_model(self) -> None:
    """Raises UserError where the checkpoint has no variable of any model."""
    stack = [child.node_id for child in self._nodes[0].children
             if child.local_name == 'model']
    met = set()
    while stack:
      number = stack.pop()
      if number in met:
        continue
      met.add(number)
      if self._shape_at(number) is not None:
        return
      stack += [child.node_id for child in self._nodes[number].children]
    others = sorted(set(self._shapes) - {OBJECT_GRAPH})[:3]
    raise UserError(
        f'The checkpoint {self._path} holds no variable of a detection model, only'
        f' {", ".join(others) or "nothing"}; a training that stopped before its first'
        ' step leaves such a one.')

  def check_shapes(self) -> None:
    """Raises UserError if a variable that the model has made has another shape."""
    for place, variable, shape in self._compared():
      if shape is not None and not tf.TensorShape(shape).is_compatible_with(
          variable.shape):
        self.differs(_name(variable), f'{place}/{variable.name}', shape,
                     variable.shape.as_list())

  def differs(self, name: str, place: str, found: Sequence[int],
              wanted: Sequence[int]) -> NoReturn:
    """Raises UserError for a variable of another shape than the model's.

    Args:
      name: of the variable.
      place: where it hangs in the model, with its name.
      found: its shape in the checkpoint.
      wanted: its shape in the model.
    """
    raise UserError(
        f'{self._does_not_fit}: {name} has the shape {list(found)} in the checkpoint and'
        f' {list(wanted)} in the model, which follows from {_field_of(place)} in the'
        ' config.')

  def check_all(self) -> None:
    """Raises UserError if a variable of the finished model is missing or differs."""
    compared = self._compared()
    missing = [variable for _, variable, shape in compared if shape is None]
    if missing:
      raise UserError(
          f'{self._does_not_fit}: it holds {len(compared) - len(missing)} of the'
          f" model's {len(compared)} variables; the first that is missing is"
          f' {_name(missing[0])}.')
    self.check_shapes()

  def assign_averages(self) -> None:
    """Gives the finished model's variables the moving averages of their training.

    An optimizer with `use_moving_average` keeps them in slots. A variable without
    one, which is not trained, stays as it is.

    Raises:
      UserError: the checkpoint holds none of this model.
    """
    averages = {slot.original_variable_node_id: slot.slot_variable_node_id
                for node in self._nodes for slot in node.slot_variables
                if slot.slot_name == _AVERAGE}
    averaged = [(variable, averages[node]) for _, variable, node in self._placed()
                if node in averages]
    if not averaged:
      raise UserError(
          f'The checkpoint {self._path} holds no moving averages of the weights, which'
          ' use_moving_averages would export; training keeps them where the optimizer'
          ' in its config has use_moving_average: true.')
    for variable, node in averaged:
      variable.assign(self._reader.get_tensor(self._key_at(node)))

  @property
  def _does_not_fit(self) -> str:
    return (f'The checkpoint {self._path} does not fit the model of the pipeline'
            ' config')

  def _compared(self) -> Collection[tuple[str, tf.Variable, list[int] | None]]:
    """Place, variable, and its shape in the checkpoint, None where it has none."""
    return [(place, variable, self._shape_at(node))
            for place, variable, node in self._placed()]

  def _placed(self) -> Collection[tuple[str, tf.Variable, int | None]]:
    """Place, variable, and its node in the checkpoint, None where it has no value.

    A variable may hang in several places, of which the checkpoint may lack some.
    """
    found: dict[int, tuple[str, tf.Variable, int | None]] = {}
    # All that is met is kept: of what is let go, the next one may have the id.
    met: dict[int, tuple[object, bool]] = {}
    roots = {child.local_name: child.node_id for child in self._nodes[0].children}
    stack = [('model', self._trackable.model, roots.get('model'))]
    while stack:
      place, item, node = stack.pop()
      if id(item) in met and (met[id(item)][1] or node is None):
        continue
      met[id(item)] = (item, node is not None)
      if isinstance(item, tf.Variable):
        has_value = self._key_at(node) is not None
        if has_value or id(item) not in found:
          found[id(item)] = (place, item, node if has_value else None)
        continue
      children = {} if node is None else {
          child.local_name: child.node_id for child in self._nodes[node].children}
      stack += reversed([
          (f'{place}/{name}', child, children.get(name))
          for name, child in item._trackable_children().items()])
    return found.values()

  def _shape_at(self, node: int | None) -> list[int] | None:
    key = self._key_at(node)
    return None if key is None else self._shapes[key]

  def _key_at(self, node: int | None) -> str | None:
    """The checkpoint entry of an object; None where it has no value of its own."""
    if node is None:
      return None
    keys = [attribute.checkpoint_key for attribute in self._nodes[node].attributes]
    return next((key for key in keys if key in self._shapes), None)


@contextlib.contextmanager
def must_fit(fit: CheckpointFit) -> Iterator[None]:
  """Where the block fails, tells first whether the checkpoint is to blame.

  Raises:
    UserError: a variable of the model has another shape in the checkpoint, or the
      block has found that one is missing, with an AssertionError.
  """
  try:
    yield
  except UserError:
    raise
  except AssertionError:
    fit.check_all()
    raise
  except Exception as e:  # Whatever a model makes of a variable of another shape.
    known: BaseException | None = e
    while known is not None:  # Keras raises an error of its own in its place.
      if isinstance(known, tracing.VariableShapeError):
        fit.differs(known.name, known.name, known.initial, known.declared)
      known = known.__context__
    fit.check_shapes()
    raise


def _name(variable: tf.Variable) -> str:
  return variable.name.rpartition(':')[0] or variable.name


def _field_of(name: str) -> str:
  return next(field for words, field in _FIELDS
              if re.search(words, name.replace('mask_rcnn_', ''), re.IGNORECASE))
