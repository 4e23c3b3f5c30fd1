r"""Measures images a second by batch, and what a second signature costs.

  python -m benchmarks.batch_sizes --models=ssd,mask_rcnn --rounds=5

Ours, exported for any batch, against stock's export called once an image, in turn in
one process; and exports with one signature and with two, in turn, each a fresh process.
Writes tables, and JSON with every value.
"""

from __future__ import annotations

import json
import os
import statistics

from absl import flags
from rich import console as rich_console
from rich import table as rich_table

from benchmarks import machine
from benchmarks import processes
from benchmarks.checkpoints import random_checkpoint
from exporter import command_line
from exporter.errors import UserError
from exporter.saved_model.files import file_bytes

# Pipeline config and output profile.
_MODELS = {
    'ssd': ('ssd_mobilenet_v2_small', 'boxes'),
    'efficientdet': ('efficientdet_d0_small', 'boxes'),
    'mask_rcnn': ('mask_rcnn_resnet50_small', 'boxes_and_masks'),
    'mask_rcnn_1024': ('mask_rcnn_inception_resnet_v2_1024x1024_coco17_gpu-8',
                       'boxes_and_masks'),
}
_ANY_BATCH = '--input_shape=-1,-1,-1,3'
_SECOND_SIGNATURE = '--add_signature=from_bytes:encoded_image_string_tensor'

# Seconds of each round, by what was timed.
Times = dict[str, list[float]]


def measure_batches(model: str, directory: str, batches: list[int], rounds: int
                    ) -> dict[int, Times]:
  """Seconds of `stock` and `ours` for each batch, in each round.

  Args:
    model: one of `_MODELS`.
    directory: for the checkpoint and the exports, which are made where missing.
    batches: how many images a call of ours takes; stock is called once for each.
    rounds: how often each is timed.
  """
  checkpoint = _checkpoint(model, directory)
  exports = {name: os.path.join(directory, name) for name in ('stock', 'ours')}
  if not os.path.exists(exports['stock']):
    processes.run_python('-m', 'benchmarks.stock_export', _config(model), checkpoint,
                         exports['stock'])
  if not os.path.exists(exports['ours']):
    _export(model, directory, exports['ours'], _ANY_BATCH)
  done = processes.run_python(
      '-m', 'benchmarks.time_batches', f'{exports["stock"]}/saved_model',
      f'{exports["ours"]}/saved_model', ','.join(map(str, batches)), str(rounds))
  times = json.loads(done.stdout.splitlines()[-1])
  return {int(batch): of_both for batch, of_both in times.items()}


def measure_signatures(model: str, directory: str, rounds: int
                       ) -> tuple[dict[str, Times], dict[str, int]]:
  """Seconds of exports with `one` and with `two` signatures, and bytes of the graphs.

  Args:
    model: one of `_MODELS`.
    directory: for the checkpoint and the exports.
    rounds: how often each is exported.
  """
  _checkpoint(model, directory)
  flags_of = {'one': (), 'two': (_SECOND_SIGNATURE,)}
  seconds, sizes = {name: [] for name in flags_of}, {}
  for _ in range(rounds):
    for name, more in flags_of.items():
      target = os.path.join(directory, name)
      seconds[name].append(_export(model, directory, target, *more))
      sizes[name] = file_bytes(os.path.join(target, 'saved_model'))[0]
  return seconds, sizes


def ratio(times: Times, numerator: str, denominator: str) -> float:
  """The median of the ratios, each of one round: what slows a round slows both."""
  return statistics.median(
      a / b for a, b in zip(times[numerator], times[denominator]))


def _config(model: str) -> str:
  return f'configs/pipelines/{_MODELS[model][0]}.config'


def _checkpoint(model: str, directory: str) -> str:
  return random_checkpoint(_config(model), os.path.join(directory, 'checkpoint'))


def _export(model: str, directory: str, target: str, *more: str) -> float:
  """Exports with ours; the seconds that it took, imports included."""
  return processes.run_python(
      '-m', 'exporter.exporter_main_v2', f'--pipeline_config_path={_config(model)}',
      f'--trained_checkpoint_dir={_checkpoint(model, directory)}',
      f'--output_directory={target}', f'--output_config={_MODELS[model][1]}',
      *more).seconds


def _batch_table(model: str, times: dict[int, Times]) -> rich_table.Table:
  table = rich_table.Table(title=f'{_MODELS[model][0]}, images a second')
  for column in ('batch', 'stock, once an image', 'ours', 'ours/stock'):
    table.add_column(column, justify='right')
  for batch, of_both in times.items():
    table.add_row(
        str(batch),
        *(f'{batch / statistics.median(of_both[name]):.2f}' for name in ('stock', 'ours')),
        f'{ratio(of_both, "stock", "ours"):.2f}')
  return table


def _signature_table(model: str, seconds: Times, sizes: dict[str, int]
                     ) -> rich_table.Table:
  table = rich_table.Table(title=f'{_MODELS[model][0]}, signatures')
  for column in ('', 'one', 'two', 'two/one'):
    table.add_column(column, justify='right' if column else 'left')
  table.add_row('saved_model.pb bytes', f'{sizes["one"]:,}', f'{sizes["two"]:,}',
                f'{sizes["two"] / sizes["one"]:.3f}')
  table.add_row('export s', *(f'{statistics.median(seconds[name]):.1f}'
                              for name in ('one', 'two')),
                f'{ratio(seconds, "two", "one"):.3f}')
  return table


def _define_flags() -> None:
  # Not at import, as tests import this.
  flags.DEFINE_list('models', list(_MODELS), f'Which of {", ".join(_MODELS)}.')
  flags.DEFINE_list('batches', ['1', '2', '4', '8'], 'Images a call.')
  flags.DEFINE_integer('rounds', 5, 'How often; medians count.', lower_bound=0)
  flags.DEFINE_integer('export_rounds', 3, 'The same of exports with one signature and'
                       ' with two.', lower_bound=0)
  flags.DEFINE_string('output_directory', 'build/batch_sizes', 'Where exports and'
                      ' results go.')


def main() -> None:
  args = flags.FLAGS
  unknown = sorted(set(args.models) - set(_MODELS))
  if unknown:
    raise UserError(f'There is no model {unknown[0]!r}; there are {", ".join(_MODELS)}.')
  report = {'machine': machine.describe(('protobuf', 'numpy')), 'models': {}}
  console = rich_console.Console(width=110)
  for model in args.models:
    directory = os.path.join(args.output_directory, model)
    os.makedirs(directory, exist_ok=True)
    found = report['models'].setdefault(model, {})
    load = os.getloadavg()[0]
    if args.rounds:
      found['batches'] = measure_batches(
          model, directory, [int(batch) for batch in args.batches], args.rounds)
      console.print(_batch_table(model, found['batches']))
    if args.export_rounds:
      found['export_seconds'], found['saved_model_bytes'] = measure_signatures(
          model, directory, args.export_rounds)
      console.print(_signature_table(
          model, found['export_seconds'], found['saved_model_bytes']))
    # Others may have kept the machine busy.
    found['load_averages'] = [load, os.getloadavg()[0]]
    # After each model: the large one takes long, and may be interrupted.
    path = os.path.join(args.output_directory, 'results.json')
    with open(path, 'w', encoding='utf-8') as f:
      json.dump(report, f, indent=2)
  console.print(f'Medians on {report["machine"]}.')


if __name__ == '__main__':
  _define_flags()
  command_line.run(main, 'batch_sizes')
