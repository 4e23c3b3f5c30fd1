"""Forks to patch: stand-ins that run at once, and copies of the installed API."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import fork_shapes

ROOT = pathlib.Path(__file__).parents[2]
FAKE_SITE = pathlib.Path(__file__).parent / 'fake_site'

# Of the installed object_detection, what the edits and their tests look at.
_EDITED_FILES = (
    'exporter_lib_v2.py', 'exporter_main_v2.py',
    'meta_architectures/faster_rcnn_meta_arch.py')


@pytest.fixture(scope='session')
def installed() -> pathlib.Path:
  """The folder of the installed `object_detection`."""
  spec = importlib.util.find_spec('object_detection')
  if spec is None:
    pytest.skip('object_detection is not installed')
  return pathlib.Path(spec.submodule_search_locations[0])


@pytest.fixture
def fork(tmp_path) -> pathlib.Path:
  """A stand-in for a fork of today's models/research."""
  return fork_shapes.write_fork(
      tmp_path / 'research', *fork_shapes.EXPORTERS['today'])


@pytest.fixture
def installed_fork(installed, tmp_path) -> pathlib.Path:
  """A fork with the installed package's three files, and nothing to run them."""
  root = tmp_path / 'site-packages'
  for name in _EDITED_FILES:
    target = root / 'object_detection' / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(installed / name, target)
  return root


@pytest.fixture
def patches():
  """Runs `python -m patches` and returns the finished process."""

  def run(*arguments, text=True, env=None):
    return subprocess.run(
        [sys.executable, '-m', 'patches', *map(str, arguments)], cwd=ROOT,
        capture_output=True, text=text, env=env, timeout=120)

  return run


@pytest.fixture
def export():
  """Runs a stand-in fork's script as people do, without TensorFlow."""

  def run(fork, *arguments, path=(FAKE_SITE, ROOT)):
    paths = os.pathsep.join(map(str, [*path, fork]))
    return subprocess.run(
        [sys.executable, 'object_detection/exporter_main_v2.py',
         *map(str, arguments)],
        cwd=fork, env=dict(os.environ, PYTHONPATH=paths), capture_output=True,
        text=True, timeout=120)

  return run


@pytest.fixture
def no_package(tmp_path):
  """A path for `export` on which the package `exporter` cannot be imported."""
  package = tmp_path / 'no_package' / 'exporter'
  package.mkdir(parents=True)
  (package / '__init__.py').write_text('raise ImportError("not installed")')
  return [package.parent, FAKE_SITE]


@pytest.fixture
def contents():
  """Contents of every file below a folder, by path."""

  def read(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*'))
            if path.is_file() and '__pycache__' not in path.parts}

  return read
