"""Reads off the saver in a SavedModel's graph what is restored from which entry."""

from __future__ import annotations

from typing import Any

from exporter.errors import UserError
from exporter.graph.bodies import MAIN_GRAPH, Body, Edge, call_of, parse_edge
from exporter.meta_graph.saver import SavedVariable

_ASSIGNMENTS = frozenset({'AssignVariableOp', 'Assign'})
_TABLE_IMPORTS = frozenset({'LookupTableImport', 'LookupTableImportV2'})
_HANDED_ON = frozenset({'Identity'})

# They read the format that RestoreV2 has replaced in 2016.
_OLD_RESTORES = frozenset({'Restore', 'RestoreSlice'})


def read_saver(meta_graph: Any, bodies: dict[str, Body]) -> list[SavedVariable]:
  """Which variable is restored from which entry, in the order of the entries.

  Raises:
    UserError: something other than variables and tables is restored, or from a
      checkpoint of the old format; removing parts of these is not supported.
  """
  return [variable for variable, assign in _read(meta_graph, bodies)
          if assign.op in _ASSIGNMENTS]


def restored_tables(meta_graph: Any, bodies: dict[str, Body]) -> set[str]:
  """Nodes of the main graph: tables whose content is restored, as mutable ones'.

  Raises:
    UserError: as `read_saver`.
  """
  return {table.node for table, taker in _read(meta_graph, bodies)
          if taker.op in _TABLE_IMPORTS}


def _read(meta_graph: Any, bodies: dict[str, Body]) -> list[tuple[SavedVariable, Any]]:
  """What is restored, in the order of the entries, with the node that does so."""
  restore_op = parse_edge(meta_graph.saver_def.restore_op_name).source
  if not restore_op:
    return []
  body, handed_in = _restore_body(restore_op, bodies)
  restored = []
  for name in _restores_behind(body, restore_op if not handed_in else None):
    node = body.nodes[name]
    keys, slices = _entries(body, name)
    for position, assign, shape in _assignments(body, name):
      target = body.data_edges(assign)[0].source
      restored.append((SavedVariable(
          node=handed_in.get(target, target), key=keys[position],
          slice=slices[position],
          dtype=node.attr['dtypes'].list.type[position],
          is_resource=body.nodes[assign].op == 'AssignVariableOp', shape=shape),
                       body.nodes[assign]))
  return restored


def _restore_body(restore_op: str, bodies: dict[str, Body]) -> tuple[Body, dict[str, str]]:
  """The body with the RestoreV2 nodes, and the variables handed in to it."""
  main = bodies[MAIN_GRAPH]
  call = call_of(main.nodes[restore_op])
  if call is None:
    return main, {}
  function = bodies[call.callees[0]]
  edges = main.data_edges(restore_op)
  return function, {
      name: edges[i].source for name, i in function.arguments.items()}


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


def _assignments(body: Body, restore: str) -> list[tuple[int, str, bytes]]:
  """What takes the outputs of a RestoreV2 node.

  Returns:
    (output of the node, what assigns or imports it, the shape that it gets before
    as `SavedVariable.shape`).
  """
  found = []
  pending = [((restore, i), i, b'') for i in
             range(len(body.nodes[restore].attr['dtypes'].list.type))]
  takers: dict[tuple[str, int], list[str]] = {}
  for name in body.nodes:
    for edge in body.data_edges(name):
      takers.setdefault((edge.source, edge.index), []).append(name)
  while pending:
    tensor, position, shape = pending.pop()
    for name in takers.get(tensor, ()):
      op = body.nodes[name].op
      new_shape = _constant(body, body.data_edges(name)[-1]) if op == 'Reshape' else b''
      if op in _ASSIGNMENTS or op in _TABLE_IMPORTS:
        found.append((position, name, shape))
      elif op in _HANDED_ON or new_shape:
        pending.append(((name, 0), position, new_shape or shape))
      else:
        raise UserError(
            f'The SavedModel restores more than variables from its checkpoint:'
            f' node {name!r} ({op}) takes an entry of it. Removing outputs is'
            ' supported for models whose checkpoint holds variables only.')
  return sorted(found)


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
