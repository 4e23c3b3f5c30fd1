"""What the checkpoint of a SavedModel restores, and which of its objects that is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from exporter.errors import UserError
from exporter.graph.bodies import Body
from exporter.meta_graph import object_graph, saved_variables
from exporter.meta_graph.saved_variables import Checkpoint, Witnesses
from exporter.meta_graph.saver import SavedTable, SavedVariable


class Restored:
  """The variables and tables that the checkpoint has values of.

  Attributes:
    variables: of the main graph.
    tables: of the main graph: mutable ones, whose content is saved.
    ids: the object that each node of the main graph stands for, if that is known.
  """

  def __init__(self, meta_graph: Any, bodies: dict[str, Body], checkpoint: Checkpoint):
    """Reads it.

    Args:
      meta_graph: MetaGraphDef of a SavedModel.
      bodies: those of its graph.
      checkpoint: from which it is restored.

    Raises:
      UserError: something else is restored, or in two ways that differ.
    """
    self._objects = meta_graph.object_graph_def
    witnesses = Witnesses.of(meta_graph, bodies, checkpoint.objects)
    self.ids = saved_variables.object_ids(meta_graph, bodies, witnesses)
    self.variables = saved_variables.all_variables(
        meta_graph, witnesses, checkpoint, self.ids)
    self.tables = saved_variables.all_tables(bodies, witnesses, checkpoint, self.ids)

  def objects(self) -> set[int]:
    """The objects of these variables and tables, as far as they are known."""
    nodes = [*(v.node for v in self.variables), *(t.node for t in self.tables)]
    return {self.ids[node] for node in nodes if node in self.ids}

  def object_ids(self, states: Sequence[SavedVariable | SavedTable]) -> list[int]:
    """The object of each of some variables or tables.

    Raises:
      UserError: there is none, or none that restores a table.
    """
    for state in states:
      if state.node not in self.ids:
        raise UserError(f'The SavedModel is damaged: no object stands for the'
                        f' {_kind(state)} {state.node!r}, which the outputs need.')
      if not object_graph.is_restored(self._objects.nodes[self.ids[state.node]]):
        raise UserError(
            f'The graph of the SavedModel restores the table {state.node!r}, which the'
            ' outputs need, and its objects do not; load and save it with a current'
            ' TensorFlow first.')
    return [self.ids[state.node] for state in states]

  def check_is_whole(self, live_handles: Collection[str]) -> None:
    """Checks that the checkpoint has a value of each live variable that is an object.

    Raises:
      UserError: it lacks one.
    """
    known = {v.node for v in self.variables}
    for node in sorted((self.ids.keys() & set(live_handles)) - known):
      if self._objects.nodes[self.ids[node]].WhichOneof('kind') == 'variable':
        raise UserError(f'The SavedModel is damaged: its checkpoint has no value of'
                        f' the variable {node!r}, which the outputs need.')


def _kind(state: SavedVariable | SavedTable) -> str:
  return 'table' if isinstance(state, SavedTable) else 'variable'
