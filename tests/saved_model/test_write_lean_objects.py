"""Tables, files, Keras models and what else lies in and beside a SavedModel."""

import os
import shutil

import numpy as np
import pytest

import saved_models
from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model import writing
from exporter.meta_graph.asset_files import file_names
from exporter.errors import UserError

_X = np.linspace(-2, 3, 6, dtype=np.float32)
_WORDS = np.array(['b', 'zz', 'a'], object)


def _file_table(tf, path, words):
  path.write_text('\n'.join(words) + '\n')
  return tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
      str(path), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
      tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), -1)


@pytest.fixture
def tables(tf, save, tmp_path):
  """A SavedModel that looks words up in several tables."""
  class Tables(tf.Module):
    def __init__(self):
      self.first = _file_table(tf, tmp_path / 'first.txt', 'abc')
      self.second = _file_table(tf, tmp_path / 'second.txt', 'cba')
      self.pairs = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(
          ['a', 'b'], tf.constant([10, 20], tf.int64)), -5)
      self.vocabulary = tf.lookup.StaticVocabularyTable(
          tf.lookup.KeyValueTensorInitializer(
              ['a', 'b'], tf.constant([0, 1], tf.int64)), 2)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'words')])
    def __call__(self, words):
      return {'first': self.first.lookup(words), 'second': self.second.lookup(words),
              'pairs': self.pairs.lookup(words), 'size': self.first.size(),
              'vocabulary': self.vocabulary.lookup(words)}

  module = Tables()
  return save(module, module.__call__)


@pytest.mark.both_stacks
@pytest.mark.parametrize('keys, files, count', [
    (['first'], ['first.txt'], 1), (['second', 'pairs'], ['second.txt'], 2),
    (['pairs'], [], 1), (['vocabulary'], [], 1), (['size'], ['first.txt'], 1),
    (['first', 'second', 'size'], ['first.txt', 'second.txt'], 2)])
def test_tables_and_their_files(tf, tables, slim, keys, files, count):
  target, pruned = slim(tables, {'serving_default': keys},
                        {'serving_default': {'words': _WORDS}})
  assert pruned.is_callable
  assert sorted(p.name for p in (target / 'assets').iterdir()) == files
  assert sorted(file_names(saved_models.meta_graph_of(target))) == files
  ops = saved_models.meta_graph_of(target).graph_def.node
  assert sum(node.op == 'HashTableV2' for node in ops) == count
  loaded, stock = (tf.saved_model.load(str(path)) for path in (target, tables))
  found, expected = loaded(tf.constant(_WORDS)), stock(tf.constant(_WORDS))
  assert sorted(found) == sorted(keys)
  for key in keys:
    saved_models.assert_same_bits(found[key].numpy(), expected[key].numpy())
  again, _ = slim(target, {'serving_default': keys}, name='again')
  assert (again / 'saved_model.pb').read_bytes() == (
      target / 'saved_model.pb').read_bytes()


def test_tables_work_where_the_model_has_moved(tf, tables, slim, tmp_path):
  target, _ = slim(tables, {'serving_default': ['first']})
  moved = tmp_path / 'moved'
  shutil.move(target, moved)
  shutil.rmtree(tables)
  (tmp_path / 'first.txt').unlink()
  for run in saved_models.run_v2, saved_models.run_v1:
    assert run(moved, 'serving_default', {'words': _WORDS})['first'].tolist() == [
        1, -1, 0]


def test_missing_file_of_a_table_is_an_error(tf, tables, tmp_path):
  (tables / 'assets' / 'first.txt').unlink()
  with pytest.raises(UserError, match='first.txt'):
    writing.write_lean(str(tables), str(tmp_path / 'lean'),
                                {'serving_default': ['first']})
  writing.write_lean(str(tables), str(tmp_path / 'other'),
                              {'serving_default': ['second']})


def test_file_outside_of_the_model_is_refused(tf, tables, tmp_path):
  (tmp_path / 'secret').write_text('secret')
  saved_model = SavedModelFiles.open(tables).proto
  for asset in saved_model.meta_graphs[0].asset_file_def:
    asset.filename = '../../secret'
  (tables / 'saved_model.pb').write_bytes(saved_model.SerializeToString())
  with pytest.raises(UserError, match='secret'):
    writing.write_lean(str(tables), str(tmp_path / 'lean'),
                                {'serving_default': ['first']})


