"""SavedModels of TF1: no objects, one graph, collections, init ops, old loops."""

import numpy as np
import pytest

import saved_models
from exporter.meta_graph.asset_files import file_names
from exporter.errors import UserError

_X = np.linspace(-2, 3, 6, dtype=np.float32)
_FEED = {'serving_default': {'x': _X}}


@pytest.fixture
def v1(tf):
  return tf.compat.v1


@pytest.fixture
def save_v1(tf, v1, tmp_path):
  """`save_v1(build)` saves the graph that `build(x)` makes, a dict of outputs.

  What `build` returns beside the dict goes to `add_meta_graph_and_variables`.
  """
  def save(build, name='source', use_resource=True):
    path = tmp_path / name
    with tf.Graph().as_default(), v1.Session() as session:
      v1.get_variable_scope().set_use_resource(use_resource)
      x = v1.placeholder(tf.float32, [None], name='x')
      built = build(x)
      outputs, options = built if isinstance(built, tuple) else (built, {})
      session.run([v1.global_variables_initializer(),
                   v1.local_variables_initializer(), v1.tables_initializer()])
      signature = v1.saved_model.predict_signature_def({'x': x}, outputs)
      builder = v1.saved_model.Builder(str(path))
      builder.add_meta_graph_and_variables(
          session, ['serve'], {'serving_default': signature}, **options)
      builder.save()
    return path
  return save


@pytest.fixture
def old_control_flow(v1):
  v1.disable_control_flow_v2()
  yield
  v1.enable_control_flow_v2()


def _slim(slim, source, *keys, **options):
  target, pruned = slim(source, {'serving_default': list(keys)}, _FEED, **options)
  assert not pruned.is_callable
  return target


@pytest.mark.both_stacks
@pytest.mark.parametrize('use_resource', [True, False])
def test_variables(tf, v1, save_v1, slim, use_resource):
  def build(x):
    weights = {key: v1.get_variable(key, initializer=np.float32(i + 2))
               for i, key in enumerate(['kept', 'dropped', 'unused'])}
    v1.get_variable('counter', initializer=np.int32(7), trainable=False)
    return {'kept': x * weights['kept'], 'dropped': tf.exp(x * weights['dropped'])}

  source = save_v1(build, use_resource=use_resource)
  assert set(saved_models.variables_of(source)) == {
      'kept', 'dropped', 'unused', 'counter'}
  target = _slim(slim, source, 'kept')
  assert set(saved_models.variables_of(target)) == {'kept'}
  assert 'Exp' not in saved_models.ops_of(target)
  with v1.Session(graph=tf.Graph()) as session:
    v1.saved_model.load(session, ['serve'], str(target))
    assert [v.op.name for v in v1.global_variables()] == ['kept']
    assert [v.op.name for v in v1.trainable_variables()] == ['kept']
    session.run(v1.global_variables_initializer())
    assert session.run(v1.global_variables()) == [2.0]
    v1.train.Saver().restore(session, str(target / 'variables' / 'variables'))
  again = _slim(slim, target, 'kept', name='again')
  assert (again / 'saved_model.pb').read_bytes() == (
      target / 'saved_model.pb').read_bytes()


@pytest.mark.both_stacks
@pytest.mark.parametrize('use_resource', [True, False])
def test_partitioned_variables_and_a_sharded_saver(tf, v1, save_v1, slim, use_resource):
  def build(x):
    with v1.variable_scope('', partitioner=v1.fixed_size_partitioner(3)):
      kept = v1.get_variable('kept', [30], initializer=v1.initializers.random_normal())
      dropped = v1.get_variable('dropped', [30])
    half = v1.get_variable('half', [30], partitioner=v1.fixed_size_partitioner(2))
    with tf.device('/cpu:0'):
      other = v1.get_variable('other', initializer=np.float32(3))
    outputs = {'kept': x * other + tf.reduce_sum(kept.as_tensor()[3:28]),
               'dropped': x + tf.reduce_sum(dropped.as_tensor()),
               'half': x + list(half)[1][0]}
    return outputs, {'saver': v1.train.Saver(sharded=True)}

  source = save_v1(build, use_resource=use_resource)
  target = _slim(slim, source, 'kept')
  assert saved_models.variables_of(target) == {'kept': [30], 'other': []}
  with v1.Session(graph=tf.Graph()) as session:
    v1.saved_model.load(session, ['serve'], str(target))
    assert len(v1.global_variables()) == 4
    # The saver that is in the graph saves what it restores.
    meta_graph = saved_models.meta_graph_of(target)
    prefix = str(target.parent / 'saved')
    session.run(meta_graph.saver_def.save_tensor_name,
                {meta_graph.saver_def.filename_tensor_name: prefix})
    assert dict(tf.train.list_variables(prefix)) == {'kept': [30], 'other': []}
  # One of two parts is enough to need the entry.
  target = _slim(slim, source, 'half', name='half')
  assert saved_models.variables_of(target) == {'half': [30]}


