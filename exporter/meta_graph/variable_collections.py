"""What TF1 knows of variables: lists of VariableDefs in a MetaGraphDef.

The v1 loader makes Python variables of them, for initializing and saving.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tensorflow.core.framework import variable_pb2

from exporter.graph.bodies import parse_edge

NAMES = (
    'global_variables', 'local_variables', 'model_variables',
    'moving_average_variables', 'trainable_variables', 'variables')


def definitions(meta_graph) -> Iterator[tuple[str, variable_pb2.VariableDef]]:
  """Every entry of the lists, with the name of its list."""
  for collection in NAMES:
    if collection in meta_graph.collection_def:
      for text in meta_graph.collection_def[collection].bytes_list.value:
        yield collection, variable_pb2.VariableDef.FromString(text)


def keep(meta_graph, nodes: Collection[str]) -> None:
  """Takes from the lists, in place, the variables whose node is not in `nodes`."""
  kept = {}
  for collection, definition in definitions(meta_graph):
    if parse_edge(definition.variable_name).source in nodes:
      kept.setdefault(collection, []).append(definition.SerializeToString())
  for collection in NAMES:
    if collection in meta_graph.collection_def:
      meta_graph.collection_def[collection].bytes_list.value[:] = kept.get(
          collection, [])


def tensor_names(meta_graph, nodes: Collection[str] | None = None) -> list[str]:
  """Tensors and nodes by which the lists tell how to read and initialize.

  Args:
    meta_graph: has the lists.
    nodes: only of the variables whose node is one of them; None for all.
  """
  return [name for _, definition in definitions(meta_graph)
          if nodes is None or parse_edge(definition.variable_name).source in nodes
          for name in (definition.initializer_name, definition.snapshot_name,
                       definition.initial_value_name) if name]
