"""Everything can be read by the oldest Python that setup.py promises.

An older one is refused in a sentence.
"""

import ast
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[1]
_FLOOR = (3, 9)
_FOLDERS = ('exporter', 'patches', 'examples', 'benchmarks', 'tests')
_MODULES = [path for folder in _FOLDERS
            for path in sorted((_ROOT / folder).rglob('*.py'))]
_NEW_ARGUMENTS = {'zip': {'strict'}, 'dataclass': {'slots', 'kw_only'}}


@pytest.mark.parametrize('path', _MODULES,
                         ids=[str(p.relative_to(_ROOT)) for p in _MODULES])
def test_module_is_of_the_floor(path):
  assert not _too_new(path.read_text(encoding='utf-8'))


@pytest.mark.parametrize('source', [
    'match x:\n  case 1: pass',
    'def f(x: int | None): pass',
    'x: list[int | None] = []',
    'zip(a, b, strict=True)',
    '@dataclasses.dataclass(frozen=True, slots=True)\nclass A: pass',
])
def test_notices_what_is_too_new(source):
  assert _too_new(source)


_ENTRANCES = [
    *(f'exporter.{name}' for name in (
        'exporter_main_v2', 'exporter_lib_v2', 'slim_saved_model', 'payload',
        'dead_nodes', 'triton_config')),
    'lean_detection_exporter', 'patches', 'examples.demo', 'benchmarks.bench']
_BY_PATH = [f'exporter/{name}.py' for name in (
    'exporter_main_v2', 'exporter_lib_v2', 'slim_saved_model')]

_START = '''
import runpy, sys
sys.version_info = (3, 8, 18, 'final', 0)
start = runpy.run_path if sys.argv[1].endswith('.py') else runpy.run_module
start(sys.argv[1], run_name='__main__')
'''


@pytest.mark.parametrize('entrance', [*_ENTRANCES, *_BY_PATH])
def test_an_older_python_is_refused_in_a_sentence(entrance):
  # Without site-packages: nothing is asked of them before.
  done = subprocess.run([sys.executable, '-S', '-c', _START, entrance], cwd=_ROOT,
                        capture_output=True, text=True, check=False)
  assert done.stderr == 'Python 3.8 is too old; the exporter needs 3.9 or later.\n'
  assert done.returncode == 1


@pytest.mark.parametrize('path', ['exporter/__init__.py', *_BY_PATH])
def test_an_older_python_can_read_what_refuses_it(path):
  ast.parse((_ROOT / path).read_text(encoding='utf-8'), feature_version=(3, 7))


def _too_new(source: str) -> str:
  """What the floor cannot run in it; `''` if nothing."""
  try:
    tree = ast.parse(source, feature_version=_FLOOR)
  except SyntaxError as e:
    return f'line {e.lineno}: {e.msg}'
  postponed = any(isinstance(node, ast.ImportFrom) and node.module == '__future__'
                  for node in tree.body)
  for node in ast.walk(tree):
    if isinstance(node, ast.Call):
      name = getattr(node.func, 'id', getattr(node.func, 'attr', None))
      new = _NEW_ARGUMENTS.get(name, set()) & {k.arg for k in node.keywords}
      if new:
        return f'line {node.lineno}: {name} with {new}'
    for hint in (getattr(node, 'annotation', None), getattr(node, 'returns', None)):
      if hint is not None and not postponed and _has_union(hint):
        return f'line {hint.lineno}: a union evaluated at run time'
  return ''


def _has_union(hint: ast.expr) -> bool:
  return any(isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
             for node in ast.walk(hint))