@pytest.mark.parametrize('use_resource', [True, False])
def test_saver_that_reshapes(tf, v1, save_v1, slim, use_resource):
  def build(x):
    kept, dropped = (v1.get_variable(key, initializer=np.zeros(6, np.float32))
                     for key in ('kept', 'dropped'))
    outputs = {'kept': x * kept, 'dropped': x * dropped}
    return outputs, {'saver': v1.train.Saver(reshape=True)}

  source = save_v1(build, use_resource=use_resource)
  with tf.Graph().as_default(), v1.Session() as session:
    v1.get_variable('kept', initializer=np.arange(6, dtype=np.float32).reshape(2, 3))
    v1.get_variable('dropped', initializer=np.ones([3, 2], np.float32))
    session.run(v1.global_variables_initializer())
    v1.train.Saver().save(session, str(source / 'variables' / 'variables'),
                          write_meta_graph=False, write_state=False)
  target = _slim(slim, source, 'kept')
  assert saved_models.variables_of(target) == {'kept': [2, 3]}
  np.testing.assert_array_equal(
      saved_models.run_v1(target, 'serving_default', {'x': _X})['kept'],
      _X * np.arange(6, dtype=np.float32))


@pytest.mark.both_stacks
def test_old_loops_and_branches(tf, v1, save_v1, slim, old_control_flow):
  def build(x):
    weight = v1.get_variable('weight', initializer=np.float32(1.5))
    other = v1.get_variable('other', initializer=np.float32(0.5))
    _, kept, dropped = v1.while_loop(
        lambda i, *_: i < 4,
        lambda i, a, b: (i + 1, v1.cond(i > 1, lambda: a * weight, lambda: a + 1),
                         tf.exp(b * other)), [0, x, x])
    branch, unused = v1.cond(
        tf.reduce_sum(x) > 0, lambda: (tf.sin(x), tf.cosh(x)), lambda: (x, x + 1))
    mapped = tf.map_fn(lambda row: tf.tan(row), x)
    return {'kept': kept, 'dropped': dropped, 'branch': branch, 'unused': unused,
            'mapped': mapped}

  source = save_v1(build)
  assert {'Enter', 'NextIteration', 'Switch'} <= set(saved_models.ops_of(source))
  target, pruned = slim(source, {'serving_default': ['kept']}, _FEED)
  assert pruned.given_up_gradients == ['while/while_context']
  with pytest.raises(AttributeError):
    _gradient(tf, target, 'kept')
  assert not {'Exp', 'Sin', 'Cosh', 'Tan'} & set(saved_models.ops_of(target))
  assert set(saved_models.variables_of(target)) == {'weight'}
  target, pruned = slim(source, {'serving_default': ['branch']}, _FEED, name='branch')
  ops = saved_models.ops_of(target)
  assert 'Sin' in ops and not {'Cosh', 'Enter', 'Tan'} & set(ops)
  assert not pruned.given_up_gradients
  for key in ('kept', 'branch'):  # What was given up, and what was not.
    assert np.all(_gradient(tf, source, key))
  saved_models.assert_same_bits(
      _gradient(tf, target, 'branch'), _gradient(tf, source, 'branch'))
  _slim(slim, source, 'mapped', 'kept', 'unused', name='mapped')


def test_an_old_loop_that_writes_in_place_and_was_loaded_by_tf2(
    tf, save_v1, slim, tmp_path, old_control_flow):
  """A function can promise nothing of what runs within its loops."""
  def doubled(value):
    written = tf.raw_ops.DeepCopy(x=value[None])
    changed = tf.raw_ops.InplaceAdd(x=written, i=[0], v=value[None])
    with tf.control_dependencies([changed]):
      return written[0] * 1.0

  loaded = tf.saved_model.load(str(save_v1(
      lambda x: {'kept': tf.map_fn(doubled, x), 'dropped': tf.exp(x)}, name='tf1')))
  source = tmp_path / 'source'
  tf.saved_model.save(loaded, str(source), dict(loaded.signatures))
  target, _ = slim(source, {'serving_default': ['kept']}, _FEED)
  np.testing.assert_array_equal(
      saved_models.run_v2(target, 'serving_default', {'x': _X})['kept'], _X * 2)


