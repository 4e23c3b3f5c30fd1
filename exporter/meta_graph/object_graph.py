"""The Python side of a TF2 SavedModel: objects, their functions and variables.

`tf.saved_model.load` rebuilds these objects. After pruning, the root object has
its call, its signatures and, as `variables`, the list of the variables that the
graph still reads. Everything else (layers, optimizers, their functions) is gone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from exporter.graph.bodies import Body
from exporter.graph.walk import reached

CALL = '__call__'
SIGNATURES = 'signatures'
VARIABLES = 'variables'
INITIALIZERS = 'initializers'
RESOURCES = 'resources'
TABLES = 'tables'

# The function by which a table, or a resource like it, fills itself on loading.
_INITIALIZE = '_initialize'

_KINDS_THAT_STAY = frozenset({
    'asset', 'captured_tensor', 'constant', 'resource', 'user_object', 'variable'})

# What checkpoints and objects call the content of a table.
TABLE_CONTENT = 'table'


@dataclasses.dataclass
class ObjectFunction:
  """A concrete function as the object graph describes it.

  Attributes:
    name: of the function in the library.
    bound_inputs: object ids of its captures, which are its last arguments.
    input_signature: StructuredValue of what a caller passes.
    output_signature: StructuredValue of what a caller gets.
  """
  name: str
  bound_inputs: list[int]
  input_signature: Any
  output_signature: Any

  @property
  def result_positions(self) -> dict[str, list[int]] | None:
    """Positions of the results behind each key of a dict of outputs, else None."""
    fields = self.output_signature.dict_value.fields
    positions, count = {}, 0
    for key in sorted(fields):
      size = flat_size(fields[key])
      if size is None:
        return None
      positions[key] = list(range(count, count + size))
      count += size
    return positions or None


def flat_size(structured_value: Any) -> int | None:
  """How many tensors a StructuredValue stands for; None if that is not told."""
  kind = structured_value.WhichOneof('kind')
  value: Any = getattr(structured_value, kind) if kind else None
  if kind in ('tensor_spec_value', 'bounded_tensor_spec_value'):
    return 1
  if kind == 'type_spec_value':  # A ragged tensor, for example.
    return value.num_flat_components or None
  if kind == 'none_value':
    return 0
  inner = inner_values(structured_value)
  if inner is None:
    return None
  count = 0
  for item in inner:
    size = flat_size(item)
    if size is None:
      return None
    count += size
  return count


def inner_values(structured_value: Any) -> list[Any] | None:
  """What a tuple, list or dict holds, in TensorFlow's order; None for the rest."""
  kind = structured_value.WhichOneof('kind')
  value: Any = getattr(structured_value, kind) if kind else None
  if kind in ('tuple_value', 'list_value'):
    return list(value.values)
  if kind == 'dict_value':
    return [value.fields[key] for key in sorted(value.fields)]
  if kind == 'named_tuple_value':
    return [pair.value for pair in value.values]
  return None


def concrete_function(object_graph: Any, name: str) -> ObjectFunction:
  saved = object_graph.concrete_functions[name]
  return ObjectFunction(name, list(saved.bound_inputs),
                        saved.canonicalized_input_signature,
                        saved.output_signature)


def passed_count(function: ObjectFunction, bodies: Mapping[str, Body]) -> int:
  """How many arguments a caller passes, the first ones; the others are captures."""
  return len(bodies[function.name].arguments) - len(function.bound_inputs)


def concrete_names(node: Any) -> list[str]:
  """Names of the concrete functions that an object stands for; mostly none."""
  kind = node.WhichOneof('kind')
  if kind == 'function':
    return list(node.function.concrete_functions)
  if kind == 'bare_concrete_function':
    return [node.bare_concrete_function.concrete_function_name]
  return []


def signature_functions(object_graph: Any) -> dict[str, str]:
  """Name of the concrete function behind each signature."""
  signatures = child_id(object_graph, 0, SIGNATURES)
  if signatures is None:
    return {}
  return {
      child.local_name: concrete_names(object_graph.nodes[child.node_id])[0]
      for child in object_graph.nodes[signatures].children
      if concrete_names(object_graph.nodes[child.node_id])}


