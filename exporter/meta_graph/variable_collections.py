"""What TF1 knows of variables: lists of VariableDefs in a MetaGraphDef.

The v1 loader makes Python variables of them, for initializing and saving.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from tensorflow.core.framework import variable_pb2

from exporter.graph.bodies import parse_edge

NAMES = (
    'global_variables', 'local_variables', 'model_variables',
    'moving_average_variables', 'trainable_variables', 'variables')

# What a VariableDef names.
_TENSORS = (
    'variable_name', 'initializer_name', 'snapshot_name', 'initial_value_name')


def definitions(meta_graph: Any) -> Iterator[tuple[str, variable_pb2.VariableDef]]:
  """Every entry of the lists, with the name of its list."""
  for collection in NAMES:
    if collection in meta_graph.collection_def:
      for text in meta_graph.collection_def[collection].bytes_list.value:
        yield collection, variable_pb2.VariableDef.FromString(text)


def keep(meta_graph: Any, nodes: Collection[str],
         new_name: Callable[[str], str]) -> None:
  """Takes from the lists, in place, the variables whose node is not in `nodes`.

  The others are described by the names that `new_name` gives to tensors.
  """
  kept: dict[str, list[bytes]] = {}
  for collection, definition in definitions(meta_graph):
    if parse_edge(definition.variable_name).source in nodes:
      for field in _TENSORS:
        if getattr(definition, field):
          setattr(definition, field, new_name(getattr(definition, field)))
      kept.setdefault(collection, []).append(definition.SerializeToString())
  for collection in NAMES:
    if collection in meta_graph.collection_def:
      meta_graph.collection_def[collection].bytes_list.value[:] = kept.get(
          collection, [])


def tensor_names(meta_graph: Any, nodes: Collection[str] | None = None) -> list[str]:
  """The variables, and by what the lists tell how to read and initialize them.

  Args:
    meta_graph: has the lists.
    nodes: only of the variables whose node is one of them; None for all.
  """
  return [getattr(definition, field) for _, definition in definitions(meta_graph)
          if nodes is None or parse_edge(definition.variable_name).source in nodes
          for field in _TENSORS if getattr(definition, field)]
