r"""Measures what an export and a slimming take, as ratios to stock and to an import.

  python -m benchmarks.speed --rounds=3
  python -m benchmarks.speed --models=ssd,mask_rcnn --parts=export --rounds=1

Each contender is a fresh process, and contenders take turns, so that a drift of the
machine's speed meets all of them. Beside wall times it says what the processors did,
which other work on the machine disturbs less. Prints Markdown.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
from collections.abc import Callable, Mapping

from absl import app
from absl import flags

from benchmarks import machine
from benchmarks import processes
from benchmarks.checkpoints import random_checkpoint

_CONFIGS = {
    'ssd': 'configs/pipelines/ssd_mobilenet_v2_small.config',
    'mask_rcnn': 'configs/pipelines/mask_rcnn_resnet50_small.config',
    'efficientdet': 'configs/pipelines/efficientdet_d0_small.config',
    'large': ('configs/pipelines/'
              'mask_rcnn_inception_resnet_v2_1024x1024_coco17_gpu-8.config'),
    'hourglass': 'benchmarks/configs/centernet_hourglass104_512x512.config',
}
_KEYS = ('--output_keys=detection_boxes,detection_scores,detection_classes,'
         'num_detections')

# What slimming takes once everything is imported, collecting garbage as the command does.
_OWN_WORK = '''
import gc, sys, time
gc.set_threshold(50_000)
import tensorflow
from exporter.saved_model import check, function_saving, writing
from exporter.output_keys import OutputSelection
from exporter.slimming import slim_saved_model
start = time.monotonic(), time.process_time()
slim_saved_model(sys.argv[1], sys.argv[2], OutputSelection.parse(sys.argv[3]))
print(time.monotonic() - start[0], time.process_time() - start[1])
'''


@dataclasses.dataclass(frozen=True)
class Medians:
  """Of the processes of one contender.

  Attributes:
    seconds: of wall time.
    cpu_seconds: of all threads, of the program and of the kernel for it.
    peak_bytes: of memory.
    written_bytes: of files.
    stdout: of the last one.
  """
  seconds: float
  cpu_seconds: float
  peak_bytes: float
  written_bytes: float
  stdout: str


def in_turn(contenders: Mapping[str, Callable[[], processes.Measured]],
            rounds: int) -> dict[str, Medians]:
  """Runs contenders one after the other, `rounds` times."""
  runs: dict[str, list[processes.Measured]] = {name: [] for name in contenders}
  for _ in range(rounds):
    for name, run in contenders.items():
      runs[name].append(run())
  fields = ('seconds', 'cpu_seconds', 'peak_bytes', 'written_bytes')
  return {name: Medians(
      *(statistics.median(getattr(one, field) for one in done) for field in fields),
      stdout=done[-1].stdout) for name, done in runs.items()}


def ratios(ours: Medians, other: Medians) -> list[str]:
  """Cells: both wall times, and ours/other of wall, CPU time, memory and bytes written."""
  def ratio(field: str) -> str:
    beside = getattr(other, field)
    return f'{getattr(ours, field) / beside:.2f}' if beside else ''

  return [f'{other.seconds:.1f}', f'{ours.seconds:.1f}',
          *map(ratio, ('seconds', 'cpu_seconds', 'peak_bytes', 'written_bytes'))]


class _Model:
  """A model's checkpoint and exports, made where they are missing."""

  def __init__(self, name: str):
    self.name = name
    self.config = _CONFIGS[name]
    self.folder = os.path.join(flags.FLAGS.output_directory, name)
    os.makedirs(self.folder, exist_ok=True)

  def path(self, *parts: str) -> str:
    return os.path.join(self.folder, *parts)

  def export(self, contender: str) -> processes.Measured:
    """Exports with `stock` or `ours`."""
    checkpoint = random_checkpoint(self.config, self.path('checkpoint'))
    target = self.path(contender)
    if contender == 'stock':
      return processes.run_python(
          '-m', 'benchmarks.stock_export', self.config, checkpoint, target)
    return processes.run_python(
        '-m', 'exporter.exporter_main_v2', f'--pipeline_config_path={self.config}',
        f'--trained_checkpoint_dir={checkpoint}', f'--output_directory={target}', _KEYS)

  def saved_model(self, contender: str) -> str:
    folder = self.path(contender, 'saved_model')
    if not os.path.exists(folder):
      self.export(contender)
    return folder

  def slim(self) -> processes.Measured:
    return processes.run_python(
        '-m', 'exporter.slim_saved_model',
        f'--saved_model_dir={self.saved_model("stock")}',
        f'--output_directory={self.path("slim")}', _KEYS)

  def slimming_alone(self) -> processes.Measured:
    """Prints wall and CPU seconds of slimming, imports left out."""
    return processes.run_python(
        '-c', _OWN_WORK, self.saved_model('stock'), self.path('slim'),
        _KEYS.partition('=')[2])

  def nodes(self) -> int:
    """How many nodes the functions of stock's export have."""
    from exporter import slimming
    return slimming.contents_of(self.saved_model('stock')).nodes

  def load(self, contender: str) -> processes.Measured:
    return processes.run_python('-c', (
        'import json, sys, time, tensorflow as tf; t = time.monotonic();'
        ' tf.saved_model.load(sys.argv[1]); print(time.monotonic() - t)'),
        self.saved_model(contender))


