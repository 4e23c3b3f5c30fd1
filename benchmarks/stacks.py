r"""Makes docs/stacks.md: what works under each TensorFlow, beside stock.

  for tf in 2.8 2.10 2.12 2.15 2.20 2.21; do make setup TF=$tf; done
  python -m benchmarks.stacks

Each stack's own Python exports, slims and patches the small models and compares
the outputs with those of stock's export under the same TensorFlow, bit for bit.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import subprocess
import sys
import tempfile

from absl import flags

from exporter import command_line

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_STACKS = ('2.8', '2.10', '2.12', '2.15', '2.20', '2.21')
_WAYS = ('none', 'selection', 'compact', 'slim', 'payload', 'patch')

_HEAD = '''# Under every TensorFlow

`python -m benchmarks.stacks` made this on {date}: for each TensorFlow, what stock exports
under it, and ours beside it, compared to the bit on one image. The models have random
weights.

'''
_WAYS_TEXT = '''\
* **export**: with all outputs (*none*), with four of them (*selection*), with those
  and `max_detections=5` (*compact*; beside stock's first five).
* **slim**: stock's export, slimmed to the four.
* **payload**: what the report says without TensorFlow, beside what it measures.
* **patch**: a copy of the installed `object_detection`, patched, whose own script then
  exports the four.

## Made with TensorFlow 2.20, loaded with another

The SSD, as exported with a selection (*lean*), as slimmed, and as stock writes it: the
largest difference from what it computes under 2.20. Kernels may round differently from
one TensorFlow to the next.

'''
_TAIL = '''
## Elsewhere

All this was run on Linux on x86-64, with the `tensorflow-cpu` wheels of the locks in
`requirements/`. On Windows and macOS nothing was run. What is different there for folders
and paths is simulated in the tests: `os.rename` that refuses to rename onto a folder, a C
library without a name, no `fcntl`, `renamex_np`, drives such as `C://models`.
'''


def _define_flags():
  # Not at import: tests import several of these modules.
  flags.DEFINE_list(
      'models', ['ssd_mobilenet_v2_small', 'mask_rcnn_resnet50_small'],
      'Names of files in configs/pipelines.')
  flags.DEFINE_string('target', 'docs/stacks.md', 'The document.')


def main():
  lines = [_HEAD.format(date=datetime.date.today().isoformat())]
  notes: list[str] = []
  for model in flags.FLAGS.models:
    lines.append(
        f'| `{model}` | export: none | selection | compact | slim | payload | patch |\n'
        f'|---|{"---|" * len(_WAYS)}\n')
    for stack in _STACKS:
      result = _ask(stack, model)
      cells = [_cell(result['ways'][way], notes) for way in _WAYS]
      lines.append(f'| TF {result["tensorflow"]}, Python {result["python"]} |'
                   f' {" | ".join(cells)} |\n')
      print(lines[-1], end='', flush=True)
    lines.append('\n')
  lines += [f'{i}. {note}\n' for i, note in enumerate(notes, 1)]
  lines += [_WAYS_TEXT, *_loads(), _TAIL]
  (_ROOT / flags.FLAGS.target).write_text(''.join(lines), encoding='utf-8')


def _loads() -> list[str]:
  """The table of what loads elsewhere."""
  lines = ['| loaded with TensorFlow | lean | slimmed | stock |\n|---|---|---|---|\n']
  with tempfile.TemporaryDirectory() as folder:
    _run('2.20', 'tests/support/newer_exports.py', folder)
    for stack in _STACKS:
      found = json.loads(
          _run(stack, '-m', 'benchmarks.load_cells', folder).splitlines()[-1])
      lines.append(f'| {stack} | {" | ".join(found.values())} |\n')
      print(lines[-1], end='', flush=True)
  return lines


def _ask(stack: str, model: str) -> dict:
  return json.loads(_run(
      stack, '-m', 'benchmarks.stack_cells',
      f'configs/pipelines/{model}.config').splitlines()[-1])


def _run(stack: str, *arguments: str) -> str:
  """What a stack's Python prints."""
  venv = _ROOT / ('.venv' if stack == '2.20' else f'.venv-{stack}')
  done = subprocess.run(
      [venv / 'bin' / 'python', '-W', 'ignore', *arguments], cwd=_ROOT,
      capture_output=True, text=True, check=False)
  if done.returncode:
    sys.exit(f'TF {stack}: {done.stderr[-2000:]}')
  return done.stdout


def _cell(outcome: str, notes: list[str]) -> str:
  if outcome == 'equal':
    return 'bit-equal'
  notes.append(outcome)
  return f'{outcome.partition(":")[0]} [{len(notes)}]'


if __name__ == '__main__':
  _define_flags()
  command_line.run(main, 'stacks')
