"""What libraries write is kept, and shown where a command does not end well."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]

# Each line that is no chatter of a library says `shown`.
_SCRIPT = '''
import logging, os, sys, warnings
from absl import flags, logging as absl_logging
from exporter import command_line
from exporter.console import stages
from exporter.errors import UserError

flags.DEFINE_string('end', '', 'How to end.')

def main():
  os.write(2, b'of C++\\n')
  warnings.warn('of Python')
  logging.getLogger('tensorflow').warning('of TensorFlow')
  absl_logging.error('of upstream')
  os.system('echo of a child >&2')
  with stages.Stages()('shown stage'):
    print('shown by us', file=sys.stderr)
  end = flags.FLAGS.end
  if end == 'mistake':
    raise UserError('shown sentence')
  if end == 'bug':
    raise KeyError('shown bug')
  if end == 'abort':
    os.abort()
  if end == 'interrupt':
    raise KeyboardInterrupt
  return int(end or 0)

def before(arguments):
  os.write(2, b'of an import\\n')
  logging.getLogger('tensorflow').warning('of an early logger')

command_line.run(main, 'command', before)
'''
_CHATTER = ('of C++', 'of Python', 'of TensorFlow', 'of upstream', 'of a child',
            'of an import', 'of an early logger')


def _run(*flags):
  return subprocess.run(
      [sys.executable, '-c', _SCRIPT, *flags], capture_output=True, text=True, timeout=60,
      env={**os.environ, 'PYTHONPATH': str(_ROOT), 'PYTHONWARNINGS': 'always'})


@pytest.mark.parametrize('flags, status, lines', [
    ((), 0, 2), (('--end=7',), 7, 2), (('--end=mistake',), 1, 3),
    (('--verbosity=-1',), 0, 2),
], ids=['well', 'with a finding', 'with a mistake', 'fewer warnings'])
def test_chatter_is_kept(flags, status, lines):
  done = _run(*flags)
  assert done.returncode == status
  assert [line for line in done.stderr.splitlines() if 'shown' not in line] == []
  assert len(done.stderr.splitlines()) == lines
  assert re.search(r'^shown stage: \d\.\d s$', done.stderr, re.M)


@pytest.mark.parametrize('end, status', [
    ('bug', 1), ('abort', -signal.SIGABRT)])
def test_chatter_is_shown_once_where_a_command_fails(end, status):
  done = _run(f'--end={end}')
  assert done.returncode == status
  for text in (*_CHATTER, 'shown by us'):
    # What warns shows its line of the script as well.
    assert len(re.findall(rf'{re.escape(text)}$', done.stderr, re.M)) == 1, text


def test_chatter_is_shown_where_it_is_asked_for():
  done = _run('--verbosity=1')
  assert done.returncode == 0
  assert all(text in done.stderr for text in _CHATTER)


@pytest.mark.parametrize('flags', [('--verbosity', '1'), ('-v', '1'), ('-v=0',)])
def test_spellings_of_verbosity(flags):
  assert 'of C++' in _run(*flags).stderr


def test_a_flag_that_is_wrong_needs_no_chatter():
  done = _run('--ende=7')
  assert done.returncode == 1 and 'of an import' not in done.stderr
  assert "Unknown command line flag 'ende'" in done.stderr