def test_mutable_table_goes(tf, save, slim):
  class Mutable(tf.Module):
    def __init__(self):
      self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
      self.table.insert(['a'], [1])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'words')])
    def __call__(self, words):
      return {'found': self.table.lookup(words), 'length': tf.strings.length(words)}

  module = Mutable()
  source = save(module, module.__call__)
  target, _ = slim(source, {'serving_default': ['length']},
                   {'serving_default': {'words': np.array([b'a', b'bcd'])}})
  assert not saved_models.variables_of(target)


def test_resource_that_fills_and_ends_itself(tf, save, slim):
  """Also when nothing holds it but what was loaded."""
  raw = tf.raw_ops

  class Number(tf.saved_model.experimental.TrackableResource):

    def __init__(self, value):
      super().__init__()
      self.value = value

    def _create_resource(self):
      return raw.VarHandleOp(dtype=tf.float32, shape=[], shared_name=f'number_{self.value}')

    def _initialize(self):
      raw.AssignVariableOp(resource=self.resource_handle, value=tf.constant(self.value))

    def _destroy_resource(self):
      raw.DestroyResourceOp(resource=self.resource_handle)

    @tf.function(input_signature=[])
    def reset(self):
      self._initialize()

    def read(self):
      return raw.ReadVariableOp(resource=self.resource_handle, dtype=tf.float32)

  module = tf.Module()
  module.numbers = [Number(3.0), Number(4.0)]
  for number in module.numbers:
    number._initialize()
  module.__call__ = tf.function(
      lambda x: {'a': x * module.numbers[0].read(), 'b': x * module.numbers[1].read()},
      [tf.TensorSpec([None], tf.float32, 'x')])
  source = save(module, module.__call__)
  target, _ = slim(source, {'serving_default': ['b']}, {'serving_default': {'x': _X}},
                   loaders=['v1'])  # As the other drops what it has loaded.
  np.testing.assert_array_equal(tf.saved_model.load(str(target))(_X)['b'], _X * 4)


