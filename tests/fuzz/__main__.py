"""Compares random models before and after they are slimmed.

  make fuzz ARGS='--seeds=0:500'
  make fuzz ARGS='--kind=tf1 --seeds=17 --keep=/tmp/case'
  make fuzz ARGS='--damage=exported/saved_model --seeds=0:500'

With --damage, the saved_model.pb of a real model is damaged, slimmed and loaded. Exit
status 1 where one of them is wrong or ends in a traceback.
"""

from __future__ import annotations

import argparse
import collections
import functools
import os
import pathlib
import shutil
import sys
import tempfile
import time

_TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent), str(_TESTS / 'support')]
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')


def main() -> int:
  options = _parse()
  from exporter.detection import environment
  environment.check_tensorflow()
  from processes import run_apart
  run_seed = _damaged(options.damage) if options.damage else _random()
  verdicts: collections.Counter[str] = collections.Counter()
  start, compared, has_failed = time.time(), 0, False
  for kind in ['damage'] if options.damage else options.kind.split(','):
    for seed in options.seeds:
      folder = pathlib.Path(tempfile.mkdtemp(prefix=f'fuzz_{kind}_{seed}_'))
      outcome = run_apart(functools.partial(run_seed, kind, seed, folder))
      verdicts[outcome.verdict] += 1
      compared += outcome.compared
      has_failed |= outcome.is_fault
      if outcome.verdict not in ('same', 'loads'):
        print(f'{kind} {seed}: {outcome.verdict}: {outcome.detail}', flush=True)
      if options.keep:
        shutil.copytree(folder, options.keep, dirs_exist_ok=True)
      shutil.rmtree(folder)
  print(', '.join(f'{count} {verdict}' for verdict, count in sorted(verdicts.items())),
        f'of {sum(verdicts.values())} seeds; {compared:,} values compared'
        f' in {time.time() - start:.0f} s')
  return int(has_failed)


def _random():
  import differential
  from absl import logging
  logging.set_verbosity(logging.ERROR)  # TensorFlow warns of gradients.

  def run(kind: str, seed: int, folder: pathlib.Path):
    differential.without_grappler()
    return differential.run_seed(kind, seed, folder)
  return run


def _damaged(model: str):
  import damages
  return lambda kind, seed, folder: damages.run_seed(model, seed, folder)


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--kind', default='tf2,tf1', help='tf2, tf1 or both (default)')
  parser.add_argument('--seeds', default='0:100', type=_seeds, help='N, or FIRST:END')
  parser.add_argument('--damage', help='a SavedModel to damage')
  parser.add_argument('--keep', help='folder for the models of the last seed')
  return parser.parse_args()


def _seeds(text: str) -> range:
  first, colon, end = text.partition(':')
  return range(int(first), int(end) if colon else int(first) + 1)


if __name__ == '__main__':
  sys.exit(main())
