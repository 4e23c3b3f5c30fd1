"""The one file that a fork gets in place of the package."""

import ast
import importlib.util
import json
import sys

import pytest

import fork_shapes
from exporter import errors
from exporter import output_keys
from patches import vendored_file

KEYS = ['detection_boxes', 'detection_masks', 'num_detections']


@pytest.fixture
def vendored(tmp_path, monkeypatch):
  """The file as a module, loaded where there is no package `exporter`."""
  path = tmp_path / vendored_file.NAME
  path.write_bytes(vendored_file.contents())
  monkeypatch.setitem(sys.modules, 'exporter', None)
  spec = importlib.util.spec_from_file_location('lean_output_keys', path)
  module = importlib.util.module_from_spec(spec)
  # Dataclasses look their module up.
  monkeypatch.setitem(sys.modules, 'lean_output_keys', module)
  spec.loader.exec_module(module)
  return module


def test_it_has_every_name_of_the_two_modules(vendored):
  for module in (errors, output_keys):
    for name in vars(module):
      assert name.startswith('__') or hasattr(vendored, name), name


def test_it_has_their_code_unchanged(vendored):
  del vendored
  ours = ast.parse(vendored_file.contents())
  found = [ast.dump(node) for node in ours.body]
  for module in (errors, output_keys):
    with open(module.__file__, encoding='utf-8') as f:
      body = ast.parse(f.read()).body
    for node in body[1:]:
      if not isinstance(node, (ast.Import, ast.ImportFrom)):
        assert ast.dump(node) in found


@pytest.mark.parametrize('flags', [
    ('detection_*', '*_masks', None), ('num_detections', None, None),
    (None, 'detection_boxes', None), (None, None, None)])
def test_it_selects_as_the_package_does(vendored, flags):
  mine, ours = vendored.selection_from(*flags), output_keys.selection_from(*flags)
  if ours is None:
    assert mine is None
  else:
    assert mine.select(KEYS) == ours.select(KEYS)


def test_it_reads_profiles(vendored, tmp_path):
  profile = tmp_path / 'profile.yaml'
  profile.write_text('output_keys: [num_*]\n')
  assert vendored.selection_from(None, None, str(profile)).select(KEYS) == [
      'num_detections']


def test_it_looks_nowhere_for_profiles_by_name(vendored, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(vendored.UserError, match='output profile boxes cannot be read'):
    vendored.selection_from(None, None, 'boxes')


def test_its_errors_are_those_of_the_package(vendored):
  with pytest.raises(vendored.UserError) as mine:
    vendored.selection_from('detection_box', None, None).select(KEYS)
  with pytest.raises(errors.UserError) as ours:
    output_keys.selection_from('detection_box', None, None).select(KEYS)
  assert str(mine.value) == str(ours.value)


def test_it_is_python_3_7_and_known_as_ours():
  contents = vendored_file.contents()
  tree = ast.parse(contents, feature_version=(3, 7))
  future = tree.body[1]
  assert isinstance(future, ast.ImportFrom) and future.module == '__future__'
  assert vendored_file.is_vendored(contents)
  assert not vendored_file.is_vendored(b'"""Somebody else\'s."""\n')


@pytest.mark.parametrize('line', [
    'from exporter.detection.output_sizes import sizes', 'import exporter.errors'])
def test_an_import_that_does_not_fit_is_a_bug_told_aloud(line, monkeypatch):
  read = vendored_file._source

  def with_import(module):
    return read(module).replace('import os\n', f'import os\n{line}\n')

  monkeypatch.setattr(vendored_file, '_source', with_import)
  with pytest.raises(NotImplementedError, match='does not fit'):
    vendored_file.contents()


@pytest.mark.parametrize('shape', sorted(fork_shapes.EXPORTERS))
def test_patched_fork_runs_without_the_package(
    shape, tmp_path, patches, export, no_package):
  fork = fork_shapes.write_fork(
      tmp_path / 'research', *fork_shapes.EXPORTERS[shape])
  done = patches(f'--research_dir={fork}', '--import_from=vendored')
  assert done.returncode == 0, done.stderr
  out = tmp_path / 'out'
  done = export(fork, '--input_type=image_tensor', f'--output_directory={out}',
                '--output_keys=detection_boxes', path=no_package)
  assert done.returncode == 0, done.stderr
  outputs = json.loads((out / 'saved_model' / 'outputs.json').read_text())
  assert list(outputs) == ['detection_boxes']
  done = export(fork, '--input_type=image_tensor',
                f'--output_directory={tmp_path / "none"}',
                '--output_keys=detection_boxs', path=no_package)
  assert done.returncode == 1
  assert 'did you mean' in done.stderr and 'Traceback' not in done.stderr
