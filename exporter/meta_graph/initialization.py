"""What a session runs once after loading: filling tables, mostly."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from exporter.graph.bodies import MAIN_GRAPH, Body, Edge, call_of, parse_edge
from exporter.graph.op_effects import Effect, OpEffects
from exporter.graph.resources import Resource, resource_of
from exporter.graph.walk import reached

# Where TF1 names the ops that loaders run.
_LOADED = ('saved_model_main_op', 'legacy_init_op')
# And those that the program runs, with `tf.compat.v1.tables_initializer()` and the
# like; TF2 runs the first where there is nothing else to run.
_LATER = ('table_initializer', 'local_init_op', 'init_op')
COLLECTIONS = _LOADED + _LATER

# The signature by which TF2 does.
SIGNATURE = '__saved_model_init_op'

# What the names of ops start with that change their first input and nothing else.
_FILLS = ('Assign', 'InitializeTable', 'LookupTableI', 'LookupTableRemove',
          'ResourceScatter', 'Scatter')
_HANDED_ON = frozenset({'Identity', 'RefIdentity', 'RefSwitch', 'Switch'})


def main_ops(meta_graph: Any) -> list[str]:
  """Names of the nodes that are run."""
  names = [text for collection in COLLECTIONS
           for text in _node_list(meta_graph, collection)]
  if SIGNATURE in meta_graph.signature_def:
    names += [tensor.name for tensor
              in meta_graph.signature_def[SIGNATURE].outputs.values()]
  return [parse_edge(name).source for name in names]


@dataclasses.dataclass(frozen=True)
class Kept:
  """What is still run once after loading.

  Attributes:
    ops: names of the nodes that stay.
    groups: what the groups of such nodes, by name, still take.
  """
  ops: frozenset[str]
  groups: dict[str, list[str]]


def kept(meta_graph: Any, bodies: Mapping[str, Body], effects: OpEffects,
         live: Collection[Resource]) -> Kept:
  """What stays of the groups that are run.

  Nodes go that only fill tables and variables none of which is `live`.
  """
  main = bodies[MAIN_GRAPH]
  fillers = _Fillers(bodies, effects)
  ops, groups = set(), []
  for name in _walk(main, main_ops(meta_graph)):
    if _is_group(main, name):
      groups.append(name)
      continue
    filled = fillers.of_all_behind(name)
    if filled is None or filled & set(live):
      ops.add(name)
  staying = {*ops, *groups}
  return Kept(frozenset(ops), {
      name: [text for text in main.nodes[name].input
             if parse_edge(text).source in staying] for name in groups})


def keep(meta_graph: Any, staying: Kept) -> None:
  """Takes from the groups and from the lists of TF1, in place, all else."""
  for node in meta_graph.graph_def.node:
    if node.name in staying.groups:
      node.input[:] = staying.groups[node.name]
  for collection in COLLECTIONS:
    texts = _node_list(meta_graph, collection)
    left = [text for text in texts
            if parse_edge(text).source in {*staying.ops, *staying.groups}]
    if left:
      texts[:] = left
    elif texts:
      del meta_graph.collection_def[collection]


def called_functions(bodies: Mapping[str, Body], ops: Collection[str]) -> set[str]:
  """Names of the functions that nodes of the main graph call, and these in turn."""
  return _reached(bodies, [(MAIN_GRAPH, name) for name in ops])


def called_by_all(meta_graph: Any, bodies: Mapping[str, Body]) -> set[str]:
  """Names of the functions that anything calls that is run, and these in turn."""
  return called_functions(
      bodies, list(_walk(bodies[MAIN_GRAPH], main_ops(meta_graph))))


def called_within(bodies: Mapping[str, Body], functions: Collection[str]) -> set[str]:
  """Names of the functions that some functions call, and these in turn."""
  return _reached(bodies, [(function, name) for function in functions
                           for name in bodies[function].nodes])


def _reached(bodies: Mapping[str, Body], nodes: list[tuple[str, str]]) -> set[str]:
  found: set[str] = set()
  while nodes:
    body, name = nodes.pop()
    call = call_of(bodies[body].nodes[name])
    new = set(call.functions) - found if call else set()
    found |= new
    nodes += [(function, inner) for function in new for inner in bodies[function].nodes]
  return found


def _node_list(meta_graph: Any, collection: str) -> Any:
  if collection not in meta_graph.collection_def:
    return []
  return meta_graph.collection_def[collection].node_list.value


def _is_group(main: Body, name: str) -> bool:
  return bool(main.nodes[name].op == 'NoOp')


def _walk(main: Body, names: Collection[str]) -> Iterator[str]:
  """Some nodes, and where these are groups what they group."""
  return reached(
      names, lambda name: main.sources(name) if _is_group(main, name) else ())


class _Fillers:
  """Tells which resources a node fills, through calls."""

  def __init__(self, bodies: Mapping[str, Body], effects: OpEffects):
    self._bodies = bodies
    self._effects = effects

  def of_all_behind(self, name: str) -> set[Resource] | None:
    """What running a node of the main graph changes, with all that runs before."""
    main = self._bodies[MAIN_GRAPH]
    found: set[Resource] = set()
    for behind in main.all_behind([name]):
      filled = self._of(MAIN_GRAPH, behind, {})
      if filled is None:
        return None
      found |= filled
    return found

  def _of(self, body_name: str, name: str,
         passed: Mapping[str, Resource]) -> set[Resource] | None:
    """The resources that running a node changes; None if that is not known.

    Args:
      body_name: where the node is.
      name: of the node.
      passed: what the arguments of that body are handles of.
    """
    body = self._bodies[body_name]
    node = body.nodes[name]
    effect = self._effects.of(node)
    if effect is Effect.NONE:
      return set()
    call = call_of(node)
    if call is None:
      filled = self._handle(body, body.data_edges(name)[:1], passed)
      is_known = effect is Effect.CHANGES and node.op.startswith(_FILLS)
      return {filled} if is_known and filled is not None else None
    inputs = [self._handle(body, [edge], passed)
              for edge in body.data_edges(name)[call.first_input:]]
    found: set[Resource] = set()
    for function in call.functions:
      inner = self._bodies[function]
      handles = {argument: handle for argument, i in inner.arguments.items()
                 if (handle := inputs[i]) is not None}
      for inner_name in inner.nodes:
        filled_inside = self._of(function, inner_name, handles)
        if filled_inside is None:
          return None
        found |= filled_inside
    return found

  def _handle(self, body: Body, edges: Sequence[Edge],
              passed: Mapping[str, Resource]) -> Resource | None:
    """The resource that an edge is the handle of, as far as that can be told."""
    while edges:
      source = edges[0].source
      if source in body.arguments:
        return passed.get(source)
      if body.nodes[source].op not in _HANDED_ON:
        return resource_of(body, source)
      edges = body.data_edges(source)[:1]
    return None
