"""How commands end, whatever they do."""

from __future__ import annotations

import os
import pathlib
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
