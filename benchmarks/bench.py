r"""Measures stock's export and ours side by side: export, size, load, run, slim.

  python -m benchmarks.bench --rounds=3
  python -m benchmarks.bench --models=small --rounds=1

Every measurement is a fresh process; stock and ours take turns, so that a drift
of the machine's speed meets both. Writes a table and JSON with the medians, and
the ratio ours/stock of each.
"""

import json
import os
import statistics
import sys

from absl import app
from absl import flags
from rich import console as rich_console
from rich import progress
from rich import table as rich_table

from benchmarks import machine
from benchmarks import processes
from benchmarks.checkpoints import random_checkpoint

_MODELS = {
    'large': 'mask_rcnn_inception_resnet_v2_1024x1024_coco17_gpu-8',
    'small': 'mask_rcnn_resnet50_small',
}
_KEYS = ('detection_boxes,detection_scores,detection_classes,detection_masks,'
         'num_detections')

_CHOSEN = flags.DEFINE_list(
    'models', ['small', 'large'], f'Which of {", ".join(_MODELS)}.')
_ROUNDS = flags.DEFINE_integer(
    'rounds', 3, 'How often each is measured; the median counts.', lower_bound=1)
_RUNS = flags.DEFINE_integer(
    'runs', 3, 'Inferences after the first in each process; 0 for none at all.',
    lower_bound=0)
_RECIPE = flags.DEFINE_boolean(
    'recipe', True, 'Whether to measure slimming and the load-pop-save recipe.')
_OUTPUT = flags.DEFINE_string(
    'output_directory', 'build/bench', 'Where exports and results go.')

# Rows of a model's results: what is measured, once for stock and once for ours.
Results = dict[str, dict[str, list[float]]]


def measure(model: str, directory: str, rounds: int, runs: int,
            recipe: bool) -> Results:
  """Measures one model.

  Args:
    model: a key of `_MODELS`.
    directory: for the checkpoint and the exports; made if missing.
    rounds: measurements of each kind.
    runs: inferences after the first in each process.
    recipe: whether to slim, and to try the recipe that does not.

  Returns:
    Values by row and by contender.
  """
  config = f'configs/pipelines/{_MODELS[model]}.config'
  checkpoint = random_checkpoint(config, os.path.join(directory, 'checkpoint'))
  exports = {name: os.path.join(directory, name) for name in ('stock', 'ours')}
  saved_models = {name: os.path.join(path, 'saved_model')
                  for name, path in exports.items()}
  commands = {
      'stock': ('benchmarks.stock_export', config, checkpoint, exports['stock']),
      'ours': ('exporter.exporter_main_v2', f'--pipeline_config_path={config}',
               f'--trained_checkpoint_dir={checkpoint}',
               f'--output_directory={exports["ours"]}', f'--output_keys={_KEYS}'),
  }
  results: Results = {}
  steps = rounds * (2 + 4 + 2 * recipe)
  with progress.Progress(console=rich_console.Console(stderr=True)) as bar:
    task = bar.add_task(model, total=steps)
    for _ in range(rounds):
      for name, command in commands.items():
        done = processes.run_python('-m', *command)
        _add(results, 'export s', name, done.seconds)
        _add(results, 'export peak MB', name, done.peak_bytes / 1e6)
        bar.advance(task)
      for loader in ('tf2', 'session'):
        for name, saved_model in saved_models.items():
          _measure_loading(results, loader, name, saved_model, runs)
          bar.advance(task)
      if recipe:
        _measure_slimming(results, saved_models['stock'], directory)
        bar.advance(task, 2)
  for name, saved_model in saved_models.items():
    _count_contents(results, name, saved_model)
  return results


def _measure_loading(results, loader, name, saved_model, runs) -> None:
  done = processes.run_python(
      '-m', 'benchmarks.load_and_run', saved_model, loader, str(runs))
  times = json.loads(done.stdout.splitlines()[-1])
  _add(results, f'{loader} load s', name, times['load_seconds'])
  _add(results, f'{loader} peak MB', name, _peak_of_loading(loader, saved_model))
  if not runs:
    return
  _add(results, f'{loader} first run s', name, times['first_run_seconds'])
  _add(results, f'{loader} later run s', name, times['later_run_seconds'])
  _add(results, 'response bytes', name, times['response_bytes'])


