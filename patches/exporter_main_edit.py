"""The edit of `exporter_main_v2.py`: three flags choose the outputs.

`--output_keys`, `--exclude_output_keys` and `--output_config` are added below the
flags that are there; what they select goes to `export_inference_graph` as
`output_selection`. A wrong value ends the script with one sentence and status 1.
Without the three flags nothing of ours is imported or run.
"""

import libcst as cst
import libcst.matchers as m

from patches import structure
from patches.structure import UnrecognisedSource

PACKAGE = 'package'
VENDORED = 'vendored'
IMPORT_FROM = (PACKAGE, VENDORED)

FLAGS = ('output_keys', 'exclude_output_keys', 'output_config')

_EXPORT = 'export_inference_graph'
_LIBRARY = 'exporter_lib_v2'
_LOADER_NAME = '_lean_output_keys'
_ANY_FLAG = 'pipeline_config_path'

_FLAG_DEFINITIONS = '''
# Lean exports, added by `python -m patches`.
{flags}.DEFINE_string(
    'output_keys', None,
    'Comma-separated output keys or shell globs: only these outputs are '
    'exported. Without it all of them are.')
{flags}.DEFINE_string(
    'exclude_output_keys', None,
    'Comma-separated output keys or shell globs: these outputs are not '
    'exported. Taken from what output_keys left.')
{flags}.DEFINE_string(
    'output_config', None,
    'YAML file with the lists output_keys and exclude_output_keys. The flags '
    'of the same names win over it.')
'''

# The imports stand inside the functions, so that the addition is one block and the
# imports above stay upstream's.
_LOADER_FROM_PACKAGE = '''
# Lean exports, added by `python -m patches`.
def _lean_output_keys():
  """exporter.output_keys, the module that reads the three flags above."""
  import importlib
  import os
  import sys
  # Not the exporter.py of this folder, which a script started here finds first.
  here = os.path.dirname(os.path.realpath(__file__))
  path = list(sys.path)
  sys.path[:] = [p for p in path if os.path.realpath(p) != here]
  try:
    return importlib.import_module('exporter.output_keys')
  except ImportError as error:
    raise SystemExit(
        'The flags that choose outputs need the package exporter ({}); install '
        'it, or patch this fork with --import_from=vendored.'.format(error))
  finally:
    sys.path[:] = path
'''

_LOADER_FROM_VENDORED = '''
# Lean exports, added by `python -m patches`.
def _lean_output_keys():
  """The module beside this one that reads the three flags above."""
  {import_statement}
  return lean_output_keys
'''

_HELPERS = '''
def _lean_output_flags():
  flag_values = {flags}.FLAGS
  return (flag_values.output_keys, flag_values.exclude_output_keys,
          flag_values.output_config)


def _lean_output_selection():
  """What the three flags select; None without them, which is every output."""
  values = _lean_output_flags()
  if values == (None, None, None):
    return None
  return _lean_output_keys().selection_from(*values)


def _lean_exit_on_wrong_flags(function):
  """Lets a wrong value of the three flags end the script with one sentence."""
  import functools

  @functools.wraps(function)
  def run(*args, **kwargs):
    try:
      return function(*args, **kwargs)
    except Exception as error:
      if _lean_output_flags() != (None, None, None):
        # Autograph raises an error of its own in place of the one it met.
        cause = error
        while cause is not None:
          if isinstance(cause, _lean_output_keys().UserError):
            raise SystemExit(str(cause))
          cause = cause.__cause__ or cause.__context__
      raise

  return run
'''


def is_applied(module: cst.Module) -> bool:
  return structure.function_named(module.body, _LOADER_NAME) is not None


def present_import_from(module: cst.Module) -> str:
  """Where an edited module takes the selection language from."""
  loader = structure.function_named(module.body, _LOADER_NAME)
  from_package = m.findall(loader, m.SimpleString("'exporter.output_keys'"))
  return PACKAGE if from_package else VENDORED


def apply(module: cst.Module, path: str, import_from: str) -> cst.Module:
  """The module with the edit.

  Args:
    module: a revision of `exporter_main_v2.py` without the edit.
    path: the file's name in messages.
    import_from: one of `IMPORT_FROM`: take the selection language from the
      installed package, or from the file that `patches.vendored_file` makes.

  Raises:
    UnrecognisedSource: a place to edit is not there, or looks different.
  """
  flags, last_definition = _flag_definitions(module, path)
  exporting = [f for f in structure.top_level(module, cst.FunctionDef)
               if structure.calls_of(_EXPORT, f)]
  if not exporting:
    raise UnrecognisedSource(
        f'{path} is not a revision of the export script that this edit knows: it'
        f' looked for a function that calls {_EXPORT} and found none.')
  body = []
  for statement in module.body:
    if statement is exporting[0]:
      body += _helpers(module, flags, import_from)
    if statement in exporting:
      statement = _selecting_function(statement, path)
    body.append(statement)
    if statement is last_definition:
      definitions = structure.statements(
          _FLAG_DEFINITIONS.format(flags=flags), module)
      body += [structure.after_blank_lines(definitions[0], 1), *definitions[1:]]
  return module.with_changes(body=body)


