"""Which variable or table is restored from which entries of the checkpoint.

Two witnesses tell: the saver in the graph, by which sessions restore, and the
objects of TF2 with those in the checkpoint, by which `tf.saved_model.load` does.
Either may be missing; where there are both they must name the same entry, or two that
hold the same value: Keras 3 writes each variable twice.
"""

from __future__ import annotations

import collections
import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from exporter.errors import UserError
from exporter.graph.bodies import MAIN_GRAPH, Body, call_of
from exporter.graph.function_equality import (
    Application,
    Captured,
    Label,
    Passed,
    unwrap,
)
from exporter.graph.resources import maker_of
from exporter.meta_graph import object_checkpoint, object_graph
from exporter.meta_graph.object_checkpoint import VARIABLE_VALUE
from exporter.meta_graph.object_graph import TABLE_CONTENT
from exporter.meta_graph.saver import SavedTable, SavedVariable
from exporter.meta_graph.saver_reading import read_saver

_Key = TypeVar('_Key')


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """What is asked of a checkpoint.

  Attributes:
    objects: the TrackableObjectGraph in it; None if there is none, as in TF1.
    are_equal: whether two entries, by their keys, hold the same value.
  """
  objects: Any = None
  are_equal: Callable[[str, str], bool] = operator.eq


NO_CHECKPOINT = Checkpoint()


@dataclasses.dataclass(frozen=True)
class Witnesses:
  """What the saver and the checkpoint say, each read once.

  Attributes:
    variables: of the saver.
    tables: of the saver.
    variable_keys: the entry of each variable by which objects are restored, by its id.
    table_entries: likewise those of the keys and of the values of a table.
    has_objects: whether there are objects, and some in the checkpoint.
  """
  variables: list[SavedVariable]
  tables: list[SavedTable]
  variable_keys: dict[int, str]
  table_entries: dict[int, tuple[str, str]]
  has_objects: bool

  @classmethod
  def of(cls, meta_graph: Any, bodies: dict[str, Body],
         checkpoint_objects: Any) -> Witnesses:
    """Reads them.

    Args:
      meta_graph: MetaGraphDef of a SavedModel.
      bodies: those of its graph.
      checkpoint_objects: the TrackableObjectGraph in its checkpoint; None if there
        is none, as in TF1.

    Raises:
      UserError: as `read_saver`.
    """
    variables, tables = read_saver(meta_graph, bodies)
    objects = meta_graph.object_graph_def
    if checkpoint_objects is None or not objects.nodes:
      return cls(variables, tables, {}, {}, has_objects=False)
    keys = object_checkpoint.checkpoint_keys(objects, checkpoint_objects)
    entries = {i: object_checkpoint.table_entries(key)
               for i, key in keys[TABLE_CONTENT].items()
               if TABLE_CONTENT in objects.nodes[i].saveable_objects}
    return cls(variables, tables, keys[VARIABLE_VALUE], entries, has_objects=True)


def object_ids(meta_graph: Any, bodies: dict[str, Body],
               witnesses: Witnesses) -> dict[str, int]:
  """The object that each node of the main graph stands for, if that is known.

  Known by what the calls of the main graph capture. A variable or a table that no such
  call captures is known by its entry in the checkpoint; a variable, where the graph
  restores nothing, by its name.
  """
  objects = meta_graph.object_graph_def
  ids = _captured_ids(objects, bodies)
  if not witnesses.has_objects:
    return ids
  nodes = _unique({v.node: v.key for v in witnesses.variables} |
                  {t.node: t.keys for t in witnesses.tables})
  if nodes:
    keys = _unique(witnesses.variable_keys | {
        i: entries[0] for i, entries in witnesses.table_entries.items()})
    others = {nodes[key]: i for key, i in keys.items() if key in nodes}
  else:
    others = _by_name(objects, bodies[MAIN_GRAPH])
  known = set(ids.values())
  return ids | {node: i for node, i in others.items()
                if node not in ids and i not in known}


def _captured_ids(objects: Any, bodies: dict[str, Body]) -> dict[str, int]:
  """Object id by node of the main graph, of what its calls capture.

  They may call what a described function hands everything on to.
  """
  ids: dict[str, int] = {}
  main, captured = bodies[MAIN_GRAPH], _captured_arguments(objects, bodies)
  for name, node in main.nodes.items():
    call = call_of(node)
    if call is not None and call.callees[0] in captured:
      ids.update((edge.source, object_id) for edge, object_id in zip(
          main.data_edges(name), captured[call.callees[0]]) if object_id is not None)
  return ids