def test_python_functions_are_kept_as_they_are(tf, save, slim):
  module = tf.Module()
  module.__call__ = tf.function(
      lambda x: {'kept': x + 1, 'called': tf.py_function(lambda x: x * 2, [x], x.dtype),
                 'dropped': tf.exp(x)},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  source = save(module, module.__call__)
  # What Python code does is not known, so a call of it stays.
  target, _ = slim(source, {'serving_default': ['kept']})
  assert 'EagerPyFunc' in saved_models.ops_of(target)
  assert 'Exp' not in saved_models.ops_of(target)


def _keras(tf):
  try:
    import tf_keras
    return tf_keras
  except ImportError:
    return tf.keras


@pytest.mark.both_stacks
def test_keras_model(tf, slim, tmp_path):
  keras = _keras(tf)
  inputs = keras.Input([4], name='x')
  hidden = keras.layers.Dense(8, 'relu', name='hidden')(inputs)
  norm = keras.layers.BatchNormalization(name='norm')(hidden)
  model = keras.Model(inputs, {
      'kept': keras.layers.Dense(2, name='kept')(norm),
      'dropped': keras.layers.Dense(3, name='dropped')(hidden)})
  model.compile('adam', 'mse')
  x = np.random.default_rng(0).normal(size=[5, 4]).astype(np.float32)
  model.fit(x, {'kept': x[:, :2], 'dropped': x[:, :3]}, verbose=0)
  source = tmp_path / 'source'
  model.save(str(source), save_format='tf')
  assert (source / 'keras_metadata.pb').exists()
  target, pruned = slim(source, {'serving_default': ['kept']},
                        {'serving_default': {'x': x}})
  shapes = sorted(saved_models.variables_of(target).values())
  assert shapes == sorted([[4, 8], [8], [8, 2], [2], [8], [8], [8], [8]])
  # Neither the optimizer nor the layers' own functions are left.
  loaded = tf.saved_model.load(str(target))
  assert len(loaded.variables) == 8
  assert not any('dropped' in name for name in saved_models.functions_of(target))
  if pruned.is_callable:
    found = loaded(tf.constant(x))
    assert list(found) == ['kept']


@pytest.mark.slow
def test_keras_recurrent_layer(tf, slim, tmp_path):
  keras = _keras(tf)
  inputs = keras.Input([6, 4], name='x')
  model = keras.Model(inputs, {
      'kept': keras.layers.LSTM(3, name='kept')(inputs),
      'dropped': keras.layers.GRU(5, name='dropped')(inputs)})
  source = tmp_path / 'source'
  model.save(str(source), save_format='tf')
  x = np.random.default_rng(0).normal(size=[2, 6, 4]).astype(np.float32)
  target, _ = slim(source, {'serving_default': ['kept']},
                   {'serving_default': {'x': x}})
  assert sorted(saved_models.variables_of(target).values()) == [[3, 12], [4, 12], [12]]
  devices = {}  # Grappler picks one of these by the device that there is.
  for function in saved_models.functions_of(target).values():
    if 'api_implements' in function.attr:
      devices.setdefault(function.attr['api_implements'].s, []).append(
          function.attr['api_preferred_device'].s)
  assert devices
  assert all(sorted(names) == [b'CPU', b'GPU'] for names in devices.values())


def _module(tf):
  module = tf.Module()
  module.weight = tf.Variable(3.0)
  module.__call__ = tf.function(
      lambda x: {'a': x * module.weight, 'b': tf.exp(x)},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  return module


@pytest.mark.both_stacks
def test_what_lies_beside_the_graph(tf, save, slim):
  module = _module(tf)
  source = save(module, module.__call__, options=tf.saved_model.SaveOptions(
      save_debug_info=True, function_aliases={'alias': module.__call__}))
  assert (source / 'debug' / 'saved_model_debug_info.pb').exists()
  (source / 'assets.extra' / 'sub').mkdir(parents=True)
  (source / 'assets.extra' / 'tf_serving_warmup_requests').write_bytes(b'warm')
  (source / 'assets.extra' / 'sub' / 'note').write_bytes(b'up')
  (source / 'keras_metadata.pb').write_bytes(b'')
  target, _ = slim(source, {'serving_default': ['a']}, {'serving_default': {'x': _X}})
  extra = target / 'assets.extra'
  assert (extra / 'tf_serving_warmup_requests').read_bytes() == b'warm'
  assert (extra / 'sub' / 'note').read_bytes() == b'up'
  # These describe the former graph: where in which source file its nodes were made.
  assert not (target / 'debug').exists()
  assert not (target / 'keras_metadata.pb').exists()
  assert set(os.listdir(target)) <= {
      'assets', 'assets.extra', 'fingerprint.pb', 'saved_model.pb', 'variables'}
  meta_graph = saved_models.meta_graph_of(target)
  aliased = set(meta_graph.meta_info_def.function_aliases)
  assert aliased <= set(saved_models.functions_of(target))


def test_fingerprint_is_that_of_the_new_model(tf, save, slim):
  module = _module(tf)
  source = save(module, module.__call__)
  target, _ = slim(source, {'serving_default': ['a']})
  if not hasattr(tf.saved_model.experimental, 'read_fingerprint'):
    pytest.skip('this TensorFlow writes no fingerprints')
  read = tf.saved_model.experimental.read_fingerprint
  assert read(str(target)) != read(str(source))
  assert read(str(target)).checkpoint_hash


def test_source_stays_as_it_is(tf, tables, slim):
  def contents():
    return {path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in tables.rglob('*') if path.is_file()}
  before = contents()
  slim(tables, {'serving_default': ['first']},
       {'serving_default': {'words': _WORDS}})
  assert contents() == before


@pytest.mark.both_stacks
def test_variable_dtypes(tf, save, slim):
  dtypes = [tf.bfloat16, tf.bool, tf.complex64, tf.float16, tf.float64, tf.int8,
            tf.int64, tf.string, tf.uint8]
  module = tf.Module()
  module.weights = [
      tf.Variable(tf.constant(['a', '']) if dtype == tf.string
                  else tf.cast(tf.constant([1, 0]), dtype), name=dtype.name)
      for dtype in dtypes]
  module.unused = tf.Variable(1.0)
  module.__call__ = tf.function(
      lambda x: {**{w.dtype.name: w.read_value() for w in module.weights},
                 'x': x + module.unused},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  source = save(module, module.__call__)
  keys = [dtype.name for dtype in dtypes]
  target, _ = slim(source, {'serving_default': keys})
  assert len(saved_models.variables_of(target)) == len(dtypes)
  found, expected = (tf.saved_model.load(str(path))(tf.constant(_X))
                     for path in (target, source))
  for key in keys:
    saved_models.assert_same_bits(found[key].numpy(), expected[key].numpy())


def test_variable_that_two_names_share(tf, save, slim):
  module = tf.Module()
  module.one = module.two = tf.Variable([1.0, 2.0])
  module.nested = {'three': module.one, 'other': tf.Variable(5.0, name='other')}
  module.__call__ = tf.function(
      lambda x: {'a': x * module.one[0] + module.nested['three'][1],
                 'b': x * module.nested['other']},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  target, _ = slim(save(module, module.__call__), {'serving_default': ['a']},
                   {'serving_default': {'x': _X}})
  assert list(saved_models.variables_of(target).values()) == [[2]]


def test_variables_of_the_same_name(tf, save, slim):
  module = tf.Module()
  module.weights = [tf.Variable(float(i), name='same') for i in range(4)]
  module.__call__ = tf.function(
      lambda x: {str(i): x * w for i, w in enumerate(module.weights)},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  target, _ = slim(save(module, module.__call__), {'serving_default': ['1', '3']},
                   {'serving_default': {'x': _X}})
  assert len(saved_models.variables_of(target)) == 2
  loaded = tf.saved_model.load(str(target))
  assert sorted(float(v) for v in loaded.variables) == [1.0, 3.0]


@pytest.mark.both_stacks
def test_session_saves_and_restores_what_is_left(tf, save, slim, tmp_path):
  module = _module(tf)
  target, _ = slim(save(module, module.__call__), {'serving_default': ['a']})
  v1 = tf.compat.v1
  prefix = str(tmp_path / 'saved')
  with v1.Session(graph=tf.Graph()) as session:
    meta_graph = v1.saved_model.load(session, ['serve'], str(target))
    saver = meta_graph.saver_def
    session.run(saver.save_tensor_name, {saver.filename_tensor_name: prefix})
    assert tf.train.list_variables(prefix) == [
        ('variables/0/.ATTRIBUTES/VARIABLE_VALUE', [])]
    session.run(saver.restore_op_name, {saver.filename_tensor_name: prefix})


def test_loaded_object_can_be_saved_again(tf, save, slim, tmp_path):
  module = _module(tf)
  target, _ = slim(save(module, module.__call__), {'serving_default': ['a']})
  loaded = tf.saved_model.load(str(target))
  loaded.variables[0].assign(5.0)
  again = tmp_path / 'again'
  tf.saved_model.save(loaded, str(again), signatures=loaded.signatures)
  assert saved_models.run_v2(again, 'serving_default', {'x': [2.0]})['a'] == [10.0]
  checkpoint = tf.train.Checkpoint(loaded)
  path = checkpoint.save(str(tmp_path / 'ckpt'))
  fresh = tf.saved_model.load(str(target))
  tf.train.Checkpoint(fresh).restore(path).assert_existing_objects_matched()
  assert float(fresh.variables[0]) == 5.0


@pytest.mark.both_stacks
def test_model_of_a_single_constant_output(tf, save, slim):
  module = tf.Module()
  module.weight = tf.Variable(1.0)
  module.__call__ = tf.function(
      lambda x: {'constant': tf.constant([1, 2]), 'other': x * module.weight},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  target, _ = slim(save(module, module.__call__), {'serving_default': ['constant']},
                   {'serving_default': {'x': _X}})
  assert saved_models.variables_of(target) == {}
