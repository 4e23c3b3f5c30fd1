"""What calling the loaded object does: the same as before, or it cannot be called."""

import numpy as np
import pytest

import saved_models

pytestmark = pytest.mark.both_stacks

_X = np.array([0.5, -1.0, 2.0], np.float32)


def _module(tf, call, serve):
  module = tf.Module()
  for name, value in (('shared', 2.0), ('own', 5.0), ('other', 7.0)):
    setattr(module, name, tf.Variable(value, name=name))
  spec = [tf.TensorSpec([3], tf.float32, 'x')]
  module.__call__ = tf.function(lambda x: call(x, module), spec)
  module.serve = tf.function(lambda x: serve(x, module), spec)
  return module


@pytest.mark.parametrize('call', [
    lambda x, m: {'kept': x * m.own, 'dropped': x},
    lambda x, m: {'kept': x * m.shared + m.own, 'dropped': x * m.other},
    # The signature captures the variable too, for an output that goes.
    lambda x, m: {'kept': x + m.other, 'dropped': x},
    lambda x, m: {'kept': m.own.assign_add(1.0) * x, 'dropped': x}])
def test_call_with_variables_of_its_own(tf, save, slim, call):
  module = _module(tf, call, lambda x, m: {
      'kept': x * m.shared, 'dropped': x * m.other})
  source = save(module, module.serve)
  target, pruned = slim(source, {'serving_default': ['kept']},
                        {'serving_default': {'x': _X}})
  found, expected = (tf.saved_model.load(str(path)) for path in (target, source))
  assert pruned.is_callable
  for _ in range(2):
    saved_models.assert_same_bits(
        found(tf.constant(_X))['kept'].numpy(), expected(tf.constant(_X))['kept'].numpy())
  assert len(found.variables) < 3


def test_call_with_a_table_of_its_own(tf, save, slim):
  module = tf.Module()
  module.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(
      [1, 2], [10, 20]), -1)
  module.changing = tf.lookup.experimental.MutableHashTable(tf.int32, tf.int32, -1)
  spec = [tf.TensorSpec([2], tf.int32, 'x')]
  module.__call__ = tf.function(
      lambda x: {'kept': module.table.lookup(x), 'dropped': module.changing.lookup(x)},
      spec)
  serve = tf.function(lambda x: {'kept': x + 1, 'dropped': x * 2}, spec)
  target, pruned = slim(
      save(module, serve), {'serving_default': ['kept']},
      {'serving_default': {'x': np.array([1, 3], np.int32)}})
  assert pruned.is_callable
  assert tf.saved_model.load(str(target))(tf.constant([2, 3]))['kept'].numpy().tolist() == [20, -1]


def test_calls_with_inputs_of_other_shapes(tf, save, slim):
  """They compute the same as what is served, and TensorFlow runs that for one shape."""
  module = tf.Module()
  module.__call__ = tf.function(
      lambda x: {'kept': tf.reduce_max(x), 'dropped': tf.exp(x)})
  spec = tf.TensorSpec([None], tf.float32, 'x')
  for shape in ([None], [None, None], [2, 2]):
    module.__call__.get_concrete_function(tf.TensorSpec(shape, tf.float32, 'x'))
  serve = tf.function(lambda x: module.__call__(x), [spec])
  target, pruned = slim(save(module, serve), {'serving_default': ['kept']},
                        {'serving_default': {'x': _X}})
  assert pruned.is_callable
  loaded = tf.saved_model.load(str(target))
  for x in (_X, _X[None], _X[:2] * _X[:2, None]):
    assert loaded(tf.constant(x))['kept'].numpy() == x.max()


def test_call_that_does_not_return_the_same_keys_for_all_inputs(tf, save, slim):
  """One trace alone would take the calls that were meant for the other one."""
  module = tf.Module()

  @tf.function
  def call(x):
    if x.shape == [3]:
      return {'other': x}
    return {'kept': x * 2}

  module.__call__ = call
  call.get_concrete_function(tf.TensorSpec([3], tf.float32, 'x'))
  serve = call.get_concrete_function(tf.TensorSpec([None], tf.float32, 'x'))
  target, pruned = slim(save(module, serve), {'serving_default': ['kept']},
                        {'serving_default': {'x': _X}})
  assert not pruned.is_callable
  assert not callable(tf.saved_model.load(str(target)))
