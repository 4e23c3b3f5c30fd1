"""Where a checkpoint keeps what the objects of a SavedModel hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporter.meta_graph.object_graph import (
    TABLE_CONTENT, TABLES, VARIABLES, child_id)

# What checkpoints call the value of a variable.
VARIABLE_VALUE = 'VARIABLE_VALUE'


def checkpoint_graph(object_graph: Any, trackable_graph: Any) -> None:
  """Fills a TrackableObjectGraph, which tells where variables are in the files.

  Its nodes mirror those of `object_graph`, which `rewrite` has made.
  """
  trackable_graph.Clear()
  for node in object_graph.nodes:
    mirror = trackable_graph.nodes.add()
    for child in node.children:
      mirror.children.add(node_id=child.node_id, local_name=child.local_name)
  for node_id, key in _listed(object_graph, VARIABLES, checkpoint_key).items():
    _add_attribute(trackable_graph.nodes[node_id], VARIABLE_VALUE, key,
                   object_graph.nodes[node_id].variable.name)
  for node_id, key in _listed(object_graph, TABLES, table_key).items():
    _add_attribute(trackable_graph.nodes[node_id], TABLE_CONTENT, key)


def _add_attribute(mirror: Any, name: str, key: str, full_name: str = '') -> None:
  mirror.has_checkpoint_values.value = True
  mirror.attributes.add(name=name, full_name=full_name, checkpoint_key=key)


def checkpoint_key(position: int) -> str:
  """Checkpoint entry of the variable at `position` in the root's list."""
  return f'{VARIABLES}/{position}/.ATTRIBUTES/{VARIABLE_VALUE}'


def table_key(position: int) -> str:
  """What the checkpoint entries of the table at `position` start with."""
  return f'{TABLES}/{position}/.ATTRIBUTES/{TABLE_CONTENT}'


def table_entries(key: str) -> tuple[str, str]:
  """The checkpoint entries of the keys and of the values of a table."""
  return f'{key}-keys', f'{key}-values'


def _listed(object_graph: Any, name: str,
            key_at: Callable[[int], str]) -> dict[int, str]:
  """Checkpoint key by object id, of what a list of the root's holds."""
  holder = child_id(object_graph, 0, name)
  return {} if holder is None else {
      child.node_id: key_at(int(child.local_name))
      for child in object_graph.nodes[holder].children}


def checkpoint_keys(object_graph: Any, trackable_graph: Any) -> dict[str, dict[int, str]]:
  """The checkpoint key of each object that loading restores.

  As the loader of TF2 does, both graphs are walked from their roots by the same names.

  Args:
    object_graph: the SavedObjectGraph.
    trackable_graph: the TrackableObjectGraph in the checkpoint.

  Returns:
    Key by object id, by attribute: VARIABLE_VALUE of variables; TABLE_CONTENT of tables,
    whose `table_entries` are those of such a key.
  """
  keys: dict[str, dict[int, str]] = {VARIABLE_VALUE: {}, TABLE_CONTENT: {}}
  stack, seen = [(0, 0)] if trackable_graph.nodes else [], set()
  while stack:
    object_id, mirror_id = stack.pop()
    if (object_id, mirror_id) in seen or mirror_id >= len(trackable_graph.nodes):
      continue
    seen.add((object_id, mirror_id))
    mirror = trackable_graph.nodes[mirror_id]
    for held in mirror.attributes:
      if held.name in keys:
        keys[held.name][object_id] = held.checkpoint_key
    ids = {child.local_name: child.node_id for child in mirror.children}
    stack += [(child.node_id, ids[child.local_name])
              for child in object_graph.nodes[object_id].children
              if child.local_name in ids]
  return keys
