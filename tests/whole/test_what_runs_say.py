"""What a plain run of each long command says: a line a stage, and what was made."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from PIL import Image

from families import SSD

pytestmark = [pytest.mark.slow, pytest.mark.both_stacks]

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_STAGES = {
    'exporter_main_v2': ['import', 'build', 'restore', 'trace', 'checkpoint', 'save', 'check'],
    'slim_saved_model': ['import', 'prune', 'save and check'],
    'payload': [],
}


@pytest.fixture(scope='module')
def run():
  """Runs a command in a process of its own; what it printed, if its stages are right."""
  def run(command, *flags):
    done = subprocess.run(
        [sys.executable, '-m', f'exporter.{command}', *flags], check=False,
        capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(_ROOT)})
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stderr.splitlines()
    assert [re.fullmatch(r'([\w ]+): \d+\.\d s', line)[1] for line in lines
            ] == _STAGES[command], done.stderr
    return done.stdout
  return run


@pytest.fixture(scope='module')
def exported(run, exports, tmp_path_factory):
  folder = tmp_path_factory.mktemp('said')
  said = run('exporter_main_v2', f'--pipeline_config_path={SSD.pipeline}',
             f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
             f'--output_directory={folder}/exported', '--output_keys=detection_*')
  return folder / 'exported', said


def test_export(exported):
  folder, said = exported
  pb = (folder / 'saved_model' / 'saved_model.pb').stat().st_size
  where, response, sizes = said.splitlines()
  assert where == f'{folder}: 5 of 8 outputs.'
  assert re.fullmatch(r'A response has \d+ B instead of [\d.]+ kB\.', response)
  assert sizes.startswith(f'saved_model.pb has {pb / 1000:,.1f} kB, its variables')
  assert re.search(r'; \d+\.\d s in all\.$', sizes)


def test_slimming(exported, run):
  folder = exported[0].parent
  said = run('slim_saved_model', f'--saved_model_dir={folder}/exported',
             f'--output_directory={folder}/slim', '--output_keys=detection_scores')
  assert re.fullmatch(
      rf'{folder}/slim: a response has \d+ B instead of [\d,.]+ k?B; \d+\.\d s in all\.',
      said.splitlines()[-1])


def test_payload_of_an_image(exported, run):
  photo = exported[0].parent / 'photo.png'
  Image.new('RGB', (32, 24), 'green').save(photo)
  said = run('payload', f'--saved_model_dir={exported[0]}', f'--image={photo}')
  assert 'detection_boxes' in said
