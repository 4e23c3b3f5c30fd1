"""What long work says of itself, on a terminal and in a log."""

import logging
import os
import pathlib
import pty
import re
import subprocess
import sys

import pytest

from exporter.console.stages import Stages

_ROOT = pathlib.Path(__file__).resolve().parents[2]

_SCRIPT = '''
from absl import app
from exporter.console.stages import Stages

def main(argv):
  stages = Stages()
  with stages("restore"):
    pass
  with stages("trace"):
    if len(argv) > 1:
      raise ValueError("stop")

app.run(main)
'''


def run(*args, **options):
  return subprocess.run(
      [sys.executable, '-c', _SCRIPT, *args],
      env={**os.environ, 'PYTHONPATH': str(_ROOT), 'TERM': 'xterm'}, **options)


def run_on_a_terminal(*args) -> str:
  """What the script shows on a terminal that is its standard error."""
  ours, its = pty.openpty()
  run(*args, stderr=its)
  os.close(its)
  shown = b''
  try:
    while chunk := os.read(ours, 4096):
      shown += chunk
  except OSError:  # Linux says so at the end of what a closed terminal showed.
    pass
  os.close(ours)
  return shown.decode()


def test_terminal_shows_each_stage_with_its_time():
  shown = run_on_a_terminal()
  for name in ('restore', 'trace'):
    assert re.search(rf'✓[^\n]*{name}[^\n]*0:00:0', shown)


def test_terminal_shows_no_check_mark_for_a_stage_that_failed():
  shown = run_on_a_terminal('fail')
  assert re.search(r'✓[^\n]*restore', shown)
  assert not re.search(r'✓[^\n]*trace', shown)
  assert 'trace' in shown


def test_log_has_plain_lines_in_order():
  log = run(stderr=subprocess.PIPE, text=True).stderr
  assert re.findall(r'(\w+): \d+\.\d s$', log, re.M) == ['restore', 'trace']
  assert log.count('\n') == 2
  assert '\x1b' not in log and '✓' not in log


def test_log_does_not_say_that_a_failed_stage_ended():
  log = run('fail', stderr=subprocess.PIPE, text=True).stderr
  assert re.search(r'restore: ', log)
  assert not re.search(r'trace: ', log)


def test_stages_do_not_write_to_standard_output():
  done = run(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  assert done.stdout == ''


def test_error_in_a_stage_comes_out(caplog):
  caplog.set_level(logging.INFO)
  with pytest.raises(KeyError):
    with Stages()('trace'):
      raise KeyError('x')
