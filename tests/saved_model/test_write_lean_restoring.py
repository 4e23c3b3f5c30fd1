"""What fills variables and tables when a SavedModel is loaded, however it is told."""

import shutil

import numpy as np
import pytest

import saved_models
from exporter.errors import UserError
from exporter.saved_model import writing
from exporter.saved_model.files import SavedModelFiles

_X = np.linspace(-2, 3, 6, dtype=np.float32)
_FEED = {'serving_default': {'x': _X}}
_WORDS = np.array(['b', 'zz', 'a'], object)


@pytest.fixture
def v1(tf):
  return tf.compat.v1


@pytest.fixture
def save_v1(tf, v1, tmp_path):
  """`save_v1(build)` saves what `build()` makes: inputs, outputs, options."""
  def save(build, name='source'):
    path = tmp_path / name
    with tf.Graph().as_default(), v1.Session() as session:
      inputs, outputs, options = build()
      session.run([v1.global_variables_initializer(),
                   v1.local_variables_initializer(), v1.tables_initializer()])
      builder = v1.saved_model.Builder(str(path))
      builder.add_meta_graph_and_variables(
          session, ['serve'], {'serving_default':
              v1.saved_model.predict_signature_def(inputs, outputs)},
          assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
          **options)
      builder.save()
    return path
  return save


def _weights(tf):
  module = tf.Module()
  module.weights = {'a': tf.Variable(3.0, name='w'), 'b': tf.Variable(4.0, name='w')}
  module.nested = [tf.Variable([1.0, 2.0], name='w')]
  module.__call__ = tf.function(
      lambda x: {'a': x * module.weights['a'] + module.nested[0][1],
                 'b': tf.exp(x) * module.weights['b']},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  return module


def _no_saver(tf):
  if not hasattr(tf.saved_model.SaveOptions(), 'experimental_skip_saver'):
    pytest.skip('this TensorFlow always writes a saver')
  return tf.saved_model.SaveOptions(experimental_skip_saver=True)


@pytest.mark.both_stacks
def test_variables_without_a_saver_in_the_graph(tf, save, slim):
  module = _weights(tf)
  source = save(module, module.__call__, options=_no_saver(tf))
  assert not saved_models.meta_graph_of(source).HasField('saver_def')
  target, _ = slim(source, {'serving_default': ['a']}, _FEED, loaders=['v2'])
  assert sorted(saved_models.variables_of(target).values()) == [[], [2]]
  # Sessions could not load the source; now they can.
  expected = saved_models.run_v2(source, 'serving_default', {'x': _X})['a']
  saved_models.assert_same_bits(
      saved_models.run_v1(target, 'serving_default', {'x': _X})['a'], expected)


@pytest.mark.parametrize('how', ['save', 'export'])
def test_what_keras_3_saves(tf, slim, tmp_path, how):
  """Its `export` writes each variable twice, and sessions restore the other one."""
  keras = pytest.importorskip('keras')
  if not keras.__version__.startswith('3') or keras.backend.backend() != 'tensorflow':
    pytest.skip('this is no Keras 3 on TensorFlow')
  inputs = keras.Input([4], name='x')
  hidden = keras.layers.Dense(8, 'relu')(inputs)
  model = keras.Model(inputs, {
      'kept': keras.layers.Dense(2)(keras.layers.BatchNormalization()(hidden)),
      'dropped': keras.layers.Dense(3)(hidden)})
  source = tmp_path / 'source'
  if how == 'save':
    tf.saved_model.save(model, str(source))
  else:
    model.export(str(source), verbose=False)
  x = np.random.default_rng(0).normal(size=[5, 4]).astype(np.float32)
  signatures = saved_models.meta_graph_of(source).signature_def
  keys = sorted(signatures['serving_default'].outputs)
  name = next(iter(signatures['serving_default'].inputs))
  for key in keys:
    target, _ = slim(source, {'serving_default': [key]},
                     {'serving_default': {name: x}}, name=key,
                     loaders=['v2'] if how == 'save' else ['v2', 'v1'])
    assert saved_models.variables_of(target)


@pytest.mark.both_stacks
def test_two_witnesses_that_disagree_are_refused(tf, save, tmp_path):
  module = _weights(tf)
  source = save(module, module.__call__)
  saved_model = SavedModelFiles.open(source).proto
  for function in saved_model.meta_graphs[0].graph_def.library.function:
    for node in function.node_def:
      if node.name.endswith('RestoreV2/tensor_names'):
        keys = node.attr['value'].tensor.string_val
        assert len(keys) > 2
        keys[0], keys[1] = keys[1], keys[0]
  (source / 'saved_model.pb').write_bytes(saved_model.SerializeToString())
  with pytest.raises(UserError, match='in two ways'):
    writing.write_lean(str(source), str(tmp_path / 'lean'),
                       {'serving_default': ['a', 'b']})
  assert not (tmp_path / 'lean').exists()


def test_a_variable_without_a_value_is_damage(tf, save, tmp_path):
  module = _weights(tf)
  source = save(module, module.__call__, options=_no_saver(tf))
  shutil.rmtree(source / 'variables')
  with pytest.raises(UserError, match='no value of the variable'):
    writing.write_lean(str(source), str(tmp_path / 'lean'),
                       {'serving_default': ['a']})


def _table(tf, v1, path, words, name, **options):
  path.write_text('\n'.join(words) + '\n')
  asset = tf.constant(str(path))
  v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
  return tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
      asset, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
      tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), -1, name=name, **options)