def test_a_write_in_an_old_loop_that_nothing_waits_for_any_more(
    tf, save_v1, slim, tmp_path, old_control_flow):
  def written_and_changed(value):
    written = tf.raw_ops.DeepCopy(x=value[None])
    changed = tf.raw_ops.InplaceAdd(x=written, i=[0], v=value[None])
    return written[0] * 1.0, changed[0]

  def build(x):
    kept, dropped = tf.map_fn(written_and_changed, x, (tf.float32, tf.float32))
    return {'kept': kept, 'dropped': dropped}

  loaded = tf.saved_model.load(str(save_v1(build, name='tf1')))
  source = tmp_path / 'source'
  tf.saved_model.save(loaded, str(source), dict(loaded.signatures))
  with pytest.raises(UserError, match='InplaceAdd.* within a loop or branch of TF1'):
    slim(source, {'serving_default': ['kept']})
  slim(source, {'serving_default': ['dropped']}, _FEED)


def _gradient(tf, path, key):
  """Of an output by the input, as sessions make it."""
  v1 = tf.compat.v1
  with v1.Session(graph=tf.Graph()) as session:
    outputs = v1.saved_model.load(
        session, ['serve'], str(path)).signature_def['serving_default'].outputs
    get = session.graph.get_tensor_by_name
    return session.run(v1.gradients(get(outputs[key].name), get('x:0'))[0], {'x:0': _X})


def test_new_loops_and_branches_in_the_main_graph(tf, v1, save_v1, slim):
  def build(x):
    weight = v1.get_variable('weight', initializer=np.float32(1.5))
    other = v1.get_variable('other', initializer=np.float32(0.5))
    _, kept, dropped = tf.while_loop(
        lambda i, *_: i < 4,
        lambda i, a, b: (i + 1, a * weight, tf.exp(b * other)), [0, x, x])
    branch, unused = tf.cond(
        tf.reduce_sum(x) > 0, lambda: (tf.sin(x), tf.cosh(x)), lambda: (x, x + 1))
    return {'kept': kept, 'dropped': dropped, 'branch': branch, 'unused': unused}

  source = save_v1(build)
  assert {'While', 'If'} & {op.removeprefix('Stateless')
                            for op in saved_models.ops_of(source)}
  target = _slim(slim, source, 'kept')
  assert not {'Exp', 'Sin', 'Cosh'} & set(saved_models.ops_of(target))
  assert set(saved_models.variables_of(target)) == {'weight'}
  target = _slim(slim, source, 'branch', name='branch')
  assert 'Cosh' not in saved_models.ops_of(target)


def test_functions_of_tf1(tf, v1, save_v1, slim):
  from tensorflow.python.framework import function
  def build(x):
    @function.Defun(tf.float32)
    def both(x):
      return tf.sin(x), tf.exp(x)
    kept, dropped = both(x)
    return {'kept': kept, 'dropped': tf.cosh(dropped)}

  ops = saved_models.ops_of(_slim(slim, save_v1(build), 'kept'))
  assert 'Sin' in ops and 'Cosh' not in ops


def test_order_and_checks_that_the_graph_asks_for(tf, v1, save_v1, slim):
  def build(x):
    count = v1.get_variable('count', initializer=np.int32(0))
    other = v1.get_variable('other', initializer=np.int32(0))
    with tf.control_dependencies([
        v1.assert_less(x, 10.0, message='x is too large'), count.assign_add(1)]):
      kept = tf.identity(x)
    with tf.control_dependencies([other.assign_add(1)]):
      dropped = tf.exp(x)
    return {'kept': kept, 'dropped': dropped, 'count': count.read_value()}

  source = save_v1(build)
  target = _slim(slim, source, 'kept')
  assert set(saved_models.variables_of(target)) == {'count'}
  with pytest.raises(tf.errors.InvalidArgumentError, match='x is too large'):
    saved_models.run_v1(target, 'serving_default', {'x': [11.0]})
  target, _ = slim(source, {'serving_default': ['kept', 'count']}, name='count')
  with v1.Session(graph=tf.Graph()) as session:
    graph = v1.saved_model.load(session, ['serve'], str(target))
    signature = graph.signature_def['serving_default']
    for _ in range(3):
      session.run(signature.outputs['kept'].name, {'x:0': _X})
    assert session.run(signature.outputs['count'].name) == 3


