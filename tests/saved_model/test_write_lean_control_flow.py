"""Loops, branches and nested calls keep what kept outputs need, and no more."""

import numpy as np
import pytest

import saved_models

_X = np.linspace(-2, 3, 6, dtype=np.float32)


@pytest.fixture
def save_function(tf, save):
  """`save_function(f)` saves a function of one float vector `x` as a model."""
  def save_one(function, name='source'):
    module = tf.Module()
    module.__call__ = tf.function(
        function, input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    return save(module, module.__call__, name)
  return save_one


def _slim(slim, source, *keys, x=_X, **options):
  target, _ = slim(source, {'serving_default': list(keys)},
                   {'serving_default': {'x': x}}, **options)
  return target


@pytest.mark.both_stacks
def test_dead_loop_variables_leave_the_loop(tf, save_function, slim):
  def function(x):
    def body(i, kept, dropped, steps):
      return i + 1, kept + 2.25, tf.sqrt(dropped) + steps, steps + 1.0
    _, kept, dropped, _ = tf.while_loop(
        lambda i, *_: i < 5, body, [0, x, tf.abs(x), 0.0])
    return {'kept': kept, 'dropped': dropped}

  target = _slim(slim, save_function(function), 'kept')
  assert 'Sqrt' not in saved_models.ops_of(target)


def test_variable_that_a_loop_condition_reads_stays(tf, save_function, slim):
  def function(x):
    def body(kept, energy):
      return kept * 1.5, tf.sqrt(energy)
    kept, energy = tf.while_loop(
        lambda _, energy: energy > 1.1, body, [x, tf.constant(50.0)])
    return {'kept': kept, 'energy': energy}

  target = _slim(slim, save_function(function), 'kept')
  assert 'Sqrt' in saved_models.ops_of(target)


def test_swapped_loop_variables_need_each_other(tf, save_function, slim):
  def function(x):
    def body(i, a, b, lonely):
      return i + 1, b, tf.square(a), tf.exp(lonely)
    _, a, b, lonely = tf.while_loop(
        lambda i, *_: i < 3, body, [0, x, x + 1, x])
    return {'a': a, 'b': b, 'lonely': lonely}

  target = _slim(slim, save_function(function), 'a')
  ops = saved_models.ops_of(target)
  assert 'Square' in ops and 'Exp' not in ops


@pytest.mark.both_stacks
def test_loop_in_branch_in_loop(tf, save_function, slim):
  def function(x):
    def inner(a, b):
      _, a, b = tf.while_loop(
          lambda i, *_: i < 3, lambda i, a, b: (i + 1, a + 1, tf.sin(b)), [0, a, b])
      return a, b

    def body(i, a, b):
      a, b = tf.cond(i % 2 == 0, lambda: inner(a, b), lambda: (a * 2, tf.cosh(b)))
      return i + 1, a, b
    _, a, b = tf.while_loop(lambda i, *_: i < 4, body, [0, x, x])
    return {'a': a, 'b': b}

  target = _slim(slim, save_function(function), 'a')
  ops = saved_models.ops_of(target)
  assert 'Sin' not in ops and 'Cosh' not in ops
  target = _slim(slim, save_function(function, 'again'), 'b', name='b')
  assert 'Sin' in saved_models.ops_of(target)


def test_branches_with_captures_of_their_own(tf, save_function, slim):
  def function(x):
    first, second, third = tf.exp(x), tf.sin(x), tf.cosh(x)
    a, b = tf.cond(tf.reduce_sum(x) > 0,
                   lambda: (first + 1, second), lambda: (third, second * 2))
    c = tf.switch_case(tf.cast(x[0], tf.int32), [
        lambda: first, lambda: tf.tan(x), lambda: tf.atan(third)])
    d, e = tf.case([(x[0] > 1, lambda: (x, tf.acosh(second + 3))),
                    (x[1] > 1, lambda: (x + 1, second))],
                   default=lambda: (third, first))
    return {'a': a, 'b': b, 'c': c, 'd': d, 'e': e}

  source = save_function(function)
  target = _slim(slim, source, 'b', name='b')
  ops = saved_models.ops_of(target)
  assert 'Sin' in ops and not {'Exp', 'Cosh', 'Tan', 'Acosh'} & set(ops)
  target = _slim(slim, source, 'c', name='c')
  ops = saved_models.ops_of(target)
  assert {'Exp', 'Cosh', 'Tan'} <= set(ops) and not {'Sin', 'Acosh'} & set(ops)
  target = _slim(slim, source, 'd', name='d')
  assert not {'Exp', 'Acosh', 'Tan'} & set(saved_models.ops_of(target))
  for value in (-1, 0, 1, 2):
    _slim(slim, source, 'a', 'c', 'd', 'e', x=np.full(3, value, np.float32),
          name=f'all but b at {value}')


@pytest.mark.both_stacks
def test_map_with_several_outputs(tf, save_function, slim):
  def function(x):
    kept, dropped = tf.map_fn(
        lambda row: (row + 1, tf.exp(row)), x,
        fn_output_signature=(tf.float32, tf.float32))
    vectorized = tf.vectorized_map(lambda row: tf.sin(row), x)
    scanned = tf.scan(lambda a, row: (a[0] + row, tf.cosh(row)), x,
                      initializer=(0.0, 0.0))
    return {'kept': kept, 'dropped': dropped, 'vectorized': vectorized,
            'scanned': scanned[0], 'coshs': scanned[1]}

  source = save_function(function)
  ops = saved_models.ops_of(_slim(slim, source, 'kept', 'scanned'))
  assert not {'Exp', 'Sin', 'Cosh'} & set(ops)
  assert ops.count('TensorListReserve') == 2
  ops = saved_models.ops_of(_slim(slim, source, 'vectorized', name='v'))
  assert 'While' not in ops and 'StatelessWhile' not in ops


def test_one_function_called_twice_for_different_outputs(tf, save_function, slim):
  @tf.function
  def both(x):
    return tf.exp(x), tf.sin(x), tf.cosh(x)

  def function(x):
    first, _, third = both(x)
    _, second, _ = both(x + 1)
    return {'exp': first, 'sin': second, 'cosh': third}

  source = save_function(function)
  ops = saved_models.ops_of(_slim(slim, source, 'exp', 'sin'))
  assert 'Cosh' not in ops and {'Exp', 'Sin'} <= set(ops)
  ops = saved_models.ops_of(_slim(slim, source, 'sin', name='sin'))
  assert 'Exp' not in ops


def test_many_functions_in_one_another(tf, save_function, slim):
  def function(x):
    def nest(depth, a, b):
      if not depth:
        return a, b
      return tf.function(lambda a, b: nest(depth - 1, a + 1, tf.sin(b)))(a, b)
    kept, dropped = nest(20, x, x)
    return {'kept': kept, 'dropped': dropped}

  ops = saved_models.ops_of(_slim(slim, save_function(function), 'kept'))
  assert 'Sin' not in ops


def test_tensor_arrays(tf, save_function, slim):
  def function(x):
    size = tf.size(x)
    def body(i, kept, dropped):
      return i + 1, kept.write(i, x[i] * 2), dropped.write(i, tf.exp(x[i]))
    _, kept, dropped = tf.while_loop(
        lambda i, *_: i < size, body,
        [0, tf.TensorArray(tf.float32, size), tf.TensorArray(tf.float32, size)])
    return {'kept': kept.stack(), 'dropped': dropped.stack()}

  ops = saved_models.ops_of(_slim(slim, save_function(function), 'kept'))
  assert 'Exp' not in ops and ops.count('TensorListReserve') == 1


def test_functions_that_a_dataset_calls_stay_whole(tf, save_function, slim):
  def function(x):
    scale = tf.reduce_max(x)
    kept = tf.data.Dataset.range(4).map(
        lambda i: (tf.sin(tf.cast(i, tf.float32)) * scale, scale)).reduce(
            0.0, lambda a, b: a + b[0])
    return {'kept': kept, 'dropped': tf.exp(x)}

  ops = saved_models.ops_of(_slim(slim, save_function(function), 'kept'))
  assert 'Sin' in ops and 'Exp' not in ops


def test_custom_gradient(tf, save_function, slim):
  @tf.custom_gradient
  def clipped(x):
    return tf.sin(x), lambda upstream: upstream * 7

  def function(x):
    return {'kept': clipped(x), 'dropped': tf.exp(clipped(x))}

  source = save_function(function)
  target = _slim(slim, source, 'kept')
  assert 'Exp' not in saved_models.ops_of(target)
  x = tf.constant(_X)
  gradients = []
  for path in (source, target):
    loaded = tf.saved_model.load(str(path))
    with tf.GradientTape() as tape:
      tape.watch(x)
      result = loaded(x)['kept']
    gradients.append(tape.gradient(result, x).numpy())
  saved_models.assert_same_bits(*gradients)
  assert gradients[0].tolist() == [7.0] * 6


def test_random_ops(tf, save_function, slim):
  def function(x):
    seed = tf.cast(x[:2], tf.int32)
    stateless = tf.random.stateless_normal(tf.shape(x), seed)
    stateful = tf.random.uniform(tf.shape(x))
    shuffled = tf.random.shuffle(tf.exp(x))
    return {'stateless': x + stateless, 'stateful': x + stateful,
            'shuffled': shuffled}

  source = save_function(function)
  ops = saved_models.ops_of(_slim(slim, source, 'stateless'))
  assert not {'RandomUniform', 'RandomShuffle', 'Exp'} & set(ops)
  target, _ = slim(source, {'serving_default': ['stateful']}, name='stateful')
  function = tf.saved_model.load(str(target)).signatures['serving_default']
  x = tf.constant(_X)
  assert np.any(function(x)['stateful'] != function(x)['stateful'])


def test_outputs_of_ops_with_several_outputs(tf, save_function, slim):
  def function(x):
    values, indices = tf.math.top_k(x, 2)
    unique, positions = tf.unique(x)
    return {'values': values, 'indices': indices, 'unique': unique,
            'positions': positions, 'x': x}

  source = save_function(function)
  for key in 'values', 'indices', 'unique', 'positions', 'x':
    _slim(slim, source, key, name=key)


def test_string_ops(tf, save_function, slim):
  def function(x):
    text = tf.strings.as_string(x)
    return {'text': tf.strings.join([text, '!']),
            'length': tf.strings.length(text),
            'split': tf.strings.split(['a b', 'c']).to_tensor()}

  source = save_function(function)
  _slim(slim, source, 'text', 'split')
  ops = saved_models.ops_of(_slim(slim, source, 'length', name='length'))
  assert 'StringJoin' not in ops and 'StringSplitV2' not in ops


def test_gradients_inside_the_function(tf, save_function, slim):
  def function(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      _, y = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * tf.sin(x)),
                           [0, x], maximum_iterations=3)
    return {'gradient': tape.gradient(y, x), 'y': y, 'exp': tf.exp(x)}

  source = save_function(function)
  ops = saved_models.ops_of(_slim(slim, source, 'y', name='y'))
  assert 'Cos' not in ops
  _slim(slim, source, 'gradient')
