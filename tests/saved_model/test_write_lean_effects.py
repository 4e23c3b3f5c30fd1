"""Checks, prints and writes stay exactly when what they are about stays."""

import numpy as np
import pytest

import saved_models

_X = np.linspace(-2, 3, 6, dtype=np.float32)
_X3 = np.linspace(-1, 1, 3, dtype=np.float32)


@pytest.fixture
def save_function(tf, save):
  def save_one(function, **attributes):
    module = tf.Module()
    for name, value in attributes.items():
      setattr(module, name, value)
    module.__call__ = tf.function(
        function, input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    return save(module, module.__call__)
  return save_one


@pytest.fixture
def keep(tf, slim):
  """`keep(source, *keys)` slims and gives a function of `x` that runs it."""
  def keep_keys(source, *keys, name='lean'):
    target, _ = slim(source, {'serving_default': list(keys)},
                     {'serving_default': {'x': _X}}, name=name)
    return target, _runner(tf, target)
  return keep_keys


def _runner(tf, path):
  loaded = tf.saved_model.load(str(path))
  run = lambda x: loaded.signatures['serving_default'](x=tf.constant(x, tf.float32))
  run.loaded = loaded
  return run


def _assert_refuses(tf, run, x, text):
  with pytest.raises(tf.errors.InvalidArgumentError, match=text):
    run(x)
  with pytest.raises(tf.errors.InvalidArgumentError, match=text):
    run.loaded(tf.constant(x, tf.float32))


def _assert_v1_refuses(tf, path, x, text):
  with pytest.raises(tf.errors.InvalidArgumentError, match=text):
    saved_models.run_v1(path, 'serving_default', {'x': np.asarray(x, np.float32)})


@pytest.mark.both_stacks
def test_checks_follow_the_tensors_that_they_are_about(tf, save_function, keep):
  def function(x):
    tf.debugging.assert_less(x, 10.0, 'x is too large')
    kept, dropped = tf.sin(x), tf.exp(x)
    tf.debugging.assert_greater(kept, -0.999, 'sine is too small')
    tf.debugging.assert_less(dropped, 20.1, 'exp is too large')
    tf.debugging.assert_all_finite(dropped + kept, 'sum is not finite')
    return {'kept': kept, 'dropped': dropped}

  source = save_function(function)
  target, run = keep(source, 'kept')
  ops = saved_models.ops_of(target)
  assert ops.count('Assert') == 2 and 'Exp' not in ops
  _assert_refuses(tf, run, [11.0], 'x is too large')
  _assert_v1_refuses(tf, target, [11.0], 'x is too large')
  _assert_refuses(tf, run, [-np.pi / 2], 'sine is too small')
  assert run([5.0])['kept'].numpy() == tf.sin([5.0]).numpy()  # exp(5) is 148.

  target, run = keep(source, 'kept', 'dropped', name='all')
  _assert_refuses(tf, run, [5.0], 'exp is too large')
  _assert_refuses(tf, run, [np.nan], '')


def test_assert_op_with_float_data(tf, save_function, keep):
  def function(x):
    total = tf.reduce_sum(x)
    tf.debugging.Assert(total < 50, ['total is', total, 'of', x], summarize=2)
    dropped = tf.exp(x)
    tf.debugging.Assert(tf.reduce_all(dropped < 30), ['dropped is', dropped])
    return {'kept': x * 2, 'dropped': dropped}

  target, run = keep(save_function(function), 'kept')
  assert 'Exp' not in saved_models.ops_of(target)
  _assert_refuses(tf, run, [60.0], 'total is')
  assert run([40.0])['kept'].numpy() == [80.0]


def test_checks_in_nested_functions(tf, save_function, keep):
  @tf.function
  def valid(x, text):
    tf.debugging.assert_less(tf.abs(x), 10.0, text)

  @tf.function
  def double(x):
    tf.debugging.assert_less(x, 7.0, 'too large to double')
    return x * 2, tf.exp(x)

  def function(x):
    valid(x, 'x is not valid')
    kept, unused = double(x)
    dropped = tf.sin(unused)
    valid(dropped, 'sine is not valid')
    return {'kept': kept, 'dropped': dropped}

  target, run = keep(save_function(function), 'kept')
  assert not {'Exp', 'Sin'} & set(saved_models.ops_of(target))
  _assert_refuses(tf, run, [-11.0], 'x is not valid')
  _assert_v1_refuses(tf, target, [-11.0], 'x is not valid')
  _assert_refuses(tf, run, [8.0], 'too large to double')


def test_check_on_what_a_nested_function_finds(tf, save_function, keep):
  @tf.function
  def norm(x):
    return tf.sqrt(tf.reduce_sum(x * x))

  def function(x):
    tf.debugging.assert_less(norm(x), 10.0, 'too long')
    return {'kept': x * 2, 'dropped': tf.exp(x)}

  _, run = keep(save_function(function), 'kept')
  _assert_refuses(tf, run, [8.0, 8.0], 'too long')


@pytest.mark.both_stacks
def test_checks_in_branches_and_loops(tf, save_function, keep):
  def function(x):
    def check():
      tf.debugging.assert_less(x, 10.0, 'x is too large')
      return x * 2
    kept = tf.cond(tf.size(x) > 1, check, lambda: x)

    def body(i, kept, dropped):
      tf.debugging.assert_less(kept, 100.0, 'kept is too large')
      tf.debugging.assert_less(dropped, 1e9, 'dropped is too large')
      return i + 1, kept + 1, tf.exp(dropped)
    _, kept, dropped = tf.while_loop(
        lambda i, *_: i < 2, body, [0, kept, x])
    return {'kept': kept, 'dropped': dropped}

  target, run = keep(save_function(function), 'kept')
  assert 'Exp' not in saved_models.ops_of(target)
  _assert_refuses(tf, run, [20.0, 20.0], 'x is too large')
  _assert_refuses(tf, run, [99.5], 'kept is too large')
  assert run([30.0])['kept'].numpy() == [32.0]


def test_loops_and_branches_that_only_check(tf, save_function, keep):
  def function(x):
    for i in tf.range(tf.size(x)):
      tf.debugging.assert_less(x[i], 10.0, 'x is too large')
    if tf.reduce_any(x < -5.0):
      tf.debugging.assert_less(tf.size(x), 2, 'too many small ones')
    dropped = tf.exp(x)
    for i in tf.range(tf.size(x)):
      tf.debugging.assert_less(dropped[i], 25.0, 'dropped is too large')
    return {'kept': x + 1, 'dropped': dropped}

  target, run = keep(save_function(function), 'kept')
  assert 'Exp' not in saved_models.ops_of(target)
  _assert_refuses(tf, run, [3.0, 11.0], 'x is too large')
  _assert_refuses(tf, run, [-6.0, 3.0], 'too many small ones')
  assert run([5.0])['kept'].numpy() == [6.0]


def test_checks_that_are_waited_for_explicitly(tf, save_function, keep):
  def function(x):
    hidden = tf.exp(x)
    check = tf.debugging.assert_less(hidden, 25.0, 'exp is too large')
    with tf.control_dependencies([check]):
      kept = tf.identity(x)
    with tf.control_dependencies([tf.group(
        tf.debugging.assert_less(tf.sin(x), 0.99, 'sine is too large'))]):
      grouped = x * 3
    return {'kept': kept, 'grouped': grouped, 'hidden': hidden}

  source = save_function(function)
  _, run = keep(source, 'kept', name='kept')
  _assert_refuses(tf, run, [4.0], 'exp is too large')
  _, run = keep(source, 'grouped', name='grouped')
  _assert_refuses(tf, run, [np.pi / 2], 'sine is too large')


@pytest.mark.both_stacks
def test_writes_stay_in_order_also_when_no_output_needs_them(tf, save, slim):
  class Counter(tf.Module):
    def __init__(self):
      self.count = tf.Variable(0, name='count')
      self.total = tf.Variable([0.0, 0.0], name='total')
      self.unused = tf.Variable(1.0, name='unused')

    @tf.function(input_signature=[tf.TensorSpec([2], tf.float32, 'x')])
    def __call__(self, x):
      before = self.count.read_value()
      self.count.assign_add(1)
      between = self.count.read_value()
      self.count.assign(self.count * 10)
      self.total.assign_add(x)
      return {'before': before, 'between': between, 'after': self.count + 0,
              'total': self.total + 0, 'dropped': self.unused * x}

  module = Counter()
  source = save(module, module.__call__)
  x = tf.constant([1.0, 2.0])
  for keys in (['before', 'after'], ['total'], ['between'], ['dropped']):
    target, _ = slim(source, {'serving_default': keys}, name=''.join(keys))
    expected, found = (tf.saved_model.load(str(path)) for path in (source, target))
    for _ in range(3):
      stock, ours = expected(x), found(x)
      assert sorted(ours) == sorted(keys)
      for key in keys:
        saved_models.assert_same_bits(ours[key].numpy(), stock[key].numpy(), key)
    values = {v.name: v.numpy().tolist() for v in found.variables}
    assert values['count:0'] == 1110 and values['total:0'] == [3.0, 6.0]
    assert ('unused:0' in values) == ('dropped' in keys)


def test_writes_in_loops_branches_and_nested_functions(tf, save, slim):
  class Writer(tf.Module):
    def __init__(self):
      self.loops, self.branches, self.calls = (
          tf.Variable(0, name=name) for name in ('loops', 'branches', 'calls'))

    @tf.function
    def called(self, x):
      self.calls.assign_add(1)
      return tf.exp(x)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    def __call__(self, x):
      dropped = x
      for _ in tf.range(3):
        self.loops.assign_add(1)
        dropped = tf.sin(dropped)
      if tf.reduce_sum(x) > 0:
        self.branches.assign_add(1)
        dropped = tf.cosh(dropped)
      return {'kept': x + 1, 'dropped': self.called(dropped)}

  module = Writer()
  source = save(module, module.__call__)
  target, _ = slim(source, {'serving_default': ['kept']},
                   {'serving_default': {'x': _X}})
  assert not {'Sin', 'Cosh', 'Exp'} & set(saved_models.ops_of(target))
  loaded = tf.saved_model.load(str(target))
  loaded(tf.constant([1.0]))
  loaded.signatures['serving_default'](x=tf.constant([-1.0]))
  assert {v.name: int(v) for v in loaded.variables} == {
      'loops:0': 6, 'branches:0': 1, 'calls:0': 2}


def test_stateful_condition_of_a_loop(tf, save, slim):
  class Stream(tf.Module):
    def __init__(self):
      self.left = tf.Variable(5)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    def __call__(self, x):
      kept, dropped = tf.while_loop(
          lambda *_: self.left.assign_sub(1, read_value=True) > 0,
          lambda kept, dropped: (kept * 2, tf.exp(dropped)), [x, x])
      return {'kept': kept, 'dropped': dropped}

  module = Stream()
  source = save(module, module.__call__)
  target, _ = slim(source, {'serving_default': ['kept']})
  assert 'Exp' not in saved_models.ops_of(target)
  loaded = tf.saved_model.load(str(target))
  assert loaded(tf.constant([1.0]))['kept'].numpy() == [16.0]


def test_prints(tf, save_function, keep, capfd):
  def function(x):
    kept, dropped = tf.sin(x), tf.exp(x)
    tf.print('sine is', kept)
    tf.print('exp is', dropped)
    return {'kept': kept, 'dropped': dropped}

  target, run = keep(save_function(function), 'kept')
  capfd.readouterr()
  run([0.0])
  assert capfd.readouterr().err.split('\n')[:2] == ['sine is [0]', '']
  assert 'Exp' not in saved_models.ops_of(target)


def test_numerics_checks_go_with_what_they_check(tf, save_function, keep):
  def function(x):
    dropped = tf.debugging.check_numerics(tf.exp(x), 'exp')
    kept = tf.debugging.check_numerics(tf.math.log(x + 2.5), 'log')
    tf.debugging.check_numerics(x, 'the input')
    return {'kept': kept, 'dropped': dropped, 'two': x * 2}

  source = save_function(function)
  target, run = keep(source, 'kept')
  assert 'Exp' not in saved_models.ops_of(target)
  _assert_refuses(tf, run, [-2.5], 'log')
  target, run = keep(source, 'two', name='two')
  assert 'Log' not in saved_models.ops_of(target)
  _assert_refuses(tf, run, [np.nan], 'the input')


def test_generators_keep_their_state(tf, save, slim):
  class Noise(tf.Module):
    def __init__(self):
      self.generator = tf.random.Generator.from_seed(7)

    @tf.function(input_signature=[tf.TensorSpec([3], tf.float32, 'x')])
    def __call__(self, x):
      return {'first': self.generator.normal([3]) + x,
              'second': self.generator.normal([3]) * x}

  module = Noise()
  source = save(module, module.__call__)
  target, _ = slim(source, {'serving_default': ['second']})
  x = tf.constant([1.0, 2.0, 3.0])
  expected, found = (tf.saved_model.load(str(path)) for path in (source, target))
  for _ in range(3):
    saved_models.assert_same_bits(
        found(x)['second'].numpy(), expected(x)['second'].numpy())


def test_files_are_written_also_when_no_output_needs_it(
    tf, save_function, keep, tmp_path):
  path = str(tmp_path / 'log')
  def function(x):
    tf.io.write_file(path, tf.strings.as_string(tf.reduce_sum(x)))
    return {'kept': x + 1, 'dropped': x + 2}

  _, run = keep(save_function(function), 'kept')
  run([41.0, 1.0])
  assert float(open(path).read()) == 42


@pytest.mark.both_stacks
@pytest.mark.parametrize('op', ['InplaceAdd', 'InplaceSub', 'InplaceUpdate'])
def test_what_writes_into_its_input_stays(tf, save, slim, op):
  """TensorFlow takes these for pure: it runs them where something asks for them."""
  write = getattr(tf.raw_ops, op)

  @tf.function(input_signature=[tf.TensorSpec([3], tf.float32, 'x')])
  def call(x):
    inner, outer, untouched, never = (x * factor for factor in (2., 3., 5., 7.))
    write(x=never, i=[1], v=[[5.0]])  # No output asks for it.
    with tf.init_scope():
      nested = tf.function(lambda x: write(x=x, i=[0], v=[7.0]))
    return {'inner': inner, 'outer': outer, 'untouched': untouched, 'never': never,
            'dropped': nested(inner) + write(x=outer, i=[2], v=[9.0])}

  module = tf.Module()
  module.__call__ = call
  source = save(module, call)
  kept = ['inner', 'never', 'outer', 'untouched']
  target, _ = slim(source, {'serving_default': kept}, {'serving_default': {'x': _X3}})
  found = tf.saved_model.load(str(target))(tf.constant(_X3))
  assert float(found['inner'][0]) != 2 * _X3[0]
  assert float(found['outer'][2]) != 3 * _X3[2]
  assert found['never'].numpy().tolist() == (7 * _X3).tolist()
