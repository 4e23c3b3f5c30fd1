"""Reads off the saver in a SavedModel's graph what is restored from which entry."""

from __future__ import annotations

import dataclasses
from typing import Any

from exporter.errors import UserError
from exporter.graph.bodies import MAIN_GRAPH, Body, Edge, call_of, parse_edge
from exporter.meta_graph.saver import SavedTable, SavedVariable

_ASSIGNMENTS = frozenset({'AssignVariableOp', 'Assign'})
_TABLE_IMPORTS = frozenset({'LookupTableImport', 'LookupTableImportV2'})
_HANDED_ON = frozenset({'Identity'})

# They read the format that RestoreV2 has replaced in 2016.
_OLD_RESTORES = frozenset({'Restore', 'RestoreSlice'})


def read_saver(meta_graph: Any, bodies: dict[str, Body]
               ) -> tuple[list[SavedVariable], list[SavedTable]]:
  """Which variable is restored from which entry, and which table filled from which.

  Both in the order of the entries.

  Raises:
    UserError: something other than variables and tables is restored, or from a
      checkpoint of the old format, or a table takes parts of entries; removing parts
      of these is not supported.
  """
  takers = _takers(meta_graph, bodies)
  variables = [
      SavedVariable(
          node=taker.target, key=taker.key, slice=taker.slice, dtype=taker.dtype,
          is_resource=taker.node.op == 'AssignVariableOp', shape=taker.shape)
      for taker in takers if taker.node.op in _ASSIGNMENTS]
  return variables, _tables([t for t in takers if t.node.op in _TABLE_IMPORTS])


def _tables(takers: list[_Taker]) -> list[SavedTable]:
  tables: dict[tuple[str, str], dict[int, _Taker]] = {}
  for taker in takers:
    taken = tables.setdefault((taker.target, taker.path), {})
    if taker.input in taken or taker.slice or taker.shape:
      raise _unsupported(taker.node)
    taken[taker.input] = taker
  for (table, _), taken in tables.items():
    if set(taken) != {1, 2}:
      raise UserError(f'The SavedModel restores a part of the table {table!r} from its'
                      ' checkpoint, which is not supported.')
  return [SavedTable(table, taken[1].key, taken[2].key, (taken[1].dtype, taken[2].dtype))
          for (table, _), taken in tables.items()]


@dataclasses.dataclass(frozen=True)
class _Place:
  """A body as one node calls it; or the main graph, which none does."""
  body: Body
  caller: _Place | None = None
  call: str = ''

  @property
  def path(self) -> str:
    return f'{self.caller.path}/{self.call}' if self.caller else ''

  def callee(self, node: str, bodies: dict[str, Body]) -> _Place | None:
    """What a plain call runs; None for other nodes."""
    call = call_of(self.body.nodes[node])
    if call is None or len(call.functions) > 1 or call.first_input:
      return None
    return _Place(bodies[call.callees[0]], self, node)

  def source(self, edge: Edge) -> str:
    """The node that gives an edge, in a caller if it has been handed in."""
    if edge.source not in self.body.arguments or self.caller is None:
      return edge.source
    position = self.body.arguments[edge.source]
    return self.caller.source(self.caller.body.data_edges(self.call)[position])


@dataclasses.dataclass(frozen=True)
class _Taker:
  """A node that assigns an entry to a variable, or imports it into a table.

  Attributes:
    node: the NodeDef.
    path: of the node, through calls.
    target: node of the main graph: the variable or table.
    input: which input of the node takes the entry.
    key, slice, dtype, shape: of the entry, as in `SavedVariable`.
  """
  node: Any
  path: str
  target: str
  input: int
  key: str
  slice: str
  dtype: int
  shape: bytes


def _takers(meta_graph: Any, bodies: dict[str, Body]) -> list[_Taker]:
  """All that takes what is restored, in the order of the entries."""
  restore_op = parse_edge(meta_graph.saver_def.restore_op_name).source
  if not restore_op:
    return []
  main = _Place(bodies[MAIN_GRAPH])
  place = main.callee(restore_op, bodies) or main
  found, follower = [], _Follower(bodies)
  for name in _restores_behind(place.body, restore_op if place is main else None):
    keys, slices = _entries(place.body, name)
    dtypes = place.body.nodes[name].attr['dtypes'].list.type
    of_node = follower.takers(place, name, len(dtypes))
    for position, at, node_name, index, shape in sorted(
        of_node, key=lambda taker: (taker[0], taker[1].path, taker[2])):
      edges = at.body.data_edges(node_name)
      found.append(_Taker(
          at.body.nodes[node_name], f'{at.path}/{node_name}', at.source(edges[0]),
          index, keys[position], slices[position], dtypes[position], shape))
  return found


