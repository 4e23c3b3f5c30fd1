"""The edits hold on whatever formatting, and change nothing but their places."""

import ast
import builtins
import collections
import importlib.util
import io
import json
import pathlib
import tempfile
import tokenize
import types

from hypothesis import given, settings, strategies as st
import libcst as cst
import pytest

import fork_shapes
from exporter import output_keys
from patches import exporter_lib_edit
from patches import exporter_main_edit
from patches import meta_arch_edit
from patches import structure

SHAPES = sorted(fork_shapes.EXPORTERS)
DROPPED = ('mask_predictions', 'box_classifier_features')
SOURCES = ([(f'{shape} library', fork_shapes.EXPORTERS[shape][0], 0)
            for shape in SHAPES]
           + [(f'{shape} script', fork_shapes.EXPORTERS[shape][1], 1)
              for shape in SHAPES]
           + [(name, source, 2)
              for name, source in sorted(fork_shapes.META_ARCHES.items())])

_EDITS = (
    lambda module: exporter_lib_edit.apply(module, 'library'),
    lambda module: exporter_main_edit.apply(module, 'script', 'package'),
    lambda module: meta_arch_edit.apply(module, 'meta_arch', DROPPED),
)

# libcst loses the end of a file whose last line ends in a comment and a backslash.
_WORDS = st.text('abc ()[]:"\'\\#é', max_size=6).map(lambda w: w.rstrip('\\ '))


@st.composite
def reformatted(draw, source):
  """The same program with other comments, line breaks, indentation and ends."""
  source = _with_line_breaks(draw, source)
  lines = []
  unit = '  ' if '\n  def ' in source else '    '
  for line in source.split('\n'):
    opens_class = line.startswith('class ') and line.endswith(':')
    if line.strip() and draw(st.integers(0, 9)) == 0:
      line += '  # ' + draw(_WORDS)
    if draw(st.integers(0, 9)) == 0:
      lines.append(draw(st.sampled_from(['', '   ', '# top', '          # deep'])))
    lines.append(line)
    if opens_class and draw(st.booleans()):
      # Right below the class statement it may also come before its docstring.
      lines += [f'{unit}def extra(self, value=None):', f'{unit * 2}return value', '']
  scale = draw(st.sampled_from([1, 2, 3]))
  lines = [' ' * (scale - 1) * (len(line) - len(line.lstrip(' '))) + line
           for line in lines]
  end = draw(st.sampled_from(['\n', '\r\n']))
  return end.join(lines).rstrip() + draw(st.sampled_from(['', end]))


def _with_line_breaks(draw, source):
  """Breaks lines behind commas and opening brackets, with or without a comment."""
  lines = source.split('\n')
  depth = 0
  places = []
  for token in tokenize.generate_tokens(io.StringIO(source).readline):
    if token.type != tokenize.OP:
      continue
    depth += (token.string in '([{') - (token.string in ')]}')
    if depth and token.string in '([{,':
      places.append(token.end)
  for line, column in reversed(places):
    if draw(st.integers(0, 5)) == 0:
      text = lines[line - 1]
      comment = draw(st.sampled_from(['', '  # why']))
      lines[line - 1:line] = [
          text[:column] + comment,
          ' ' * draw(st.integers(0, 30)) + text[column:].lstrip()]
  return '\n'.join(lines)


