r"""Counts the nodes of a SavedModel's functions that nothing needs.

  python -m exporter.dead_nodes --saved_model_dir=exported/saved_model

A node is needed when a result of its function, or an op that checks or changes
something, can be reached from it; all nodes of a function that nobody calls are
dead. Walks the FunctionDefs by itself and shares no code with the pruner but the
table of ops with effects. Exits with 1 when it finds any.
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
  """Walks every function of a MetaGraphDef, the largest first."""
  from exporter.graph import bodies as graph_bodies
  from exporter.graph import op_effects
  bodies = graph_bodies.bodies_of(meta_graph.graph_def)
  effects = op_effects.OpEffects(bodies, op_effects.op_kinds(meta_graph))
  functions = {f.signature.name: f for f in meta_graph.graph_def.library.function}
  called = _called_functions(meta_graph, functions)
  counts = []
  for name, function in functions.items():
    needed = _needed_nodes(function, effects) if name in called else set()
    counts.append(FunctionNodes(
        name, len(function.node_def),
        tuple(n.name for n in function.node_def if n.name not in needed)))
  return sorted(counts, key=lambda count: -count.nodes)


def _needed_nodes(function, effects) -> set[str]:
  nodes = {node.name: node for node in function.node_def}
  stack = [text.partition(':')[0] for text in function.ret.values()]
  stack += [name for name, node in nodes.items() if effects.of(node)]
  needed = set()
  while stack:
    name = stack.pop()
    if name in nodes and name not in needed:
      needed.add(name)
      stack += [text.partition(':')[0] for text in nodes[name].input
                if not text.startswith('^')]
  return needed


def _called_functions(meta_graph, functions) -> set[str]:
  from exporter.graph.bodies import functions_named_in
  stack = list(meta_graph.object_graph_def.concrete_functions)
  for node in meta_graph.graph_def.node:
    stack += [node.op, *functions_named_in(node)]
  called = set()
  while stack:
    name = stack.pop()
    if name in functions and name not in called:
      called.add(name)
      for node in functions[name].node_def:
        stack += [node.op, *functions_named_in(node)]
  return called


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
