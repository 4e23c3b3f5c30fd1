"""Damaged SavedModels: a result that is right, or one clear sentence."""

import random
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model import writing
from exporter.errors import UserError

_OUTPUTS = {'serving_default': ['kept']}


@pytest.fixture(scope='module')
def source(tf, tmp_path_factory):
  """A model with a loop, a branch, variables, a check, a constant and a table."""
  root = tmp_path_factory.mktemp('damage')
  (root / 'words.txt').write_text('a\nb\n')

  class Model(tf.Module):
    def __init__(self):
      self.weight, self.other = tf.Variable(2.0), tf.Variable(3.0)
      self.constant = tf.constant([1.0, 2.0])
      self.table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
          str(root / 'words.txt'), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
          tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    def __call__(self, x):
      tf.debugging.assert_less(x, 10.0)
      _, kept, dropped = tf.while_loop(
          lambda i, *_: i < 3,
          lambda i, a, b: (i + 1, a * self.weight, tf.exp(b * self.other)), [0, x, x])
      kept = tf.cond(kept[0] > 0, lambda: kept + self.constant[0], lambda: kept)
      found = self.table.lookup(tf.strings.as_string(x))
      return {'kept': kept + tf.cast(found, tf.float32), 'dropped': dropped}

  model = Model()
  path = root / 'model'
  tf.saved_model.save(model, str(path), signatures=model.__call__)
  return path


def _prune(contents, folder):
  """Prunes a `saved_model.pb`; gives the proto, or None where it is refused."""
  (folder / 'saved_model.pb').write_bytes(contents)
  try:
    return writing.prune(SavedModelFiles.open(folder), _OUTPUTS)[0]
  except UserError as e:
    assert str(e).endswith('.') and '\n' not in str(e)
    return None


def test_truncated_files(source, tmp_path):
  contents = (source / 'saved_model.pb').read_bytes()
  for size in range(0, len(contents), max(1, len(contents) // 150)):
    _prune(contents[:size], tmp_path)
  assert _prune(b'', tmp_path) is None
  assert _prune(contents, tmp_path) is not None


@pytest.mark.both_stacks
def test_flipped_bits(source, tmp_path):
  contents = (source / 'saved_model.pb').read_bytes()
  rng = random.Random(0)
  for _ in range(400):
    damaged = bytearray(contents)
    for _ in range(rng.choice([1, 1, 1, 4, 32])):
      damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    _prune(bytes(damaged), tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(tmp_path_factory, contents):
  assert _prune(contents, tmp_path_factory.getbasetemp()) is None


def _messages(message):
  """A proto and all protos in it."""
  yield message
  for field, value in message.ListFields():
    if field.message_type is None:
      continue
    if field.message_type.GetOptions().map_entry:
      if field.message_type.fields_by_name['value'].message_type is not None:
        for key in sorted(value):
          yield from _messages(value[key])
    elif hasattr(value, '__len__'):
      for item in value:
        yield from _messages(item)
    else:
      yield from _messages(value)


def test_parts_that_are_missing(source, tmp_path):
  """Whatever single field is taken away, what is left is judged in a sentence."""
  whole = SavedModelFiles.open(source).proto
  rng = random.Random(0)
  places = [(i, field.name) for i, message in enumerate(_messages(whole))
            for field, _ in message.ListFields()]
  for i, field in rng.sample(places, 300):
    damaged = type(whole)()
    damaged.CopyFrom(whole)
    next(m for k, m in enumerate(_messages(damaged)) if k == i).ClearField(field)
    _prune(damaged.SerializeToString(), tmp_path)


def _damaged(source, change):
  files = SavedModelFiles.open(source)
  change(files.serving_graph)
  return files


def _node(meta_graph, op):
  return next(node for function in meta_graph.graph_def.library.function
              for node in function.node_def if node.op == op)


def _rename_input(meta_graph):
  node = _node(meta_graph, 'Exp')
  node.input[0] = 'nowhere:output:0'


def _call_missing_function(meta_graph):
  next(node for f in meta_graph.graph_def.library.function for node in f.node_def
       if node.op in ('While', 'StatelessWhile')).attr['body'].func.name = 'nowhere'


def _drop_an_argument(meta_graph):
  node = next(n for f in meta_graph.graph_def.library.function for n in f.node_def
              if n.op in ('While', 'StatelessWhile'))
  del node.input[0]


def _call_itself(meta_graph):
  function = next(f for f in meta_graph.graph_def.library.function
                  if f.signature.name.startswith('__inference_signature_wrapper'))
  next(n for n in function.node_def if n.op == 'StatefulPartitionedCall').attr[
      'f'].func.name = function.signature.name


def _two_of_a_name(meta_graph):
  function = meta_graph.graph_def.library.function
  function.add().CopyFrom(function[0])


def _capture_nothing(meta_graph):
  for described in meta_graph.object_graph_def.concrete_functions.values():
    described.bound_inputs[:] = [10**6] * len(described.bound_inputs)


def _signature_of_no_tensor(meta_graph):
  meta_graph.signature_def['serving_default'].outputs['kept'].name = 'nowhere:0'


def _output_out_of_range(meta_graph):
  tensor = meta_graph.signature_def['serving_default'].outputs['kept']
  tensor.name = tensor.name.partition(':')[0] + ':99'


@pytest.mark.both_stacks
@pytest.mark.parametrize('change, message', [
    (_rename_input, "'nowhere:output:0'"), (_call_missing_function, "'nowhere'"),
    (_drop_an_argument, 'does not fit'), (_call_itself, 'calls itself'),
    (_two_of_a_name, 'same name'), (_capture_nothing, 'captures'),
    (_signature_of_no_tensor, "'nowhere:0'"), (_output_out_of_range, ':99')])
def test_what_is_amiss_is_named(source, change, message):
  with pytest.raises(UserError, match=message) as error:
    writing.prune(_damaged(source, change), _OUTPUTS)
  assert 'damaged' in str(error.value)


def test_missing_files(source, tmp_path):
  for number, name in enumerate(['saved_model.pb', 'variables', 'assets']):
    broken = tmp_path / str(number)
    shutil.copytree(source, broken)
    path = broken / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError) as error:
      writing.write_lean(str(broken), str(tmp_path / f'lean{number}'),
                                  _OUTPUTS)
    assert str(broken) in str(error.value)


def test_folder_that_is_no_saved_model(tmp_path):
  for path in tmp_path, tmp_path / 'absent':
    with pytest.raises(UserError, match='no (directory|SavedModel)'):
      writing.write_lean(str(path), str(tmp_path / 'lean'), _OUTPUTS)
