"""Who may import whom in `exporter/`, what `--help` waits for, and how long a part is."""

from __future__ import annotations

import pathlib
import re

import pytest

import layers

_ROOT = pathlib.Path(__file__).resolve().parents[1]

# What each folder, and each file that is no entrance, may import of ours. The other
# files at the top may import everything but commands.
_BOTTOM = {'errors', 'paths', 'protos'}
_MAY_IMPORT = {
    'errors': set(),
    'output_keys': {'errors', 'paths'},
    'console': {'errors'},
    'paths': {'errors'},
    'protos': {'errors', 'paths'},
    'graph': _BOTTOM,
    'meta_graph': _BOTTOM | {'graph'},
    'saved_model': _BOTTOM | {'meta_graph', 'graph'},
    'serving': _BOTTOM | {'saved_model'},
    'publishing': _BOTTOM | {'serving'},
    'detection': _BOTTOM | {'output_keys'},
    'batch': _BOTTOM | {'saved_model', 'serving'},
}
# Imports of seconds, which `--help` and mistakes in flags must not wait for.
_SLOW = {'tensorflow', 'tf_keras', 'keras', 'object_detection', 'matplotlib', 'google',
         'PIL', 'tensorflow_serving', 'grpc'}

_MOST_LINES, _MOST_FUNCTION_LINES = 300, 50
# Parts that are better longer, and why.
_LONGER = {
    'detect_images._define_flags': 'A table of flags.',
    'exporter_lib_v2': 'All that upstream has in the file that it stands in for.',
}


@pytest.fixture(scope='module')
def exporter():
  return layers.Package(_ROOT / 'exporter')


def test_imports_go_one_way(exporter):
  folders = {name.partition('.')[0] for name in exporter.trees if '.' in name}
  assert folders == set(_MAY_IMPORT) - {'errors', 'output_keys'}
  assert layers.wrong_arrows(exporter, _MAY_IMPORT) == []


def test_no_circle(exporter):
  assert layers.circles(exporter) == []


def test_no_command_is_imported(exporter):
  assert {'exporter_main_v2', 'slim_saved_model', 'payload'} <= set(exporter.commands())
  assert layers.imported_commands(exporter) == []


def test_help_waits_for_no_slow_package(exporter):
  quick = [*exporter.commands(), *(name for name in exporter.trees
                                   if name.startswith('graph.'))]
  assert layers.slow_imports(exporter, _SLOW, quick) == []


def test_parts_are_short(exporter):
  long = layers.long_parts(exporter, _MOST_LINES, _MOST_FUNCTION_LINES)
  assert set(long) - set(_LONGER) == set(), long
  assert set(_LONGER) <= set(long), 'An exception is needed no more.'


def test_the_readme_states_the_same_table():
  text = (_ROOT / 'exporter' / 'README.md').read_text('utf-8')
  rows = re.findall(r'^\| `exporter/(\w+)/` \| (.*) \|$', text, re.M)
  assert {folder: set(re.findall('`(.*?)`', names)) for folder, names in rows} == {
      folder: names for folder, names in _MAY_IMPORT.items()
      if folder not in ('errors', 'output_keys')}


def _package(tmp_path, modules: dict[str, str]) -> layers.Package:
  """A package `pkg` with the sources of these modules; `'a'` may also be a folder."""
  folders = {name.rpartition('.')[0] for name in modules} | {''}
  for name in folders | set(modules):
    path = tmp_path / 'pkg' / name.replace('.', '/')
    path = path / '__init__.py' if name in folders else path.with_suffix('.py')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(modules.get(name, ''))
  return layers.Package(tmp_path / 'pkg')


@pytest.mark.parametrize('source', [
    'import pkg.high.part',
    'from pkg.high import part',
    'from pkg.high.part import name',
    'from ..high import part',
    'from pkg import high',
    'def f():\n  from pkg.high import part',
    'try:\n  pass\nexcept ImportError:\n  import pkg.high.part as p',
    'import importlib\nX = importlib.import_module("pkg.high.part")',
])
def test_a_wrong_arrow_is_found(tmp_path, source):
  package = _package(tmp_path, {
      'low.part': source, 'low.other': '', 'high.part': 'from pkg.low import other'})
  (fault,) = layers.wrong_arrows(package, {'low': set(), 'high': {'low'}})
  assert fault.startswith('low.part:') and 'imports high' in fault
  assert layers.wrong_arrows(package, {'low': {'high'}, 'high': {'low'}}) == []


def test_a_circle_is_found(tmp_path):
  package = _package(tmp_path, {
      'a': 'from pkg import b', 'b': 'def f():\n  from pkg import c',
      'c': 'from pkg.a import name', 'd': 'from pkg import a'})
  assert layers.circles(package) == ['a imports b imports c imports a.']
  assert layers.circles(_package(tmp_path, {'c': ''})) == []


_COMMAND = 'if __name__ == "__main__":\n  pass\n'


@pytest.mark.parametrize('source', [
    'import tensorflow as tf',
    'from tensorflow.python import ops',
    'try:\n  import tensorflow\nexcept ImportError:\n  pass',
    'if True:\n  import tensorflow',
    'class A:\n  import tensorflow',
])
@pytest.mark.parametrize('place', ['command', 'far.off', 'far'])
def test_a_slow_import_is_found(tmp_path, source, place):
  modules = {'command': 'from pkg.far import off\n', 'far.off': '', 'far': ''}
  modules[place] += source
  modules['command'] += '\n' + _COMMAND
  package = _package(tmp_path, modules)
  assert package.commands() == ['command']
  (fault,) = layers.slow_imports(package, {'tensorflow'}, ['command'])
  assert 'imports tensorflow' in fault and 'command would wait' in fault


@pytest.mark.parametrize('source', [
    'def f():\n  import tensorflow',
    'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  import tensorflow',
    'def g():\n  from pkg import slow',
])
def test_an_import_when_it_is_needed_is_none(tmp_path, source):
  package = _package(tmp_path, {
      'command': source + '\n' + _COMMAND, 'slow': 'import tensorflow'})
  assert layers.slow_imports(package, {'tensorflow'}, ['command']) == []


def test_a_command_that_is_imported_is_found(tmp_path):
  package = _package(
      tmp_path, {'command': _COMMAND, 'low.part': 'from pkg import command'})
  (fault,) = layers.imported_commands(package)
  assert fault == 'low.part:1 imports command, which is a command.'


def test_long_parts_are_found(tmp_path):
  package = _package(tmp_path, {
      'module': 'def f():\n  """Doc.\n\n  string.\n  """\n' + '  x = 1\n' * 5})
  assert layers.long_parts(package, 10, 6) == {}
  assert layers.long_parts(package, 9, 5) == {'module': 10, 'module.f': 6}