def _import_tensorflow() -> processes.Measured:
  return processes.run_python('-c', 'import tensorflow')


def _print_row(*cells: str) -> None:
  print('|', ' | '.join(cells), '|', flush=True)


def _print_header(*cells: str) -> None:
  print()
  _print_row(*cells)
  _print_row('---', *['---:'] * (len(cells) - 1))


_RATIOS = ('wall', 'CPU', 'peak memory', 'bytes written')


def measure_export(models: list[_Model], rounds: int) -> None:
  _print_header('export', 'stock s', 'ours s', *_RATIOS)
  for model in models:
    done = in_turn({'stock': lambda m=model: m.export('stock'),
                    'ours': lambda m=model: m.export('ours')}, rounds)
    _print_row(model.name, *ratios(done['ours'], done['stock']))


def measure_slimming(models: list[_Model], rounds: int) -> None:
  _print_header('slim', '`import tensorflow` s', 'slim s', *_RATIOS[:3], '',
                'without imports s', 'CPU s')
  for model in models:
    model.saved_model('stock')
    done = in_turn({'import': _import_tensorflow, 'slim': model.slim,
                    'alone': model.slimming_alone}, rounds)
    alone = map(float, done['alone'].stdout.split()[-2:])
    _print_row(model.name, *ratios(done['slim'], done['import'])[:5], '',
               *(f'{seconds:.1f}' for seconds in alone))


def measure_loading(models: list[_Model], rounds: int) -> None:
  _print_header('load', 'stock s', 'ours s', 'ratio', 'peak memory of the process')
  for model in models:
    for contender in ('stock', 'ours'):
      model.saved_model(contender)
    done = in_turn({'stock': lambda m=model: m.load('stock'),
                    'ours': lambda m=model: m.load('ours')}, rounds)
    stock, ours = (float(done[name].stdout.split()[-1]) for name in ('stock', 'ours'))
    _print_row(model.name, f'{stock:.1f}', f'{ours:.1f}', f'{ours / stock:.2f}',
               f'{done["ours"].peak_bytes / done["stock"].peak_bytes:.2f}')


def measure_growth(models: list[_Model], rounds: int) -> None:
  _print_header('growth', 'nodes', 'export CPU s', 'a 1,000 nodes', 'slim CPU s, no imports',
                'a 1,000 nodes')
  for nodes, model in sorted(((m.nodes(), m) for m in models), key=lambda pair: pair[0]):
    done = in_turn({'export': lambda m=model: m.export('ours'),
                    'alone': model.slimming_alone}, rounds)
    export, alone = done['export'].cpu_seconds, float(done['alone'].stdout.split()[-1])
    _print_row(model.name, f'{nodes:,}', f'{export:.1f}', f'{export / nodes * 1000:.2f}',
               f'{alone:.2f}', f'{alone / nodes * 1000:.3f}')


_MEASURES = {'export': measure_export, 'slim': measure_slimming,
             'load': measure_loading, 'growth': measure_growth}


def _define_flags() -> None:
  # Not at import, as tests import this.
  flags.DEFINE_list('models', list(_CONFIGS), f'Of {", ".join(_CONFIGS)}.')
  flags.DEFINE_list(
      'parts', ['export', 'slim', 'load', 'growth'], 'What is measured; the others build'
      ' on the exports, which stay in the output directory.')
  flags.DEFINE_integer(
      'rounds', 3, 'How often each is measured; the median counts.', lower_bound=1)
  flags.DEFINE_string(
      'output_directory', 'build/speed', 'Where checkpoints and exports go.')


def main(argv) -> None:
  unknown = [*argv[1:], *(set(flags.FLAGS.models) - set(_CONFIGS)),
             *(set(flags.FLAGS.parts) - set(_MEASURES))]
  if unknown:
    sys.exit(f'Unknown: {", ".join(unknown)}; models are {", ".join(_CONFIGS)}, parts'
             f' {", ".join(_MEASURES)}.')
  models = [_Model(name) for name in flags.FLAGS.models]
  for part in flags.FLAGS.parts:
    _MEASURES[part](models, flags.FLAGS.rounds)
  load = ', '.join(f'{value:.1f}' for value in os.getloadavg())
  print(f'\nMedians of {flags.FLAGS.rounds}, on {machine.describe(("protobuf", "numpy"))};'
        f' load average {load}.')


if __name__ == '__main__':
  _define_flags()
  app.run(main)