def _flag_definitions(module, path):
  """What the script calls absl's flags, and its last statement that defines one.

  Raises:
    UnrecognisedSource: no flag is defined, or one of ours is.
  """
  flags = last = None
  for statement in module.body:
    if not isinstance(statement, cst.SimpleStatementLine):
      continue
    for call in m.findall(statement, m.Call(func=m.Attribute())):
      if not call.func.attr.value.startswith('DEFINE_') or not call.args:
        continue
      last = statement
      name = call.args[0].value
      if not isinstance(name, cst.SimpleString):
        continue
      if name.evaluated_value in FLAGS:
        raise UnrecognisedSource(
            f'{path} cannot be edited: it defines a flag'
            f' --{name.evaluated_value} of its own.')
      if name.evaluated_value == _ANY_FLAG:
        flags = structure.dotted_name(call.func.value)
  if not flags:
    raise UnrecognisedSource(
        f'{path} is not a revision of the export script that this edit knows: it'
        f" looked for flags.DEFINE_string('{_ANY_FLAG}', …) and found none.")
  return flags, last


def _helpers(module, flags, import_from):
  loader = _LOADER_FROM_PACKAGE
  if import_from == VENDORED:
    loader = _LOADER_FROM_VENDORED.format(import_statement=_import_beside(module))
  helpers = structure.statements(loader, module) + structure.statements(
      _HELPERS.format(flags=flags), module)
  return [structure.after_blank_lines(h) if not _has_blank_line(h) else h
          for h in helpers]


def _has_blank_line(statement):
  return any(line.comment is None for line in statement.leading_lines)


def _import_beside(module):
  """An import of `lean_output_keys` from where the script has its library."""
  for node in m.findall(module, m.ImportFrom() | m.Import()):
    if isinstance(node, cst.ImportFrom):
      package = '.' * len(node.relative) + (
          structure.dotted_name(node.module) if node.module else '')
      if package.split('.')[-1] == _LIBRARY:
        return _import_from_parent(package)
      if not isinstance(node.names, cst.ImportStar) and any(
          alias.evaluated_name == _LIBRARY for alias in node.names):
        return f'from {package} import lean_output_keys'
    else:
      for alias in node.names:
        if alias.evaluated_name.split('.')[-1] == _LIBRARY:
          return _import_from_parent(alias.evaluated_name)
  return 'from object_detection import lean_output_keys'


def _import_from_parent(library):
  package = library.removesuffix(_LIBRARY)
  if not package:
    return 'import lean_output_keys'
  # A relative import keeps its dots, an absolute one loses the last.
  package = package if not package.strip('.') else package.removesuffix('.')
  return f'from {package} import lean_output_keys'


def _selecting_function(function, path):
  function = function.visit(_SelectingCalls(path))
  guard, = cst.parse_module('@_lean_exit_on_wrong_flags\ndef f(): pass\n').body
  return function.with_changes(
      decorators=[*guard.decorators, *function.decorators])


class _SelectingCalls(cst.CSTTransformer):
  """`export_inference_graph(…)` gets the selection as its last argument."""

  def __init__(self, path):
    super().__init__()
    self._path = path

  def leave_Call(self, original_node, updated_node):
    name = structure.dotted_name(updated_node.func).split('.')[-1]
    if name != _EXPORT:
      return updated_node
    if any(arg.keyword and arg.keyword.value == 'output_selection'
           for arg in updated_node.args):
      raise UnrecognisedSource(
          f'{self._path} cannot be edited: it gives {_EXPORT} an'
          ' output_selection of its own.')
    selection = cst.Arg(
        cst.Call(cst.Name('_lean_output_selection')),
        keyword=cst.Name('output_selection'),
        equal=cst.AssignEqual(cst.SimpleWhitespace(''), cst.SimpleWhitespace('')))
    return updated_node.with_changes(args=structure.with_one_more(
        updated_node.args, selection, 'whitespace_after_arg',
        updated_node.whitespace_before_args))
