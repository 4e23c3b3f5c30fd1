"""Tables whose content is in the checkpoint, as it was when they were saved."""

import numpy as np
import pytest

import saved_models
from exporter.errors import UserError
from exporter.saved_model import writing

_KEYS = np.array([1, 7, 3], np.int64)
_INPUTS = {'serving_default': {'x': _KEYS}}


def _mutable(tf, kind):
  lookup = tf.lookup.experimental
  if kind == 'dense':
    return lookup.DenseHashTable(tf.int64, tf.float32, -1.0, -1, -2)
  if kind == 'anonymous':
    try:
      return lookup.MutableHashTable(
          tf.int64, tf.float32, -1.0, experimental_is_anonymous=True)
    except TypeError:
      pytest.skip('This TensorFlow has no anonymous tables.')
  default = [-1.0, -2.0] if kind == 'of tensors' else -1.0
  return lookup.MutableHashTable(tf.int64, tf.float32, default)


def _insert(tf, table, kind, value):
  values = [value, value + 1]
  table.insert(tf.constant([1, 3], tf.int64),
               [[v, -v] for v in values] if kind == 'of tensors' else values)


def _module(tf, kind='plain'):
  module = tf.Module()
  module.kept, module.other = _mutable(tf, kind), _mutable(tf, kind)
  _insert(tf, module.kept, kind, 4.5)
  _insert(tf, module.other, kind, 8.5)
  module.weight = tf.Variable(2.0)
  module.__call__ = tf.function(
      lambda x: {'a': module.kept.lookup(x) * module.weight,
                 'b': module.other.lookup(x), 'c': x + 1},
      [tf.TensorSpec([None], tf.int64, 'x')])
  return module


def _tables_of(path):
  """The shapes of what the checkpoint holds of tables."""
  return {key: shape for key, shape in saved_models.variables_of(path).items()
          if key.endswith(('-keys', '-values'))}


@pytest.mark.both_stacks
@pytest.mark.parametrize('kind', ['plain', 'of tensors', 'dense', 'anonymous'])
def test_content_stays(tf, save, slim, kind):
  module = _module(tf, kind)
  target, pruned = slim(save(module, module.__call__), {'serving_default': ['a']}, _INPUTS)
  assert pruned.is_callable and len(_tables_of(target)) == 2
  loaded = tf.saved_model.load(str(target))
  expected = module.__call__(_KEYS)['a'].numpy().tolist()
  assert loaded(_KEYS)['a'].numpy().tolist() == expected and expected[0] != expected[1]


def test_saved_and_slimmed_again(tf, save, slim):
  """TensorFlow then restores by functions of what it had loaded."""
  module = _module(tf)
  once, _ = slim(save(module, module.__call__), {'serving_default': ['a', 'b']}, name='once')
  loaded = tf.saved_model.load(str(once))
  again = save(loaded, loaded.signatures, 'again')
  target, _ = slim(again, {'serving_default': ['b']}, _INPUTS)
  assert len(_tables_of(target)) == 2 and 'variables/0' not in _tables_of(target)
  assert tf.saved_model.load(str(target))(_KEYS)['b'].numpy().tolist() == [8.5, -1, 9.5]


def test_table_of_the_call_alone(tf, save, slim):
  module = _module(tf)
  served = tf.function(lambda x: {'a': tf.cast(x, tf.float32) * module.weight},
                       [tf.TensorSpec([None], tf.int64, 'x')])
  target, pruned = slim(save(module, served), {'serving_default': ['a']}, _INPUTS)
  assert pruned.is_callable
  assert tf.saved_model.load(str(target))(_KEYS)['a'].numpy().tolist() == [9, -2, 11]


def test_without_a_saver_in_the_graph(tf, save, slim):
  try:
    options = tf.saved_model.SaveOptions(experimental_skip_saver=True)
  except TypeError:
    pytest.skip('This TensorFlow always writes a saver.')
  module = _module(tf)
  source = save(module, module.__call__, options=options)
  target, _ = slim(source, {'serving_default': ['a']}, _INPUTS, loaders=['v2'])
  assert saved_models.run_v1(target, 'serving_default', {'x': _KEYS})[
      'a'].tolist() == [9, -2, 11]


def test_what_calls_add_stays(tf, save, slim):
  module = tf.Module()
  module.seen = _mutable(tf, 'plain')
  module.seen.insert(tf.constant([7], tf.int64), [5.0])

  @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, 'x')])
  def count(x):
    module.seen.insert(x, module.seen.lookup(x) + 2.0)
    return {'size': module.seen.size(), 'count': module.seen.lookup(x), 'x': x}

  source = save(module, count)
  target, _ = slim(source, {'serving_default': ['count']}, _INPUTS)
  runs = [tf.saved_model.load(str(path)).signatures['serving_default']
          for path in (source, target)]
  for _ in range(2):
    expected, found = (run(x=tf.constant(_KEYS))['count'].numpy().tolist() for run in runs)
    assert found == expected
  assert expected == [3, 9, 3]


def test_objects_and_graph_that_differ_are_refused(tf, save, slim, tmp_path):
  module = _module(tf)
  source = save(module, module.__call__)
  saved_model = saved_models.SavedModelFiles.open(source).proto
  for function in saved_model.meta_graphs[0].graph_def.library.function:
    for node in function.node_def:
      values = node.attr['value'].tensor.string_val
      if node.name == 'RestoreV2/tensor_names':
        values[:] = [v.replace(b'kept', b'other') for v in values]
  (source / 'saved_model.pb').write_bytes(saved_model.SerializeToString())
  with pytest.raises(UserError, match='the table .* in two ways'):
    writing.write_lean(str(source), str(tmp_path / 'lean'), {'serving_default': ['a']})
