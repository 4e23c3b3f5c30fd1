"""How commands end, whatever they do."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize('command', [
    'exporter_main_v2', 'slim_saved_model', 'payload', 'dead_nodes', 'triton_config',
    'draw_detections', 'detect_images'])
def test_ends_without_a_word_where_the_reader_of_its_output_is_gone(command):
  reader, writer = os.pipe()
  os.close(reader)
  done = subprocess.run(
      [sys.executable, '-m', f'exporter.{command}', '--help'], cwd=_ROOT, stdout=writer,
      stderr=subprocess.PIPE, text=True, check=False)
  os.close(writer)
  assert (done.returncode, done.stderr) == (1, '')


@pytest.mark.parametrize('output, status, said', [
    ('>&-', 0, ''), ('>/dev/full', 1, 'command: Standard output cannot be written: No space'
                     ' left on device.\n')])
def test_output_that_is_closed_or_on_a_full_disk(output, status, said):
  code = 'from exporter import command_line as c; c.run(lambda: print("a"), "command")'
  done = subprocess.run(
      ['sh', '-c', f'exec "$0" -c "$1" {output}', sys.executable, code], cwd=_ROOT, text=True,
      capture_output=True, check=False)
  assert (done.returncode, done.stderr) == (status, said)


def test_a_name_that_cannot_be_shown_is_escaped():
  done = subprocess.run(
      [sys.executable, '-c', 'from exporter import command_line as c;'
       'c.run(lambda: print("K\\u00f6ln \\udcf6"), "name")'], cwd=_ROOT, text=True,
      capture_output=True, check=False, env={**os.environ, 'PYTHONIOENCODING': 'ascii:strict'})
  assert (done.returncode, done.stdout) == (0, 'K\\xf6ln \\udcf6\n'), done.stderr


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_clears_away_what_it_made_where_it_is_told_to_end(tmp_path, number):
  code = """
import tempfile, time
from exporter import command_line

def main():
  with tempfile.TemporaryDirectory(dir='FOLDER'):
    print('begun', flush=True)
    time.sleep(60)

command_line.run(main, 'command')
"""
  process = subprocess.Popen(
      [sys.executable, '-c', code.replace('FOLDER', str(tmp_path))], cwd=_ROOT, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      # Under nohup, or in the background of a script, it would be ignored.
      preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
  assert process.stdout.readline() == 'begun\n' and len(list(tmp_path.iterdir())) == 1
  process.send_signal(number)
  _, said = process.communicate(timeout=30)
  assert (process.returncode, said) == (
      128 + number, f'command: ended by {number.name}.\n')
  assert not list(tmp_path.iterdir())