def _peak_of_loading(loader: str, saved_model: str) -> float:
  """Peak of a process that loads and does not run, in MB."""
  return processes.run_python(
      '-c', f'from benchmarks import load_and_run as l;'
      f' l.LOADERS[{loader!r}]({saved_model!r})').peak_bytes / 1e6


def _measure_slimming(results, stock: str, directory: str) -> None:
  """Fills the row with the recipe as stock and the slimmer as ours."""
  recipe = processes.run_python(
      '-m', 'benchmarks.resave_recipe', stock,
      os.path.join(directory, 'recipe'), _KEYS)
  slim_dir = os.path.join(directory, 'slim')
  slim = processes.run_python(
      '-m', 'exporter.slim_saved_model', f'--saved_model_dir={stock}',
      f'--output_directory={slim_dir}', f'--output_keys={_KEYS}')
  for name, done in (('stock', recipe), ('ours', slim)):
    _add(results, 'slim (recipe | ours) s', name, done.seconds)
    _add(results, 'slim peak MB', name, done.peak_bytes / 1e6)
  _add(results, 'slim outputs left', 'stock', float(recipe.stdout.split()[-1]))
  _add(results, 'slim outputs left', 'ours', len(_KEYS.split(',')))
  _add(results, 'slim saved_model.pb bytes', 'stock', os.path.getsize(
      os.path.join(directory, 'recipe', 'saved_model.pb')))
  _add(results, 'slim saved_model.pb bytes', 'ours', os.path.getsize(
      os.path.join(slim_dir, 'saved_model.pb')))


def _count_contents(results, name: str, saved_model: str) -> None:
  from exporter import slimming
  contents = slimming.contents_of(saved_model)
  for row, value in (
      ('outputs', len(contents.outputs)),
      ('saved_model.pb bytes', contents.saved_model_bytes),
      ('functions', contents.functions),
      ('nodes in functions', contents.nodes),
      ('variables bytes', contents.variable_bytes)):
    _add(results, row, name, value)


def _add(results: Results, row: str, name: str, value: float) -> None:
  results.setdefault(row, {}).setdefault(name, []).append(value)


def medians(results: Results) -> dict[str, dict[str, float]]:
  """The median of each contender and the ratio ours/stock, by row."""
  rows = {}
  for row, values in results.items():
    stock = statistics.median(values['stock'])
    ours = statistics.median(values['ours'])
    rows[row] = {'stock': stock, 'ours': ours, 'ratio': ours / stock}
  return rows


def main(argv):
  if len(argv) > 1 or set(_CHOSEN.value) - set(_MODELS):
    sys.exit(f'Unknown arguments; models are {", ".join(_MODELS)}.')
  report = {'machine': machine.describe(('protobuf', 'numpy')),
            'rounds': _ROUNDS.value, 'models': {}}
  console = rich_console.Console(width=110)
  for model in _CHOSEN.value:
    directory = os.path.join(_OUTPUT.value, model)
    os.makedirs(directory, exist_ok=True)
    results = measure(model, directory, _ROUNDS.value, _RUNS.value, _RECIPE.value)
    report['models'][_MODELS[model]] = {
        'medians': medians(results), 'values': results}
    console.print(_table(_MODELS[model], medians(results)))
    # After each model: the large one takes long, and may be interrupted.
    with open(os.path.join(_OUTPUT.value, 'results.json'), 'w',
              encoding='utf-8') as f:
      json.dump(report, f, indent=2)
  console.print(f'Medians of {_ROUNDS.value} rounds on {report["machine"]}.')


def _table(title: str, rows) -> rich_table.Table:
  table = rich_table.Table(title=title)
  for column in ('', 'stock', 'ours', 'ours/stock'):
    table.add_column(column, justify='right' if column else 'left')
  for row, values in rows.items():
    numbers = [f'{value:,.0f}' if value >= 1000 or value == int(value)
               else f'{value:,.2f}' for value in (values['stock'], values['ours'])]
    table.add_row(row, *numbers, f'{values["ratio"]:.3f}')
  return table


if __name__ == '__main__':
  app.run(main)