def _captured_arguments(objects: Any, bodies: dict[str, Body]
                        ) -> dict[str, tuple[int | None, ...]]:
  """The object that each argument of a function is, None for what a caller passes."""
  described: dict[str, tuple[int | None, ...]] = {}
  behind: dict[str, set[tuple[int | None, ...]]] = {}
  for name in objects.concrete_functions.keys() & bodies.keys():
    function = object_graph.concrete_function(objects, name)
    passed = object_graph.passed_count(function, bodies)
    labels: tuple[Label, ...] = (
        *map(Passed, range(passed)), *map(Captured, function.bound_inputs))
    described[name] = _object_ids(labels)
    inner = unwrap(Application(name, labels, ()), bodies)
    behind.setdefault(inner.function, set()).add(_object_ids(inner.labels))
  return {name: next(iter(ids)) for name, ids in behind.items()
          if len(ids) == 1} | described


def _object_ids(labels: Sequence[Label]) -> tuple[int | None, ...]:
  return tuple(label.object_id if isinstance(label, Captured) else None
               for label in labels)


def _by_name(objects: Any, main: Body) -> dict[str, int]:
  """The object of each variable, if every variable of the graph has just one.

  TensorFlow numbers the nodes of variables that are called alike, also of those that
  no object stands for.
  """
  variables = {i: node.variable for i, node in enumerate(objects.nodes)
               if node.WhichOneof('kind') == 'variable'}
  ids = {variable.name: i for i, variable in variables.items()}
  handles = {name: node for name, node in main.nodes.items() if node.op == 'VarHandleOp'}
  is_clear = len(ids) == len(variables) and ids.keys() == handles.keys() and all(
      handles[name].attr['dtype'].type == variables[i].dtype for name, i in ids.items())
  return ids if is_clear else {}


def _unique(values: Mapping[_Key, str]) -> dict[str, _Key]:
  """The key of each value that only one key has."""
  counts = collections.Counter(values.values())
  return {value: key for key, value in values.items() if counts[value] == 1}


def all_variables(meta_graph: Any, witnesses: Witnesses, checkpoint: Checkpoint,
                  ids: Mapping[str, int]) -> list[SavedVariable]:
  """Every variable that is restored, those of the saver first.

  Args:
    meta_graph: MetaGraphDef of a SavedModel.
    witnesses: of it and its checkpoint.
    checkpoint: from which they are restored.
    ids: as `object_ids` finds them.

  Raises:
    UserError: the two tell entries of different values for one variable.
  """
  objects, variables = meta_graph.object_graph_def, list(witnesses.variables)
  keys, known = witnesses.variable_keys, {v.node: v.key for v in witnesses.variables}
  for node, i in ids.items():
    if i not in keys or objects.nodes[i].WhichOneof('kind') != 'variable':
      continue
    if node in known:
      _check_are_equal(checkpoint, f'variable {node!r}', known[node], keys[i])
    else:
      variables.append(SavedVariable(
          node, keys[i], slice='', dtype=objects.nodes[i].variable.dtype,
          is_resource=True))
  return variables


def all_tables(bodies: dict[str, Body], witnesses: Witnesses, checkpoint: Checkpoint,
               ids: Mapping[str, int]) -> list[SavedTable]:
  """Every table whose content is restored, as mutable ones' is.

  Where there are objects, these tell of each of them.

  Args:
    bodies: of the graph of a SavedModel.
    witnesses: of it and its checkpoint.
    checkpoint: from which they are restored.
    ids: as `object_ids` finds them.

  Raises:
    UserError: as `all_variables`.
  """
  tables, entries = list(witnesses.tables), witnesses.table_entries
  known = {t.node: t for t in witnesses.tables}
  for node, i in ids.items():
    if i in entries and node in known:
      for one, other in zip((known[node].keys, known[node].values), entries[i]):
        _check_are_equal(checkpoint, f'table {node!r}', one, other)
    elif i in entries:
      tables.append(SavedTable(node, *entries[i], _dtypes(bodies, node)))
  return tables


def _dtypes(bodies: dict[str, Body], node: str) -> tuple[int, int]:
  """The types of the keys and the values of a table."""
  body, maker = maker_of(bodies, MAIN_GRAPH, node)
  attr = body.nodes[maker].attr
  return attr['key_dtype'].type, attr['value_dtype'].type


def _check_are_equal(checkpoint: Checkpoint, what: str, one: str, other: str) -> None:
  if not checkpoint.are_equal(one, other):
    raise UserError(
        f'The SavedModel restores the {what} in two ways, from the entry {one!r} of its'
        f' checkpoint by its graph and from {other!r} by its objects; load and save it'
        ' with a current TensorFlow first.')
