"""The Markdown files: links lead somewhere, commands and flags exist."""

from __future__ import annotations

import ast
import functools
import pathlib
import re
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_FOLDERS = ('docs', 'exporter', 'patches', 'benchmarks', 'examples', 'configs',
            'requirements', 'tests')
_DOCUMENTS = sorted([*_ROOT.glob('*.md'), *(
    path for folder in _FOLDERS for path in (_ROOT / folder).rglob('*.md'))])
_README = _ROOT / 'README.md'

# What follows a console script or module is checked against its own help.
_SCRIPTS = {'saved_model_payload': 'payload'}
# Flags of other programs, by the program that the document names on the same line.
_FOREIGN = {
    '--model_base_path': 'tensorflow_model_server',
}


def _name(path: pathlib.Path) -> str:
  return str(path.relative_to(_ROOT))


@functools.cache
def _text(path: pathlib.Path) -> str:
  return path.read_text(encoding='utf-8')


def _without_code(text: str) -> str:
  return re.sub(r'```.*?```|`[^`\n]*`', '', text, flags=re.S)


def _code_blocks(text: str) -> list[str]:
  return re.findall(r'^```[a-z]*\n(.*?)^```', text, re.S | re.M)


@functools.cache
def _anchors(path: pathlib.Path) -> set[str]:
  """As GitHub makes them of headings."""
  anchors: set[str] = set()
  for heading in re.findall(r'^#+ +(.+?) *#*$', _without_blocks(_text(path)), re.M):
    words = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', heading).lower()
    anchor = re.sub(r'[^\w\- ]', '', words).replace(' ', '-')
    number, unique = 0, anchor
    while unique in anchors:
      number += 1
      unique = f'{anchor}-{number}'
    anchors.add(unique)
  return anchors


def _without_blocks(text: str) -> str:
  return re.sub(r'^```.*?^```', '', text, flags=re.S | re.M)


def _links(path: pathlib.Path) -> list[str]:
  text = _without_code(_text(path))
  return (re.findall(r'\]\(<?([^)>\s]+)>?(?: "[^"]*")?\)', text)
          + re.findall(r'^\[[^]]+\]: +(\S+)', text, re.M)
          + re.findall(r'(?:src|href)="([^"]+)"', text))


def _problem_with(link: str, document: pathlib.Path) -> str | None:
  """What is wrong with a relative link; None for a good one or one elsewhere."""
  if re.match(r'[a-z][a-z+.-]*:', link):
    return None
  file, _, anchor = link.partition('#')
  target = (document.parent / file).resolve() if file else document
  if not target.exists():
    return f'{link}: no such file'
  if not target.is_relative_to(_ROOT):
    return f'{link}: outside the repository'
  if anchor and (target.suffix != '.md' or anchor not in _anchors(target)):
    return f'{link}: no such heading'
  return None


@pytest.mark.parametrize('document', _DOCUMENTS, ids=_name)
def test_links_lead_somewhere(document):
  problems = [_problem_with(link, document) for link in _links(document)]
  assert not list(filter(None, problems))


def test_a_bad_link_is_found():
  bad = {'none.md': 'no such file', 'README.md#none': 'no such heading',
         '#none': 'no such heading', '../..': 'outside'}
  for link, problem in bad.items():
    assert problem in _problem_with(link, _README)
  assert _problem_with('CHANGELOG.md#changelog', _README) is None


def test_each_document_can_be_reached_from_the_readme():
  reached, stack = set(), [_README]
  while stack:
    document = stack.pop()
    if document not in reached:
      reached.add(document)
      stack += [target for link in _links(document) if link.partition('#')[0]
                and (target := (document.parent / link.partition('#')[0]).resolve())
                in _DOCUMENTS]
  assert reached == set(_DOCUMENTS)