def _table(tf, v1, path, words, name):
  path.write_text('\n'.join(words) + '\n')
  asset = tf.constant(str(path))
  v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
  return tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
      asset, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
      tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), -1, name=name)


@pytest.mark.both_stacks
@pytest.mark.parametrize('option', ['main_op', 'legacy_init_op'])
def test_tables_assets_and_init_ops(tf, v1, save_v1, slim, tmp_path, option):
  def build(x):
    kept = _table(tf, v1, tmp_path / 'kept.txt', 'abcdef', 'kept')
    dropped = _table(tf, v1, tmp_path / 'dropped.txt', 'fedcba', 'dropped')
    pairs = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(
        tf.range(7), tf.range(7) * 10), -1, name='pairs')
    local = v1.get_variable('local', initializer=np.float32(0.25), trainable=False,
                            collections=[v1.GraphKeys.LOCAL_VARIABLES])
    letters = tf.gather(['a', 'b', 'c', 'd', 'e', 'f'], tf.range(tf.size(x)))
    outputs = {
        'kept': kept.lookup(letters), 'dropped': dropped.lookup(letters),
        'pairs': pairs.lookup(tf.range(tf.size(x))), 'local': x * local}
    init = tf.group(v1.tables_initializer(), v1.local_variables_initializer())
    options = {option: init,
               'assets_collection': v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)}
    if option == 'legacy_init_op':
      # The argument is deprecated; models of its time have the collection.
      options.pop(option)
      v1.add_to_collection('legacy_init_op', init)
    return outputs, options

  source = save_v1(build)
  assert {p.name for p in (source / 'assets').iterdir()} == {'kept.txt', 'dropped.txt'}
  for keys, assets, tables in (
      (['kept'], ['kept.txt'], 1), (['pairs', 'local'], [], 1),
      (['dropped', 'pairs'], ['dropped.txt'], 2), (['local'], [], 0)):
    target = _slim(slim, source, *keys, name='_'.join(keys))
    assert [p.name for p in (target / 'assets').iterdir()] == assets
    assert saved_models.ops_of(target).count('HashTableV2') == tables
    assert file_names(saved_models.meta_graph_of(target)) == assets
    assert saved_models.ops_of(target).count('VarHandleOp') == ('local' in keys)


def test_init_op_that_reads_a_variable(tf, v1, save_v1, slim):
  def build(x):
    seed = v1.get_variable('seed', initializer=np.float32(5))
    unused = v1.get_variable('unused', initializer=np.float32(5))
    copy = v1.get_variable('copy', initializer=np.float32(0), trainable=False,
                           collections=[v1.GraphKeys.LOCAL_VARIABLES])
    return ({'kept': x * copy, 'dropped': x * unused},
            {'main_op': tf.group(copy.assign(seed * 2))})

  target = _slim(slim, save_v1(build), 'kept')
  assert set(saved_models.variables_of(target)) == {'seed'}


@pytest.mark.both_stacks
def test_no_variables(tf, v1, save_v1, slim):
  target = _slim(slim, save_v1(lambda x: {'a': x + 1, 'b': tf.exp(x)}), 'a')
  assert 'Exp' not in saved_models.ops_of(target)


def test_all_variables_go(tf, v1, save_v1, slim):
  def build(x):
    weight = v1.get_variable('weight', initializer=np.float32(2))
    return {'kept': x + 1, 'dropped': x * weight}
  target = _slim(slim, save_v1(build), 'kept')
  assert saved_models.variables_of(target) == {}


def test_simple_save(tf, v1, slim, tmp_path):
  path = tmp_path / 'source'
  with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None], name='x')
    weight = v1.get_variable('weight', initializer=np.float32(2))
    session.run(v1.global_variables_initializer())
    v1.saved_model.simple_save(
        session, str(path), {'x': x}, {'a': x * weight, 'b': tf.exp(x)})
  target = _slim(slim, path, 'a')
  assert 'Exp' not in saved_models.ops_of(target)


def test_sparse_outputs(tf, v1, slim, tmp_path):
  path = tmp_path / 'source'
  with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None], name='x')
    v1.saved_model.simple_save(
        session, str(path), {'x': x},
        {'sparse': tf.sparse.from_dense(x), 'exp': tf.exp(x), 'x': x})
  target, _ = slim(path, {'serving_default': ['sparse']})
  assert 'Exp' not in saved_models.ops_of(target)
  with v1.Session(graph=tf.Graph()) as session:
    graph = v1.saved_model.load(session, ['serve'], str(target))
    sparse = graph.signature_def['serving_default'].outputs['sparse'].coo_sparse
    assert session.run(sparse.indices_tensor_name, {'x:0': [0.0, 1.0]}).tolist() == [
        [1]]