def _two_tables(tf, v1, tmp_path):
  words = v1.placeholder(tf.string, [None], name='words')
  kept = _table(tf, v1, tmp_path / 'kept.txt', 'abc', 'kept')
  dropped = _table(tf, v1, tmp_path / 'dropped.txt', 'cba', 'dropped')
  weight = v1.get_variable('weight', initializer=np.int64(3), use_resource=True)
  outputs = {'kept': kept.lookup(words) * weight, 'dropped': dropped.lookup(words),
             'length': tf.strings.length(words)}
  return {'words': words}, outputs


def _run_after_tables_initializer(tf, path, words):
  v1 = tf.compat.v1
  with v1.Session(graph=tf.Graph()) as session:
    signature = v1.saved_model.load(
        session, ['serve'], str(path)).signature_def['serving_default']
    session.run(v1.tables_initializer())
    return session.run({key: t.name for key, t in signature.outputs.items()},
                       {signature.inputs['words'].name: words})


@pytest.mark.both_stacks
def test_tables_that_the_program_fills_after_loading(tf, v1, save_v1, slim, tmp_path):
  source = save_v1(lambda: (*_two_tables(tf, v1, tmp_path), {}))
  expected = _run_after_tables_initializer(tf, source, _WORDS)
  for key, assets in (('kept', ['kept.txt']), ('dropped', ['dropped.txt']),
                      ('length', [])):
    target, _ = slim(source, {'serving_default': [key]}, name=key)
    found = _run_after_tables_initializer(tf, target, _WORDS)
    assert found[key].tolist() == expected[key].tolist() and list(found) == [key]
    assert [p.name for p in (target / 'assets').iterdir()] == assets
    # TF2 runs them itself.
    assert saved_models.run_v2(target, 'serving_default', {'words': _WORDS})[
        key].tolist() == expected[key].tolist()


@pytest.mark.both_stacks
@pytest.mark.parametrize('has_main_op', [True, False])
def test_model_of_tf1_that_tf2_has_loaded_and_saved(
    tf, v1, save_v1, save, slim, tmp_path, has_main_op):
  def build():
    inputs, outputs = _two_tables(tf, v1, tmp_path)
    return inputs, outputs, {'main_op': v1.tables_initializer()} if has_main_op else {}

  module = tf.Module()
  module.loaded = tf.saved_model.load(str(save_v1(build, 'tf1')))
  function = module.loaded.signatures['serving_default']
  module.__call__ = tf.function(
      lambda words: function(words=words),
      input_signature=[tf.TensorSpec([None], tf.string, 'words')])
  source = save(module, module.__call__)
  feed = {'serving_default': {'words': _WORDS}}
  for key in 'kept', 'dropped':
    target, pruned = slim(source, {'serving_default': [key]}, feed, name=key)
    assert pruned.is_callable
    assert len(list((target / 'assets').iterdir())) == 2  # One op fills both.
    again, _ = slim(target, {'serving_default': [key]}, feed, name=f'{key}_again')
    assert (again / 'saved_model.pb').read_bytes() == (
        target / 'saved_model.pb').read_bytes()
  target, _ = slim(source, {'serving_default': ['length']}, feed, name='length')
  assert not list((target / 'assets').iterdir())
  assert 'InitializeTableFromTextFileV2' not in saved_models.ops_of(target)


