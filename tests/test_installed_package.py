"""What `pip install` gives, in an environment that has no other file of this tree.

The wheel is built and installed into an empty virtual environment, which finds
TensorFlow and the rest where the tests have them. In the working directory and on
PYTHONPATH lies an `exporter.py`, as in models/research/object_detection.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from families import SSD
from traps import set_traps

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PROFILES = _ROOT / 'configs' / 'outputs'
_PACKAGED = ('exporter', 'patches', 'configs', 'setup.py', 'pyproject.toml',
             'README.md', 'lean_detection_exporter.py')

# A flag of each command, and of which others its help must not speak.
_COMMANDS = {
    'exporter_main_v2': ('pipeline_config_path', ('in_place', 'compare')),
    'slim_saved_model': ('in_place', ('pipeline_config_path', 'compare')),
    'saved_model_payload': ('compare', ('pipeline_config_path', 'in_place')),
    'draw_detections': ('label_map', ('output_keys', 'in_place', 'compare')),
    'detect_images': ('images', ('output_keys', 'in_place', 'compare')),
    'dead_nodes': ('saved_model_dir', ('output_keys', 'in_place', 'compare')),
    'triton_config': ('saved_model_dir', ('output_keys', 'in_place', 'compare')),
}
_SLOW_TO_IMPORT = ('tensorflow', 'tf_keras', 'keras', 'object_detection',
                   'matplotlib', 'google.protobuf')


def _run(*command, **options):
  return subprocess.run([str(part) for part in command], capture_output=True,
                        text=True, check=True, **options)


@pytest.fixture(scope='session')
def wheel(tmp_path_factory) -> pathlib.Path:
  """Built from a copy, as a build leaves files behind that the next takes up."""
  folder = tmp_path_factory.mktemp('wheel')
  for name in _PACKAGED:
    if (_ROOT / name).is_dir():
      shutil.copytree(_ROOT / name, folder / 'tree' / name,
                      ignore=shutil.ignore_patterns('__pycache__'))
    else:
      shutil.copy(_ROOT / name, folder / 'tree' / name)
  _run(sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps',
       '--no-build-isolation', '--wheel-dir', folder, folder / 'tree')
  shutil.rmtree(folder / 'tree')
  return next(folder.glob('*.whl'))


class Installed:
  """A virtual environment with the wheel in it.

  Attributes:
    scripts: the folder of its console scripts.
    site: its `site-packages`.
    working_directory: where commands run; it holds an `exporter.py`.
  """

  def __init__(self, folder: pathlib.Path, wheel: pathlib.Path):
    venv.create(folder)
    self.scripts = folder / ('Scripts' if os.name == 'nt' else 'bin')
    self._python = self.scripts / 'python'
    _run(sys.executable, '-m', 'pip', '--python', self._python, 'install',
         '--quiet', '--no-deps', '--no-index', wheel)
    self.site = pathlib.Path(_run(
        self._python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'
    ).stdout.strip())
    self.working_directory = folder / 'object_detection'
    self.working_directory.mkdir()
    (self.working_directory / 'exporter.py').write_text('"""Upstream\'s."""\n')

  def add_dependencies(self):
    """Those of the tests' environment, without the tree that is installed there."""
    (self.site / 'of_the_tests.pth').write_text(sysconfig.get_path('purelib'))

  def run(self, script: str, *args, path=(), **options):
    """Runs a console script with upstream's folder on PYTHONPATH and as `.`."""
    path = os.pathsep.join(['', *map(str, path), str(self.working_directory)])
    return subprocess.run(
        [str(self.scripts / script), *map(str, args)], cwd=self.working_directory,
        capture_output=True, text=True, check=False,
        env={**os.environ, 'COLUMNS': '80', 'PYTHONPATH': path}, **options)


@pytest.fixture(scope='session')
def installed(tmp_path_factory, wheel) -> Installed:
  environment = Installed(tmp_path_factory.mktemp('installed') / 'venv', wheel)
  environment.add_dependencies()
  return environment


@pytest.fixture(scope='session')
def traps(tmp_path_factory) -> pathlib.Path:
  """A folder for PYTHONPATH with packages that fail when they are imported."""
  return set_traps(tmp_path_factory.mktemp('traps'), _SLOW_TO_IMPORT)


def test_the_traps_work(installed, traps, tmp_path):
  done = subprocess.run(
      [installed.scripts / 'python', '-c', 'import exporter; print(exporter.__file__)'],
      cwd=installed.working_directory, capture_output=True, text=True)
  assert str(installed.working_directory) in done.stdout
  (tmp_path / 'saved_model.pb').write_bytes(b'')
  done = installed.run('dead_nodes', f'--saved_model_dir={tmp_path}', path=[traps])
  assert re.search('(tensorflow|google) was imported', done.stderr)


@pytest.mark.parametrize('command', _COMMANDS)
def test_help_shows_the_flags_of_its_command_and_imports_little(
    installed, traps, command):
  done = installed.run(command, '--help', path=[traps])
  assert 'was imported' not in done.stderr and 'Traceback' not in done.stderr
  flag, others = _COMMANDS[command]
  assert re.search(rf'^ *--(\[no\])?{flag}\b', done.stdout, re.M)
  for other in others:
    assert f'--{other}' not in done.stdout and f'--[no]{other}' not in done.stdout


@pytest.mark.parametrize('command', _COMMANDS)
def test_mistake_is_one_sentence(installed, command):
  needed = {'exporter_main_v2': ['--pipeline_config_path=none',
                                 '--list_output_keys'],
            'draw_detections': ['--image=none.jpg', '--output=out.png'],
            'detect_images': ['--saved_model_dir=nowhere', '--images=none',
                              '--output=none']}
  done = installed.run(
      command, *needed.get(command, ['--saved_model_dir=nowhere']), 'stray')
  assert done.returncode == 1
  assert done.stdout == ''
  assert 'stray' in done.stderr and done.stderr.count('\n') == 1


def test_wheel_holds_each_profile_once(installed):
  shipped = {path.name: path.read_bytes() for path in _PROFILES.glob('*.yaml')}
  found = list(installed.site.rglob('*.yaml'))
  assert {path.name: path.read_bytes() for path in found} == shipped
  assert len(found) == len(shipped)


def test_an_unknown_profile_lists_the_shipped_ones(installed, traps):
  done = installed.run(
      'exporter_main_v2', '--pipeline_config_path=none', '--list_output_keys',
      '--output_config=compact_mask_rnn', path=[traps])
  assert done.returncode == 1
  assert "did you mean 'compact_mask_rcnn'?" in done.stderr
  for path in _PROFILES.glob('*.yaml'):
    assert path.stem in done.stderr


@pytest.mark.slow
def test_exports_with_a_shipped_profile_and_reports_its_size(
    installed, exports, tmp_path):
  target = tmp_path / 'exported'
  done = installed.run(
      'exporter_main_v2', f'--pipeline_config_path={SSD.pipeline}',
      f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
      f'--output_directory={target}', '--output_config=boxes')
  assert done.returncode == 0, done.stderr[-4000:]
  assert {'checkpoint', 'pipeline.config', 'saved_model'} == {
      path.name for path in target.iterdir()}
  done = installed.run('saved_model_payload', f'--saved_model_dir={target}', '--json')
  assert {output['key'] for output in json.loads(done.stdout)['outputs']} == {
      'detection_boxes', 'detection_classes', 'detection_scores', 'num_detections'}
