"""What a session runs once after loading: filling tables, mostly."""

from __future__ import annotations

from collections.abc import Collection

from exporter.graph.bodies import Body, call_of, parse_edge

# Where TF1 names the ops.
COLLECTIONS = ('saved_model_main_op', 'legacy_init_op')

# The signature by which TF2 does.
SIGNATURE = '__saved_model_init_op'

# What the names of ops start with that stand for tables and variables.
_HANDLES = ('AnonymousHashTable', 'HashTable', 'VarHandleOp', 'Variable')


def main_ops(meta_graph) -> list[str]:
  """Names of the nodes that are run."""
  names = []
  for collection in COLLECTIONS:
    if collection in meta_graph.collection_def:
      names += meta_graph.collection_def[collection].node_list.value
  if SIGNATURE in meta_graph.signature_def:
    names += [tensor.name for tensor
              in meta_graph.signature_def[SIGNATURE].outputs.values()]
  return [parse_edge(name).source for name in names]


def kept_inputs(meta_graph, main: Body,
                live: Collection[str]) -> dict[str, list[str]]:
  """Finds the groups that fill all, and which inputs of each fill what lives.

  Args:
    meta_graph: names the ops that are run.
    main: its main graph.
    live: names of the nodes that something else needs.
  """
  kept: dict[str, list[str]] = {}
  stack = main_ops(meta_graph)
  while stack:
    name = stack.pop()
    if name in kept or main.nodes[name].op != 'NoOp':
      continue
    kept[name] = [text for text in main.nodes[name].input
                  if not _fills_dead(main, parse_edge(text).source, live)]
    stack.extend(parse_edge(text).source for text in kept[name])
  return kept


def kept_ops(meta_graph, main: Body, live: Collection[str]) -> list[str]:
  """Names of the ops that are run and fill what lives, without the groups."""
  groups = kept_inputs(meta_graph, main, live)
  names = [*main_ops(meta_graph), *(parse_edge(text).source
                                    for kept in groups.values() for text in kept)]
  return [name for name in names if name not in groups]


def keep_inputs(graph_def, kept: dict[str, list[str]]) -> None:
  """Takes from the groups, in place, the inputs that `kept_inputs` has not."""
  for node in graph_def.node:
    if node.name in kept:
      node.input[:] = kept[node.name]


def _fills_dead(main: Body, name: str, live: Collection[str]) -> bool:
  """Whether a node fills tables or variables, all of them dead.

  An op fills what its first input is; a function, what is passed to it.
  """
  edges = main.data_edges(name)
  if call_of(main.nodes[name]) is None:
    edges = edges[:1]
  filled, stack, seen = [], [edge.source for edge in edges], set()
  while stack:
    node_name = stack.pop()
    if node_name in seen:
      continue
    seen.add(node_name)
    if main.nodes[node_name].op.startswith(_HANDLES):
      filled.append(node_name)
    stack.extend(edge.source for edge in main.data_edges(node_name))
  return bool(filled) and not any(handle in live for handle in filled)
