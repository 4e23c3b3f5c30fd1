"""Reads who imports whom in a package, and tells where that breaks its rules.

Only reads the sources, with `ast`: nothing is imported. Each function gives a
sentence for every fault, with the names of both sides.
"""

from __future__ import annotations

import ast
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping


@dataclasses.dataclass(frozen=True)
class Import:
  """One import statement, of one module.

  Attributes:
    name: the full name of what is imported.
    line: where the statement stands.
    is_early: whether it runs when its module is imported.
  """
  name: str
  line: int
  is_early: bool


class Package:
  """The modules of a package and their imports.

  Args:
    folder: of the package; its name is the package's.

  Attributes:
    name: of the package.
    trees: the parsed module by its name inside the package: `'graph.bodies'`, and
      `'graph'` for the `__init__.py` of a folder, `''` for that of the package.
    imports: by the same names.
  """

  def __init__(self, folder: pathlib.Path):
    self.name = folder.name
    self.trees = {
        _module_name(path.relative_to(folder)): ast.parse(path.read_text('utf-8'))
        for path in sorted(folder.rglob('*.py'))}
    self.imports = {name: list(self._imports(name)) for name in self.trees}

  def inside(self, imported: str) -> str | None:
    """The module of this package that an imported name means, or None."""
    if imported != self.name and not imported.startswith(self.name + '.'):
      return None
    name = imported[len(self.name) + 1:]
    # Beyond the modules, what follows is a name in the last of them.
    while name and name not in self.trees:
      name = name.rpartition('.')[0]
    return name

  def commands(self) -> list[str]:
    """The modules that are run: those with an `if __name__ == '__main__'`."""
    return [name for name, tree in self.trees.items()
            if any(isinstance(node, ast.If) and '__main__' in ast.unparse(node.test)
                   for node in tree.body)]

  def _imports(self, module: str) -> Iterator[Import]:
    above = module if self._is_folder(module) else module.rpartition('.')[0]
    for node, is_early in _statements(self.trees[module].body, True):
      for name in _names(node, '.'.join(filter(None, [self.name, above]))):
        yield Import(name, node.lineno, is_early)

  def _is_folder(self, module: str) -> bool:
    return not module or any(name.startswith(module + '.') for name in self.trees)


def wrong_arrows(package: Package, table: Mapping[str, set[str]]) -> list[str]:
  """Imports that the table does not allow.

  Args:
    package: the package.
    table: for a folder or a file at the top, the others that it may import; what is
      not in it may import all.
  """
  faults = []
  for module, imports in package.imports.items():
    part = module.partition('.')[0]
    for one in imports:
      target = package.inside(one.name)
      if target and part in table and (
          target.partition('.')[0] not in {part, *table[part]}):
        faults.append(f'{module}:{one.line} imports {target}; {part} may import'
                      f' {", ".join(sorted(table[part])) or "nothing of ours"}.')
  return faults


def imported_commands(package: Package) -> list[str]:
  """Imports of a module that is run."""
  commands = set(package.commands())
  return [f'{module}:{one.line} imports {target}, which is a command.'
          for module, imports in package.imports.items() for one in imports
          if (target := package.inside(one.name)) in commands and target != module]


def circles(package: Package) -> list[str]:
  """Modules that import each other, each circle once, late imports counted."""
  edges = {module: sorted({target for one in imports
                           if (target := package.inside(one.name)) not in (None, module)})
           for module, imports in package.imports.items()}
  found = {}
  for start in edges:
    path = _way(edges, start, start)
    if path:
      found.setdefault(frozenset(path), ' imports '.join([*path, start]) + '.')
  return list(found.values())


def slow_imports(package: Package, slow: set[str], roots: list[str]) -> list[str]:
  """Imports of slow packages that run when a module of `roots` is imported."""
  faults = []
  for root in roots:
    for module in _early_closure(package, root):
      faults += [f'{module}:{one.line} imports {one.name}, for which {root} would wait.'
                 for one in package.imports[module]
                 if one.is_early and one.name.partition('.')[0] in slow]
  return faults


def long_parts(package: Package, most_lines: int, most_function_lines: int) -> dict:
  """Modules and functions that are too long, with their lines.

  Docstrings count in modules and not in functions.
  """
  parts = {}
  for module, tree in package.trees.items():
    last = max((node.end_lineno for node in tree.body), default=0)
    if last > most_lines:
      parts[module] = last
    for node in ast.walk(tree):
      if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        size = node.end_lineno - node.lineno + 1 - _docstring_lines(node)
        if size > most_function_lines:
          parts[f'{module}.{node.name}'] = size
  return parts


def _module_name(path: pathlib.Path) -> str:
  parts = path.with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def _statements(body, is_early: bool) -> Iterator[tuple[ast.stmt, bool]]:
  """All statements under `body`, and whether they run when it is imported."""
  for node in body:
    yield node, is_early
    if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
      yield from _statements(node.body, False)
      yield from _statements(node.orelse, is_early)
      continue
    inner = is_early and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    for field in ('body', 'orelse', 'finalbody', 'handlers', 'cases'):
      children = getattr(node, field, [])
      for child in children if isinstance(children, list) else []:
        if isinstance(child, ast.stmt):
          yield from _statements([child], inner)
        else:  # A handler or a case.
          yield from _statements(child.body, inner)


def _names(node: ast.stmt, above: str) -> list[str]:
  """The full names that a statement imports."""
  if isinstance(node, ast.Import):
    return [alias.name for alias in node.names]
  if isinstance(node, ast.ImportFrom):
    base = node.module or ''
    if node.level:
      base = '.'.join(filter(None, [
          *above.split('.')[:len(above.split('.')) - node.level + 1], base]))
    return [f'{base}.{alias.name}' for alias in node.names]
  # importlib.import_module('...')
  return [call.args[0].value for call in _own_calls(node)
          if ast.unparse(call.func).endswith('import_module') and call.args
          and isinstance(call.args[0], ast.Constant)
          and isinstance(call.args[0].value, str)]


def _own_calls(node: ast.stmt) -> Iterator[ast.Call]:
  """Calls in a statement that are in no statement inside it."""
  stack = [node]
  while stack:
    current = stack.pop()
    if isinstance(current, ast.Call):
      yield current
    stack += [child for child in ast.iter_child_nodes(current)
              if not isinstance(child, (ast.stmt, ast.ExceptHandler))]


def _early_closure(package: Package, root: str) -> list[str]:
  """What importing `root` imports of the package, itself and folders first."""
  seen, stack = [], [root]
  while stack:
    module = stack.pop()
    if module in seen:
      continue
    seen.append(module)
    if module:
      stack.append(module.rpartition('.')[0])  # Its folder's __init__.py.
    stack += [target for one in package.imports[module] if one.is_early
              and (target := package.inside(one.name)) is not None]
  return seen


def _way(edges: Mapping[str, list[str]], start: str, end: str) -> list[str]:
  """The shortest way from `start` to `end` over at least one edge; [] for none."""
  ways, seen = [[start]], set()
  while ways:
    way = ways.pop(0)
    for target in edges[way[-1]]:
      if target == end:
        return way
      if target not in seen:
        seen.add(target)
        ways.append([*way, target])
  return []


def _docstring_lines(node: ast.FunctionDef) -> int:
  first = node.body[0]
  is_docstring = (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                  and isinstance(first.value.value, str))
  return first.end_lineno - first.lineno + 1 if is_docstring else 0
