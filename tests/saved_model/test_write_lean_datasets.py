"""Datasets that no kept output reads go where reading them provably does nothing."""

import numpy as np
import pytest

import saved_models

pytestmark = pytest.mark.both_stacks

_X = np.array([0.5, -1.0, 2.0], np.float32)


@pytest.fixture
def slim_function(tf, save, slim):
  """Slims a function of `x` to its output `kept`: the ops left, and what acts."""
  def slim_one(function, name='lean'):
    module = tf.Module()
    module.count = tf.Variable(0.0)
    module.__call__ = tf.function(
        lambda x: function(x, module), [tf.TensorSpec([3], tf.float32, 'x')])
    target, pruned = slim(
        save(module, module.__call__, f'source_{name}'),
        {'serving_default': ['kept']}, {'serving_default': {'x': _X}}, name=name)
    return saved_models.ops_of(target), pruned.acting_ops
  return slim_one


def _sum(dataset):
  return dataset.reduce(np.float32(0), lambda a, b: a + b)


def test_datasets_go(tf, slim_function):
  def function(x, m):
    dataset = tf.data.Dataset.from_tensor_slices(x).map(lambda v: v * 2 + m.count)
    iterator = iter(dataset.batch(2))
    rest = tf.zeros([])
    for value in dataset:
      rest += value
    return {'kept': x + 1, 'sum': _sum(dataset), 'second': (next(iterator), next(iterator)),
            'rest': rest, 'last': dataset.skip(2).get_single_element()}

  def flat(x, m):
    outputs = function(x, m)
    outputs['first'], outputs['second'] = outputs['second']
    return outputs

  ops, acting = slim_function(flat)
  assert not acting
  assert not [op for op in ops if 'Dataset' in op or 'Iterator' in op]


def test_what_was_read_before_a_kept_value_stays_read(tf, slim_function):
  def function(x, m):
    iterator = iter(tf.data.Dataset.from_tensor_slices(x))
    return {'dropped': next(iterator), 'kept': next(iterator)}

  ops, _ = slim_function(function)
  assert ops.count('IteratorGetNext') == 2


def test_shuffled_datasets_know_what_was_read(tf, slim_function):
  def function(x, m):
    dataset = tf.data.Dataset.range(50).shuffle(50, seed=3).batch(50)
    first = dataset.get_single_element()
    with tf.control_dependencies([first]):
      return {'dropped': first, 'kept': dataset.get_single_element()}

  ops, _ = slim_function(function)
  assert ops.count('DatasetToSingleElement') == 2


def test_what_may_act_stays_and_is_told(tf, slim_function):
  def in_a_dataset(x, m):
    dataset = tf.data.Dataset.from_tensor_slices(x).map(
        lambda v: tf.numpy_function(lambda a: a, [v], tf.float32))
    return {'kept': x + 1, 'sum': _sum(dataset)}

  def by_itself(x, m):
    m.count.assign_add(1.0)
    return {'kept': x + 1, 'dropped': tf.py_function(lambda a: a, [x], tf.float32),
            'other': tf.py_function(lambda a: a + 1, [x], tf.float32)}

  _, acting = slim_function(in_a_dataset, 'dataset')
  assert acting == ['ReduceDataset']
  _, acting = slim_function(by_itself, 'itself')
  assert acting == ['AssignAddVariableOp', 'EagerPyFunc (2)']
