"""Tells whether a graph may look beside the files that it is given.

Some ops are given one file of a folder and read its neighbours, such as decision
forests; what ends in the ops below reads the one file alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exporter.graph.bodies import MAIN_GRAPH, Body, call_of, parse_edge
from exporter.graph.resources import handles_of, resource_of
from exporter.meta_graph import asset_files, signature_tensors

_READ_ONE_FILE = frozenset({
    'InitializeTableFromTextFile', 'InitializeTableFromTextFileV2', 'ReadFile'})
_HANDED_ON = frozenset({'Identity', 'PlaceholderWithDefault', 'ReadVariableOp'})
# TF2 keeps each path in a variable, for sessions.
_KEPT = frozenset({'Assign', 'AssignVariableOp'})
_LOOKED_AT = frozenset({'IsVariableInitialized', 'VarIsInitializedOp'})


def may_read_neighbours(meta_graph: Any, bodies: Mapping[str, Body]) -> bool:
  """Whether an op that takes the path of a file may read other files.

  Args:
    meta_graph: MetaGraphDef of a SavedModel.
    bodies: those of its graph.
  """
  returned = {parse_edge(name).source for signature in meta_graph.signature_def.values()
              for tensor in signature.outputs.values()
              for name in signature_tensors.tensor_names(tensor)}
  stack, seen = list(_paths(meta_graph, bodies)), set()
  while stack:
    body_name, source = stack.pop()
    if (body_name, source) in seen:
      continue
    seen.add((body_name, source))
    body = bodies[body_name]
    if source in (returned if body_name == MAIN_GRAPH else body.result_nodes):
      return True
    for name in body.nodes:
      for position, edge in enumerate(body.data_edges(name)):
        if edge.source == source:
          taken_on = _taken_on(body, name, position, bodies)
          if taken_on is None:
            return True
          stack += taken_on
  return False


def _paths(meta_graph: Any, bodies: Mapping[str, Body]) -> Iterator[tuple[str, str]]:
  """Nodes and arguments, each with the body, that hold the path of a file."""
  for name in asset_files.tensor_names(meta_graph):
    source = parse_edge(name).source
    if source in bodies[MAIN_GRAPH].nodes:
      yield MAIN_GRAPH, source
  objects = meta_graph.object_graph_def
  for name, described in objects.concrete_functions.items():
    if name in bodies:
      arguments = list(bodies[name].arguments)
      first = len(arguments) - len(described.bound_inputs)
      for i, object_id in enumerate(described.bound_inputs):
        if objects.nodes[object_id].WhichOneof('kind') == 'asset':
          yield name, arguments[first + i]


def _taken_on(body: Body, name: str, position: int,
              bodies: Mapping[str, Body]) -> list[tuple[str, str]] | None:
  """Where the path goes from an input of a node; None if that is not known."""
  node = body.nodes[name]
  call = call_of(node)
  if call is not None:
    argument = position - call.first_input
    if argument < 0 or call.is_loop:
      return None
    return [(function, list(bodies[function].arguments)[argument])
            for function in call.functions]
  if node.op in _READ_ONE_FILE or node.op in _LOOKED_AT:
    return []
  if node.op in _HANDED_ON:
    return [(body.name, name)]
  if node.op in _KEPT:
    if position == 0:
      return []
    handle = body.data_edges(name)[0].source
    resource = handle in body.nodes and resource_of(body, handle)
    return ([(body.name, other) for other in handles_of(bodies, [resource], body.name)]
            if resource else None)
  return None