def _restores_behind(body: Body, restore_op: str | None) -> list[str]:
  """RestoreV2 nodes of a restore function, or behind a node of the main graph."""
  if restore_op is None:
    return [name for name, node in body.nodes.items() if node.op == 'RestoreV2']
  behind = body.all_behind([restore_op])
  if any(body.nodes[name].op in _OLD_RESTORES for name in behind):
    raise UserError(
        'The SavedModel has a checkpoint of the old format V1; load and save it'
        ' with a current TensorFlow first.')
  return sorted(name for name in behind if body.nodes[name].op == 'RestoreV2')


class _Follower:
  """Follows what is restored to what takes it, into the functions that are called."""

  def __init__(self, bodies: dict[str, Body]):
    self._bodies = bodies
    self._inputs: dict[str, dict[tuple[str, int], list[tuple[str, int]]]] = {}

  def takers(self, place: _Place, restore: str, count: int
             ) -> list[tuple[int, _Place, str, int, bytes]]:
    """What takes the outputs of a RestoreV2 node.

    Returns:
      (output of the node, where and what assigns or imports it, which of its inputs,
      the shape that it gets before, as `SavedVariable.shape`).
    """
    found = []
    pending = [(place, (restore, i), i, b'') for i in range(count)]
    while pending:
      at, tensor, position, shape = pending.pop()
      for name, index in self._inputs_of(at.body).get(tensor, ()):
        node = at.body.nodes[name]
        new_shape = (_constant(at.body, at.body.data_edges(name)[-1])
                     if node.op == 'Reshape' else b'')
        callee = at.callee(name, self._bodies)
        if node.op in _ASSIGNMENTS or node.op in _TABLE_IMPORTS:
          found.append((position, at, name, index, shape))
        elif node.op in _HANDED_ON or new_shape:
          pending.append((at, (name, 0), position, new_shape or shape))
        elif callee is not None:
          argument = next(a for a, i in callee.body.arguments.items() if i == index)
          pending.append((callee, (argument, 0), position, shape))
        else:
          raise _unsupported(node)
    return found

  def _inputs_of(self, body: Body) -> dict[tuple[str, int], list[tuple[str, int]]]:
    """The (node, input) pairs that take each tensor of a body."""
    if body.name not in self._inputs:
      takers = self._inputs[body.name] = {}
      for name in body.nodes:
        for i, edge in enumerate(body.data_edges(name)):
          takers.setdefault((edge.source, edge.index), []).append((name, i))
    return self._inputs[body.name]


def _unsupported(node: Any) -> UserError:
  return UserError(
      f'The SavedModel restores more than variables and tables from its checkpoint:'
      f' node {node.name!r} ({node.op}) takes an entry of it. Removing outputs is'
      ' supported for models whose checkpoint holds these only.')


def _constant(body: Body, edge: Edge) -> bytes:
  """The serialized value of a Const; empty for another node."""
  node = body.nodes.get(edge.source)
  return (node.attr['value'].tensor.SerializeToString(deterministic=True)
          if node is not None and node.op == 'Const' else b'')


def _entries(body: Body, restore: str) -> tuple[list[str], list[str]]:
  """The names and the slices of what a RestoreV2 node reads."""
  edges = body.data_edges(restore)
  if len(edges) != 3:
    raise UserError(f'The SavedModel is damaged: node {restore!r} does not tell'
                    ' what it restores.')
  if any(e.source in body.nodes and body.nodes[e.source].op == 'Pack' for e in edges[1:]):
    raise UserError(
        'The graph of the SavedModel computes the names of the entries that it restores,'
        ' as TensorFlow 2.8 does for mutable tables that it had loaded before; load and'
        ' save it with a current TensorFlow first.')
  keys, slices = (_strings(body, edge) for edge in edges[1:])
  count = len(body.nodes[restore].attr['dtypes'].list.type)
  if len(keys) < count or len(slices) < count:
    raise UserError(f'The SavedModel is damaged: node {restore!r} restores'
                    f' {count} entries and names {min(len(keys), len(slices))}.')
  return keys, slices


def _strings(body: Body, edge: Edge) -> list[str]:
  """The values of a string Const; a last value stands for all that follow it."""
  if edge.source not in body.nodes:
    return []
  tensor = body.nodes[edge.source].attr['value'].tensor
  values = [value.decode(errors='replace') for value in tensor.string_val]
  size = tensor.tensor_shape.dim[0].size if tensor.tensor_shape.dim else 1
  return values + values[-1:] * (size - len(values))
