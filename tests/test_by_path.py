"""Modules of the package that are run or imported by their path."""

import os
import pathlib
import subprocess
import sys

import pytest

_PACKAGE = pathlib.Path(__file__).resolve().parents[1] / 'exporter'


@pytest.fixture
def upstream(tmp_path) -> pathlib.Path:
  """A folder with an `exporter.py`, as object_detection is."""
  folder = tmp_path / 'object_detection'
  folder.mkdir()
  (folder / 'exporter.py').write_text('"""Upstream\'s."""\n')
  return folder


def _python(code: str, *args, cwd: pathlib.Path, path=()):
  return subprocess.run(
      [sys.executable, '-c', code, *map(str, args)], cwd=cwd, capture_output=True,
      text=True, check=False, env={
          **os.environ, 'PYTHONPATH': os.pathsep.join(['', *map(str, path)])})


@pytest.mark.parametrize('script, flag', [
    ('exporter_main_v2.py', 'output_keys'), ('slim_saved_model.py', 'output_keys'),
    ('payload.py', 'compare'), ('dead_nodes.py', 'saved_model_dir'),
    ('triton_config.py', 'signature'), ('draw_detections.py', 'response')])
def test_runs_by_path_where_upstreams_exporter_hides_ours(upstream, script, flag):
  done = subprocess.run(
      [sys.executable, _PACKAGE / script, '--help'], cwd=upstream,
      capture_output=True, text=True, check=False,
      env={**os.environ, 'PYTHONPATH': os.pathsep.join(['', str(upstream)])})
  assert f'--{flag}' in done.stdout
  assert 'Traceback' not in done.stderr


_IMPORT = '''
import importlib.util, json, sys
before = list(sys.path)
spec = importlib.util.spec_from_file_location('by_file', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert sys.path == before, sys.path
import exporter.errors
print(exporter.errors.__file__)
'''


def test_import_from_a_file_leaves_the_search_path_alone(upstream):
  done = _python(_IMPORT, _PACKAGE / 'slim_saved_model.py', cwd=upstream)
  assert done.stdout.strip() == str(_PACKAGE / 'errors.py'), done.stderr


_RUN = '''
import runpy, sys
sys.argv = [sys.argv[1], '--help']
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def test_run_from_another_program(upstream):
  done = _python(_RUN, _PACKAGE / 'slim_saved_model.py', cwd=upstream)
  assert 'in_place' in done.stdout, done.stderr


def test_other_packages_do_not_find_our_modules(upstream):
  code = 'import sys; sys.argv[0] = sys.argv[1]; ' + '''
import __main__, os, runpy
sys.path[0] = os.path.dirname(sys.argv[0])  # As `python PATH` has it.
__main__.__file__ = sys.argv[0]
runpy.run_path(os.path.join(sys.path[0], 'by_path.py'))
import importlib.util
print([importlib.util.find_spec(name) for name in ('payload', 'publishing')])
'''
  done = _python(code, _PACKAGE / 'exporter_main_v2.py', cwd=upstream)
  assert done.stdout.strip() == '[None, None]', done.stderr


def test_a_module_of_that_name_that_is_loaded_already_is_named(upstream):
  code = 'import exporter\n' + _IMPORT
  done = _python(code, _PACKAGE / 'slim_saved_model.py', cwd=upstream,
                 path=[upstream])
  assert done.returncode == 1
  assert f'ImportError: {upstream / "exporter.py"} has been imported' in done.stderr