def functions_of_signatures(object_graph: Any, signatures: Iterable[str]
                            ) -> dict[str, ObjectFunction]:
  """The function behind each of these signatures; none where an object lacks for one."""
  names = signature_functions(object_graph)
  if not set(signatures) <= set(names):
    return {}
  return {signature: concrete_function(object_graph, names[signature])
          for signature in signatures}


def call_functions(object_graph: Any) -> list[str]:
  """Names of the concrete functions behind calling the loaded object."""
  call = child_id(object_graph, 0, CALL)
  return [] if call is None else concrete_names(object_graph.nodes[call])


def constant_node(object_graph: Any, object_id: int) -> str | None:
  """Node of the main graph that holds a captured constant; None for the rest."""
  node = object_graph.nodes[object_id]
  return (node.constant.operation
          if node.WhichOneof('kind') == 'constant' else None)


def dropped_children(object_graph: Any) -> list[str]:
  """Names of the root's own functions and objects that pruning removes."""
  return sorted(child.local_name for child in _children(object_graph, 0)
                if child.local_name not in (
                    CALL, INITIALIZERS, SIGNATURES, VARIABLES))


def input_names(structured_value: Any) -> list[str]:
  """Names of the tensors in an input signature, in the order of the arguments."""
  kind = structured_value.WhichOneof('kind')
  if kind in ('tensor_spec_value', 'bounded_tensor_spec_value'):
    return [getattr(structured_value, kind).name]
  return [name for item in inner_values(structured_value) or ()
          for name in input_names(item)]


def with_outputs(function: ObjectFunction, keys: Sequence[str]) -> ObjectFunction:
  """The same function, returning the dict of `keys` alone."""
  signature = type(function.output_signature)()
  signature.dict_value.SetInParent()
  for key in keys:
    signature.dict_value.fields[key].CopyFrom(
        function.output_signature.dict_value.fields[key])
  return dataclasses.replace(function, output_signature=signature)


def can_be_kept(node: Any) -> bool:
  """Whether a captured object can be made anew, with what the checkpoint has of it."""
  kind = node.WhichOneof('kind')
  return kind == 'variable' or kind in _KINDS_THAT_STAY and not (
      set(node.saveable_objects) - {TABLE_CONTENT} or node.registered_saver)


def is_restored(node: Any) -> bool:
  """Whether an object is a variable or a table that the checkpoint has a value of."""
  return node.WhichOneof('kind') == 'variable' or TABLE_CONTENT in node.saveable_objects


def saving_functions(node: Any) -> Iterator[int]:
  """The objects of the functions by which a table saves and restores its content."""
  for saveable in node.saveable_objects.values():
    yield from (saveable.save_function, saveable.restore_function)


def captured_objects(
    object_graph: Any, ids: list[int],
    live_captures: Callable[[ObjectFunction], list[int]]) -> list[int]:
  """Captured objects with all that they, such as tables, are made from.

  Args:
    object_graph: a SavedObjectGraph.
    ids: of what is captured.
    live_captures: gives what one of its functions captures and uses.
  """
  def made_from(node_id: int) -> Iterator[int]:
    node = object_graph.nodes[node_id]
    for name in concrete_names(node):
      yield from live_captures(concrete_function(object_graph, name))
    if node.WhichOneof('kind') in ('resource', 'user_object'):
      yield from (child.node_id for child in node.children)
      yield from saving_functions(node)

  return list(reached(reversed(ids), made_from))


def initializers(object_graph: Any) -> dict[int, list[str]]:
  """Names of the functions by which objects fill something on loading, by object id."""
  found = {}
  for i, node in enumerate(object_graph.nodes):
    if node.WhichOneof('kind') in ('resource', 'user_object'):
      child = child_id(object_graph, i, _INITIALIZE)
      if child is not None:
        found[i] = concrete_names(object_graph.nodes[child])
  return found


def functions_of(object_graph: Any, ids: list[int]) -> list[str]:
  """Names of the concrete functions among some objects."""
  return [name for i in ids for name in concrete_names(object_graph.nodes[i])]


def child_id(object_graph: Any, node_id: int, name: str) -> int | None:
  for child in _children(object_graph, node_id):
    if child.local_name == name:
      return int(child.node_id)
  return None


def _children(object_graph: Any, node_id: int) -> Any:
  """The children of a node; none where there are no objects, as in TF1."""
  return object_graph.nodes[node_id].children if object_graph.nodes else ()