@pytest.mark.parametrize('document', _DOCUMENTS, ids=_name)
def test_named_files_of_the_repository_exist(document):
  """Names in backquotes that begin with one of our folders, as they are written."""
  places = re.findall(rf'`((?:{"|".join(_FOLDERS)})/[\w./*-]*)`',
                      _without_blocks(_text(document)))
  missing = [place for place in places if not list(_ROOT.glob(place.rstrip('/')))]
  assert not missing


def test_each_profile_is_described():
  text = _text(_ROOT / 'docs' / 'selection.md')
  for path in (_ROOT / 'configs' / 'outputs').glob('*.yaml'):
    assert f'| `{path.stem}` |' in text


@pytest.mark.parametrize('folder', sorted(
    path.parent.name for path in (_ROOT / 'exporter').glob('*/__init__.py')))
def test_docstring_of_a_folder_names_its_modules(folder):
  """Names in backquotes at the start of a line of its list."""
  init = _ROOT / 'exporter' / folder / '__init__.py'
  items = re.findall(r'^\* (.*?):', ast.get_docstring(ast.parse(_text(init))) or '', re.M)
  named = [name for item in items for name in re.findall(r'`(\w+)`', item)]
  assert [name for name in named if not (init.parent / f'{name}.py').exists()] == []


@functools.cache
def _help_of(command: str) -> set[str]:
  """Flags in the help of `exporter.command`, or of another module of ours."""
  done = subprocess.run(
      [sys.executable, '-m', command, '--help'], cwd=_ROOT, capture_output=True,
      text=True, check=False)
  assert done.stdout, done.stderr
  found = re.findall(r'^ *(?:-\w,)?--(?:\[no\])?([\w-]+)', done.stdout, re.M)
  return {f'--{name}' for name in found}


def _commands(block: str) -> list[tuple[str, list[str]]]:
  """(module, flags) of the lines in a block that start one of our commands."""
  found = []
  for line in re.sub(r'\\\n', ' ', block).splitlines():
    started = re.match(r'(?:\$ )?(?:python -m ([\w.]+)|([\w/]+?)(?:\.py)?) ', line)
    if started is None:
      continue
    module = started[1]
    if module is None:
      script = started[2].rpartition('/')[2]
      module = f'exporter.{_SCRIPTS.get(script, script)}'
    if module.partition('.')[0] in _FOLDERS and _module_exists(module):
      found.append((module, re.findall(r'--[\w-]+', line.partition(' # ')[0])))
  return found


def _module_exists(module: str) -> bool:
  return (_ROOT / (module.replace('.', '/') + '.py')).is_file()


@pytest.mark.parametrize('document', _DOCUMENTS, ids=_name)
def test_commands_take_the_flags_that_are_shown(document):
  for block in _code_blocks(_text(document)):
    for module, given in _commands(block):
      assert set(given) <= _help_of(module), module


def test_modules_that_are_started_exist():
  for document in _DOCUMENTS:
    for module in re.findall(r'python -m ([\w.]+)', _text(document)):
      if module.partition('.')[0] in _FOLDERS and module not in _FOLDERS:
        assert _module_exists(module), f'{module} in {_name(document)}'


def test_flags_of_the_readme_exist():
  ours = set().union(*(_help_of(f'exporter.{command}') for command in (
      'exporter_main_v2', 'slim_saved_model', 'payload', 'dead_nodes',
      'triton_config', 'draw_detections')))
  unknown = [(flag, line) for line in _text(_README).splitlines()
             for flag in re.findall(r'--[a-z][\w-]*', line)
             if flag not in ours and _FOREIGN.get(flag, '\0') not in line]
  assert not unknown


def test_make_has_the_targets_that_are_named():
  rules = re.findall(r'^([a-z-]+):', _text(_ROOT / 'Makefile'), re.M)
  for document in _DOCUMENTS:
    for target in re.findall(r'(?:^|`|  )make ([a-z-]+)', _text(document), re.M):
      assert target in rules, f'make {target} in {_name(document)}'