def test_only_the_graph_that_servers_load_is_kept(tf, v1, slim, tmp_path):
  path = tmp_path / 'source'
  builder = v1.saved_model.Builder(str(path))
  for tags, factor in ((['train'], 3.0), (['serve'], 2.0)):
    with tf.Graph().as_default(), v1.Session() as session:
      x = v1.placeholder(tf.float32, [None], name='x')
      weight = v1.get_variable('weight', initializer=np.float32(1))
      session.run(v1.global_variables_initializer())
      signatures = {'serving_default': v1.saved_model.predict_signature_def(
          {'x': x}, {'a': x * weight * factor, 'b': tf.exp(x)})}
      if tags == ['train']:
        builder.add_meta_graph_and_variables(session, tags, signatures)
      else:
        builder.add_meta_graph(tags, signatures)
  builder.save()
  target, _ = slim(path, {'serving_default': ['a']})
  with v1.Session(graph=tf.Graph()) as session:
    graph = v1.saved_model.load(session, ['serve'], str(target))
    output = graph.signature_def['serving_default'].outputs['a'].name
    assert session.run(output, {'x:0': [1.0]}) == [2.0]


def test_checkpoint_of_the_old_format(tf, v1, save_v1, slim):
  def build(x):
    weight = v1.get_variable('weight', initializer=np.float32(2))
    unused = v1.get_variable('unused', initializer=np.float32(2))
    return ({'a': x * weight, 'b': x * unused},
            {'saver': v1.train.Saver(write_version=v1.train.SaverDef.V1)})
  source = save_v1(build, use_resource=False)
  target, _ = slim(source, {'serving_default': ['a']})
  assert set(saved_models.variables_of(target)) == {'weight'}
  assert saved_models.run_v1(target, 'serving_default', {'x': [3.0]})['a'] == [6.0]


@pytest.mark.parametrize('is_dense', [False, True])
def test_mutable_table_goes_or_stays(tf, v1, save_v1, slim, is_dense):
  def build(x):
    lookup = tf.lookup.experimental
    table = (lookup.DenseHashTable(tf.int64, tf.int64, -1, -5, -6) if is_dense
             else lookup.MutableHashTable(tf.int64, tf.int64, -1))
    weight = v1.get_variable('weight', initializer=np.float32(2))
    v1.get_default_session().run(table.insert(
        tf.constant([3, 4], tf.int64), tf.constant([30, 40], tf.int64)))
    return {'a': table.lookup(tf.cast(x, tf.int64)), 'b': x * weight}
  source = save_v1(build)
  feed = {'serving_default': {'x': [3.0, 5.0]}}
  target, _ = slim(source, {'serving_default': ['b']}, feed)
  assert set(saved_models.variables_of(target)) == {'weight'}
  kept, _ = slim(source, {'serving_default': ['a']}, feed, 'kept')
  assert len(saved_models.variables_of(kept)) == 2
  assert saved_models.run_v1(kept, 'serving_default', {'x': [3.0, 5.0]})[
      'a'].tolist() == [30, -1]


def test_function_that_holds_an_old_loop(
    tf, v1, save_v1, save, slim, old_control_flow):
  def build(x):
    _, kept, dropped = v1.while_loop(
        lambda i, *_: i < 3, lambda i, a, b: (i + 1, a * 2, tf.exp(b)), [0, x, x])
    check = v1.assert_less(kept, 100.0, message='kept is too large')
    with tf.control_dependencies([check]):
      return {'kept': tf.identity(kept), 'dropped': dropped}

  # What becomes of a model of TF1 that TF2 loads and saves.
  module = tf.Module()
  module.loaded = tf.saved_model.load(str(save_v1(build, 'tf1')))
  function = module.loaded.signatures['serving_default']
  module.__call__ = tf.function(
      lambda x: function(x=x), input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  source = save(module, module.__call__)
  assert 'NextIteration' in saved_models.ops_of(source)
  target, pruned = slim(source, {'serving_default': ['kept']}, _FEED)
  assert 'Exp' not in saved_models.ops_of(target) and pruned.is_callable
  with pytest.raises(tf.errors.InvalidArgumentError, match='kept is too large'):
    saved_models.run_v2(target, 'serving_default', {'x': [50.0]})
