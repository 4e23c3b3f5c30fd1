r"""Counts the nodes of a SavedModel's functions that nothing needs.

  python -m exporter.dead_nodes --saved_model_dir=exported/saved_model

A node is needed when something that the SavedModel offers needs it: a signature,
a function of the loaded object, saving and restoring. What that is follows the
rules by which outputs are removed. Exits with 1 when it finds any.
"""

import dataclasses
import os

if not __package__:  # Run by its path.
  import runpy
  runpy.run_path(os.path.join(
      os.path.dirname(os.path.abspath(__file__)), 'by_path.py'))

# pylint: disable=g-import-not-at-top
from rich import console as rich_console
from rich import table as rich_table

from exporter import command_line
from exporter.detection import environment
from exporter.detection import needless_imports
from exporter.saved_model.files import SavedModelFiles, find_saved_model, parse_tag_set

_SAVED_MODEL_DIR = command_line.define_saved_model_dir(
    'The SavedModel to walk through')
_TAG_SET = command_line.define_tag_set()


@dataclasses.dataclass(frozen=True)
class FunctionNodes:
  """The nodes of one function.

  Attributes:
    name: of the function.
    nodes: how many it has.
    dead: names of those that nothing needs.
  """
  name: str
  nodes: int
  dead: tuple[str, ...]


def dead_nodes(meta_graph) -> list[FunctionNodes]:
  """Walks every function of a MetaGraphDef, the largest first.

  Raises:
    UserError: it does not hang together.
  """
  from exporter.graph.bodies import bodies_of
  from exporter.graph.liveness import Liveness
  from exporter.graph.op_effects import OpEffects, op_kinds
  from exporter.meta_graph import offers, validation
  validation.check(meta_graph)
  bodies = bodies_of(meta_graph.graph_def)
  liveness = Liveness(bodies, OpEffects(bodies, op_kinds(meta_graph)))
  liveness.mark(offers.roots_of(meta_graph, bodies))
  counts = [
      FunctionNodes(name, len(body.nodes), tuple(
          node for node in body.nodes if (name, node) not in liveness.nodes))
      for name, body in bodies.items() if name]
  return sorted(counts, key=lambda count: -count.nodes)


def main() -> int:
  """The command line; returns its exit status, 1 for dead nodes."""
  command_line.say_version(_SAVED_MODEL_DIR.value)
  folder = find_saved_model(_SAVED_MODEL_DIR.value)
  environment.check_tensorflow()
  source = SavedModelFiles.open(folder, parse_tag_set(_TAG_SET.value))
  counts = dead_nodes(source.serving_graph)
  table = rich_table.Table()
  for column in ('function', 'nodes', 'dead'):
    table.add_column(column, justify='left' if column == 'function' else 'right')
  for count in [c for c in counts if c.dead] or counts[:10]:
    table.add_row(count.name, f'{count.nodes:,}', f'{len(count.dead):,}')
  dead = sum(len(count.dead) for count in counts)
  console = rich_console.Console()
  console.print(table)
  console.print(f'{dead:,} of {sum(count.nodes for count in counts):,} nodes in'
                f' {len(counts):,} functions are dead.', highlight=False)
  return 1 if dead else 0


def run():
  """Entry point of the console script."""
  needless_imports.leave_out(keras=True)
  command_line.run(main, 'dead_nodes')


if __name__ == '__main__':
  run()