@pytest.mark.both_stacks
def test_an_object_that_fills_a_variable_on_loading(tf, save, slim):
  try:
    from tensorflow.python.trackable import resource
  except ImportError:  # Up to TF 2.8.
    from tensorflow.python.training.tracking import tracking as resource

  class Filler(resource.CapturableResource):
    def __init__(self, variable):
      super().__init__()
      self.variable = variable

    def _create_resource(self):
      return tf.constant(1.0)

    def _initialize(self):
      self.variable.assign(7.0)

  module = tf.Module()
  module.filled, module.other = tf.Variable(1.0), tf.Variable(2.0)
  module.fillers = [Filler(module.filled), Filler(module.other)]
  module.__call__ = tf.function(
      lambda x: {'filled': x * module.filled, 'other': x * module.other, 'x': x + 1},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  source = save(module, module.__call__)
  assert saved_models.run_v2(source, 'serving_default', {'x': _X})['filled'][5] == 21
  target, _ = slim(source, {'serving_default': ['filled']}, _FEED, loaders=['v2'])
  assert len(saved_models.variables_of(target)) == 1
  target, _ = slim(source, {'serving_default': ['x']}, _FEED, name='x')
  assert 'AssignVariableOp' not in saved_models.ops_of(target)


@pytest.mark.both_stacks
def test_two_handles_of_one_variable(tf, v1, save_v1, slim):
  def build():
    x = v1.placeholder(tf.float32, [None], name='x')
    weights = {key: v1.get_variable(key, initializer=np.float32(i + 2),
                                    use_resource=True)
               for i, key in enumerate(['kept', 'dropped'])}
    v1.get_variable('local', initializer=np.float32(5), use_resource=True,
                    collections=[v1.GraphKeys.LOCAL_VARIABLES])
    read = {key: tf.raw_ops.ReadVariableOp(
        resource=tf.raw_ops.VarHandleOp(
            dtype=tf.float32, shape=[], shared_name=key, name=f'other_{key}'),
        dtype=tf.float32) for key in (*weights, 'local')}
    outputs = {key: x * value for key, value in read.items()}
    return {'x': x}, outputs, {'main_op': v1.local_variables_initializer()}

  source = save_v1(build)
  # The loader of TF2 does not see that they are the same.
  target, _ = slim(source, {'serving_default': ['kept']}, _FEED, loaders=['v1'])
  assert set(saved_models.variables_of(target)) == {'kept'}
  target, _ = slim(source, {'serving_default': ['local']}, _FEED, name='local',
                   loaders=['v1'])
  assert not saved_models.variables_of(target)
  with v1.Session(graph=tf.Graph()) as session:
    v1.saved_model.load(session, ['serve'], str(target))
    assert [v.op.name for v in v1.local_variables()] == ['local']


@pytest.mark.both_stacks
def test_two_handles_of_one_table(tf, v1, save_v1, slim):
  def build():
    keys = v1.placeholder(tf.int64, [None], name='keys')
    outputs, fills = {}, []
    for name, factor in (('kept', 10), ('dropped', 100)):
      filled, read = (tf.raw_ops.HashTableV2(
          key_dtype=tf.int64, value_dtype=tf.int64, shared_name=name,
          name=f'{name}_{which}') for which in ('filled', 'read'))
      numbers = tf.range(5, dtype=tf.int64)
      fills.append(tf.raw_ops.InitializeTableV2(
          table_handle=filled, keys=numbers, values=numbers * factor))
      outputs[name] = tf.raw_ops.LookupTableFindV2(
          table_handle=read, keys=keys, default_value=tf.constant(-1, tf.int64))
    return {'keys': keys}, outputs, {'main_op': tf.group(*fills)}

  source = save_v1(build)
  # The loader of TF2 does not see that they are the same.
  target, _ = slim(source, {'serving_default': ['kept']},
                   {'serving_default': {'keys': np.arange(7)}}, loaders=['v1'])
  assert saved_models.ops_of(target).count('InitializeTableV2') == 1


def test_a_table_that_is_filled_from_another_one(tf, v1, save_v1, slim):
  def build():
    x = v1.placeholder(tf.int64, [None], name='x')
    numbers = tf.range(5, dtype=tf.int64)
    first = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(
        numbers, numbers * 10), -1, name='first')
    with tf.control_dependencies([first._init_op]):
      second = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(
          numbers, first.lookup(numbers) + 1), -1, name='second')
    outputs = {'second': second.lookup(x), 'first': first.lookup(x)}
    return {'x': x}, outputs, {
        'main_op': tf.group(first._init_op, second._init_op)}

  slim(save_v1(build), {'serving_default': ['second']},
       {'serving_default': {'x': np.arange(7)}})


@pytest.mark.both_stacks
def test_initial_value_that_is_the_second_result_of_a_call(tf, v1, save_v1, slim):
  def build():
    x = v1.placeholder(tf.float32, [None], name='x')
    both = tf.function(lambda: (tf.constant(1.0) * 3, tf.constant(2.0) * 4),
                       autograph=False)
    _, second = both()
    weight = v1.get_variable('weight', initializer=second, use_resource=True)
    return {'x': x}, {'kept': x * weight, 'dropped': tf.exp(x)}, {}

  target, _ = slim(save_v1(build), {'serving_default': ['kept']}, _FEED)
  with v1.Session(graph=tf.Graph()) as session:
    v1.saved_model.load(session, ['serve'], str(target))
    session.run(v1.global_variables_initializer())
    variable, = v1.global_variables()
    assert session.run([variable, variable.initial_value]) == [8.0, 8.0]