@pytest.mark.parametrize('name,source,kind', SOURCES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_edit_changes_nothing_but_its_places(name, source, kind, data):
  source = data.draw(reformatted(source))
  edited = _EDITS[kind](structure.parse(source.encode(), name)).bytes
  assert b'\r\n' not in edited.replace(b'\r\n', b'') and (
      edited.count(b'\n') == edited.count(b'\r\n') or '\r' not in source)
  _assert_same_comments(source, edited.decode())
  assert _without_edit(edited.decode()) == ast.dump(ast.parse(source))


def _assert_same_comments(before, after):
  lost = _comments(before) - _comments(after)
  assert not lost, f'lost comments: {lost}'


def _comments(source):
  # Universal line ends, as the tokenizer of Python reads a file.
  lines = io.StringIO(source.replace('\r\n', '\n')).readline
  return collections.Counter(
      token.string.rstrip() for token in tokenize.generate_tokens(lines)
      if token.type == tokenize.COMMENT)


def _without_edit(source):
  """The dumped tree of an edited source with everything of ours taken out."""
  return ast.dump(_Without().visit(ast.parse(source)))


class _Without(ast.NodeTransformer):

  def visit_FunctionDef(self, node):
    if node.name.startswith('_lean_'):
      return None
    node.decorator_list = [
        d for d in node.decorator_list if not _is_ours(d)]
    arguments = node.args
    for names, defaults in ((arguments.args, arguments.defaults),
                            (arguments.kwonlyargs, arguments.kw_defaults)):
      if names and names[-1].arg == 'output_selection':
        names.pop()
        defaults.pop()
    return self.generic_visit(node)

  def visit_Expr(self, node):
    call = node.value
    if isinstance(call, ast.Call) and call.args and isinstance(
        call.args[0], ast.Constant) and call.args[0].value in (
            exporter_main_edit.FLAGS):
      return None
    return self.generic_visit(node)

  def visit_Assign(self, node):
    text = ast.unparse(node)
    if 'output_selection = ' in text or 'lean_dropped_keys = ' in text:
      return None
    return self.generic_visit(node)

  def visit_Call(self, node):
    node.keywords = [k for k in node.keywords if k.arg != 'output_selection']
    if ast.unparse(node.func) == '_lean_outputs':
      return self.visit(node.args[1])
    return self.generic_visit(node)

  def visit_DictComp(self, node):
    if 'lean_dropped_keys' in ast.unparse(node):
      return self.visit(node.generators[0].iter.func.value)
    return self.generic_visit(node)


def _is_ours(decorator):
  return ast.unparse(decorator).startswith('_lean_')


@pytest.mark.parametrize('shape', SHAPES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_reformatted_library_exports_the_selected_outputs(shape, data):
  source = data.draw(reformatted(fork_shapes.EXPORTERS[shape][0]))
  edited = _EDITS[0](structure.parse(source.encode(), shape)).code
  keys = data.draw(st.sets(st.sampled_from(sorted(fork_shapes.OUTPUTS)), min_size=1))
  selection = output_keys.OutputSelection(tuple(keys))
  assert _run_library(edited, selection) == {
      key: fork_shapes.OUTPUTS[key] for key in keys}
  assert _run_library(edited, None) == fork_shapes.OUTPUTS


def _run_library(source, selection):
  """What a library exports, with the numbers of `fake_site` for TensorFlow."""
  tf = _fake_tensorflow()
  modules = {'tensorflow': types.SimpleNamespace(
      compat=types.SimpleNamespace(v2=tf), autograph=tf.autograph)}

  def find(name, *context):
    return modules.get(name.split('.')[0]) or __import__(name, *context)

  def run(code):
    namespace = {'__name__': 'library',
                 '__builtins__': dict(vars(builtins), __import__=find)}
    exec(compile(code, 'library', 'exec'), namespace)  # pylint: disable=exec-used
    return types.SimpleNamespace(**namespace)

  modules['object_detection'] = types.SimpleNamespace(
      model_builder=run(fork_shapes.MODEL_BUILDER))
  with tempfile.TemporaryDirectory() as directory:
    run(source).export_inference_graph(
        input_type='image_tensor', pipeline_config=None,
        trained_checkpoint_dir='', output_directory=directory,
        output_selection=selection,
        **({'use_side_inputs': False, 'side_input_shapes': '',
            'side_input_types': '', 'side_input_names': ''}
           if 'use_side_inputs' in source else {}))
    return json.loads(
        (pathlib.Path(directory) / 'saved_model' / 'outputs.json').read_text())


def _fake_tensorflow():
  path = pathlib.Path(__file__).parent / 'fake_site/tensorflow/compat/v2.py'
  spec = importlib.util.spec_from_file_location('fake_tensorflow', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


_ITEM = st.sampled_from(['a', '*b', 'c[1]', '(d, e)', 'f(g)'])
_GAP = st.sampled_from(['', ' ', '\n', '\n    ', '  # why\n  ', '\n\n  # own\n'])


@settings(max_examples=300, deadline=None)
@given(items=st.lists(st.tuples(_ITEM, _GAP, _GAP), max_size=4), opening=_GAP,
       comma=st.booleans())
def test_an_argument_more_keeps_the_others_and_their_comments(
    items, opening, comma):
  inside = ','.join(before + item + after for item, before, after in items)
  if items and comma:
    inside += ','
  source = f'call({opening}{inside})\n'
  call = structure.parse(source.encode(), 'call').body[0].body[0].value
  new = cst.Arg(cst.Name('new'), keyword=cst.Name('key'))
  edited = call.with_changes(args=structure.with_one_more(
      call.args, new, 'whitespace_after_arg', call.whitespace_before_args))
  code = cst.Module([cst.SimpleStatementLine([cst.Expr(edited)])]).code
  before, after = ast.parse(source).body[0].value, ast.parse(code).body[0].value
  assert [ast.dump(a) for a in after.args] == [ast.dump(a) for a in before.args]
  assert [k.arg for k in after.keywords] == ['key']
  assert _comments(code) == _comments(source)
