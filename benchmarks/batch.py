r"""Measures images a second: a plain loop over stock's export, and `detect_images`.

  python -m benchmarks.batch --model=ssd --images=400

Contenders take turns, each a fresh process, once on all images and once on a quarter
of them. What the other images cost is the difference, which is free of the start-up.
Spark runs on a `local-cluster` of one and of two executors, each of one processor, and
needs the packages of `make cluster`. Writes a table, and JSON with every value.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics

from absl import flags
import numpy as np
from PIL import Image
from rich import console as rich_console
from rich import table as rich_table

from benchmarks import machine
from benchmarks import processes
from exporter import command_line
from exporter.errors import UserError

_MODELS = {'ssd': ('ssd_mobilenet_v2_small', 'boxes'),
           'mask_rcnn': ('mask_rcnn_resnet50_small', 'boxes_and_masks')}
_SIZE = (480, 640)
_LOOP = "one-image loop over stock's"


@dataclasses.dataclass
class Timed:
  """Seconds of a contender in each round: with all images, and with a quarter."""
  images: int
  all: list[float] = dataclasses.field(default_factory=list)
  quarter: list[float] = dataclasses.field(default_factory=list)

  @property
  def images_per_second(self) -> float:
    """Beyond the start-up."""
    more = statistics.median(a - q for a, q in zip(self.all, self.quarter))
    return (self.images - self.images // 4) / more

  @property
  def start_up(self) -> float:
    """Seconds, of the median round with all images."""
    return statistics.median(self.all) - self.images / self.images_per_second


def measure(model: str, folder: str, images: int, rounds: int, with_spark: bool
            ) -> dict[str, Timed]:
  """Times all contenders, by what they are called.

  Args:
    model: one of `_MODELS`.
    folder: for images, exports and results.
    images: how many there are.
    rounds: how often each is run.
    with_spark: whether Spark is among them.
  """
  exports = _exports(*_MODELS[model], os.path.join(folder, model))
  photos = os.path.join(folder, f'photos-{images}')
  _write_photos(photos, images)
  masters = {'detect_images': []}
  if with_spark:
    masters |= {f'detect_images, Spark, {executors} executor(s)':
                [f'--master=local-cluster[{executors},1,1024]'] for executors in (1, 2)}
  timed = {contender: Timed(images) for contender in (_LOOP, *masters)}
  for _ in range(rounds):
    for share, pattern in (('quarter', 'quarter-*.jpg'), ('all', '*.jpg')):
      pattern = os.path.join(photos, pattern)
      commands = {_LOOP: ('benchmarks.one_image_loop', exports['stock'], pattern)}
      for contender, master in masters.items():
        commands[contender] = (
            'exporter.detect_images', f'--saved_model_dir={exports["ours"]}',
            f'--images={pattern}', f'--output={folder}/{model}/found', '--overwrite',
            *master)
      for contender, command in commands.items():
        getattr(timed[contender], share).append(
            processes.run_python('-m', *command).seconds)
  return timed


def _exports(name: str, profile: str, directory: str) -> dict[str, str]:
  """The SavedModels of stock's export and ours, made where they are missing."""
  config = f'configs/pipelines/{name}.config'
  folders = {part: os.path.join(directory, part)
             for part in ('checkpoint', 'stock', 'ours')}
  commands = {
      'checkpoint': ('examples.random_checkpoint', f'--pipeline_config_path={config}',
                     f'--output_directory={folders["checkpoint"]}'),
      'stock': ('benchmarks.stock_export', config, folders['checkpoint'],
                folders['stock']),
      'ours': ('exporter.exporter_main_v2', f'--pipeline_config_path={config}',
               f'--trained_checkpoint_dir={folders["checkpoint"]}',
               f'--output_directory={folders["ours"]}', f'--output_config={profile}')}
  for part, command in commands.items():
    if not os.path.exists(folders[part]):
      processes.run_python('-m', *command)
  return {part: os.path.join(folders[part], 'saved_model') for part in ('stock', 'ours')}


def _write_photos(folder: str, count: int) -> None:
  """Smooth noise, which compresses as photos do."""
  if os.path.exists(folder):
    return
  os.makedirs(folder)
  rng = np.random.default_rng(0)
  for i in range(count):
    small = rng.integers(256, size=(_SIZE[0] // 16, _SIZE[1] // 16, 3), dtype=np.uint8)
    prefix = 'quarter-' if i < count // 4 else ''
    Image.fromarray(small).resize(_SIZE[::-1], Image.Resampling.BICUBIC).save(
        os.path.join(folder, f'{prefix}{i:05d}.jpg'), quality=90)


def _table(model: str, timed: dict[str, Timed]) -> rich_table.Table:
  table = rich_table.Table(title=_MODELS[model][0])
  for column in ('', 'images/s', '× the loop', 's a thousand images', 's to start'):
    table.add_column(column, justify='right' if column else 'left')
  for contender, values in timed.items():
    rate = values.images_per_second
    table.add_row(contender, f'{rate:.1f}', f'{rate / timed[_LOOP].images_per_second:.2f}',
                  f'{1000 / rate:.1f}', f'{values.start_up:.1f}')
  return table


def _define_flags() -> None:
  # Not at import: the processes that measure may have flags of their own.
  flags.DEFINE_multi_enum('model', list(_MODELS), list(_MODELS), 'Which. Repeatable.')
  flags.DEFINE_integer('images', 400, 'How many.', lower_bound=8)
  flags.DEFINE_integer('rounds', 3, 'How often; medians count.', lower_bound=1)
  flags.DEFINE_bool('spark', True, 'Whether to measure Spark.')
  flags.DEFINE_string(
      'output_directory', 'build/batch', 'Where images, exports and results go.')


def main() -> None:
  args = flags.FLAGS
  report = {'machine': machine.describe(('numpy', 'pyarrow')), 'models': {}}
  console = rich_console.Console(width=110)
  for model in args.model:
    try:
      timed = measure(model, args.output_directory, args.images, args.rounds, args.spark)
    except RuntimeError as e:  # Of a process that measures or exports.
      raise UserError(str(e)) from e
    report['models'][model] = {
        contender: dataclasses.asdict(values) for contender, values in timed.items()}
    console.print(_table(model, timed))
    # After each model: it takes long, and may be interrupted.
    path = os.path.join(args.output_directory, 'results.json')
    with open(path, 'w', encoding='utf-8') as f:
      json.dump(report, f, indent=2)
  print(f'Medians of {args.rounds} rounds on {report["machine"]}.')


if __name__ == '__main__':
  _define_flags()
  command_line.run(main, 'batch')
