"""Several signatures, calling the loaded object, and what is beside the graph."""

import numpy as np
import pytest

import saved_models
from exporter.saved_model import writing
from exporter.errors import UserError

_X = np.linspace(-2, 3, 6, dtype=np.float32)


def _module(tf, **functions):
  """A module with a variable for each function, which a function scales by."""
  module = tf.Module()
  module.weights = {key: tf.Variable(float(i + 2), name=key.strip('_'))
                    for i, key in enumerate(functions)}
  for name, function in functions.items():
    setattr(module, name, tf.function(
        function, input_signature=[tf.TensorSpec([None], tf.float32, 'x')]))
  return module


def _call(tf, path, x=_X):
  return {key: value.numpy() for key, value
          in tf.saved_model.load(str(path))(tf.constant(x)).items()}


@pytest.mark.both_stacks
def test_one_signature_slimmed_one_kept_and_one_dropped(tf, save, slim):
  module = _module(
      tf,
      first=lambda x: {'a': x * module.weights['first'], 'b': tf.exp(x)},
      second=lambda x: {'c': x * module.weights['second'], 'd': tf.sin(x)},
      third=lambda x: {'e': x * module.weights['third'], 'f': tf.cosh(x)})
  source = save(module, {'serving_default': module.first, 'second': module.second,
                         'third': module.third})
  target, pruned = slim(
      source, {'serving_default': ['b'], 'second': ['c', 'd']},
      {'serving_default': {'x': _X}, 'second': {'x': _X}})
  assert pruned.dropped_signatures == ['third']
  assert pruned.dropped_objects == ['first', 'second', 'third', 'weights']
  assert not pruned.is_callable
  assert saved_models.variables_of(target) == {
      'variables/0/.ATTRIBUTES/VARIABLE_VALUE': []}
  assert 'Cosh' not in saved_models.ops_of(target)
  loaded = tf.saved_model.load(str(target))
  assert [v.name for v in loaded.variables] == ['second:0']
  assert not callable(loaded)


def test_signatures_of_one_function(tf, save, slim):
  def function(x):
    return {'a': x * module.weights['__call__'], 'b': tf.exp(x), 'c': tf.sin(x)}
  module = _module(tf, __call__=function)
  concrete = module.__call__.get_concrete_function()
  for name, signatures in {
      'functions': {'serving_default': module.__call__, 'again': module.__call__},
      'concrete': {'serving_default': concrete, 'again': concrete}}.items():
    source = save(module, signatures, name)
    for number, outputs in enumerate([
        {'serving_default': ['a'], 'again': ['b']},
        {'serving_default': ['a', 'b'], 'again': ['b', 'c']},
        {'serving_default': ['b'], 'again': ['a', 'b', 'c']},
        {'again': ['c'], 'serving_default': ['a', 'b', 'c']},
        {'again': ['a', 'c']}]):
      target, pruned = slim(source, outputs,
                            {key: {'x': _X} for key in outputs},
                            name=f'{name}_{number}')
      assert pruned.is_callable
      primary = next(iter(outputs))
      found, expected = _call(tf, target), _call(tf, source)
      assert sorted(found) == outputs[primary]
      for key, value in found.items():
        saved_models.assert_same_bits(value, expected[key])


@pytest.mark.both_stacks
def test_call_that_computes_something_else(tf, save, slim):
  module = _module(
      tf,
      __call__=lambda x: {'a': tf.cosh(x) * module.weights['serve'], 'b': x},
      serve=lambda x: {'a': tf.sin(x) * module.weights['serve'], 'b': tf.exp(x)})
  source = save(module, module.serve)
  target, pruned = slim(source, {'serving_default': ['a']},
                        {'serving_default': {'x': _X}})
  assert pruned.is_callable
  found = _call(tf, target)
  assert list(found) == ['a']
  saved_models.assert_same_bits(found['a'], _call(tf, source)['a'])


def test_call_that_takes_another_output_of_the_same_op(tf, save, slim):
  module = _module(
      tf,
      __call__=lambda x: {'k': tf.cast(tf.math.top_k(x, 2).indices, tf.float32)},
      serve=lambda x: {'k': tf.cast(tf.math.top_k(x, 2).values, tf.float32)})
  module.weights = {}
  module2 = _module(
      tf,
      __call__=lambda x: {'k': tf.unique_with_counts(x, tf.int32).idx},
      serve=lambda x: {'k': tf.unique_with_counts(x, tf.int32).count})
  for name, each in {'top_k': module, 'unique': module2}.items():
    source = save(each, each.serve, name)
    target, _ = slim(source, {'serving_default': ['k']},
                     {'serving_default': {'x': _X}}, name=f'lean_{name}')
    saved_models.assert_same_bits(_call(tf, target)['k'], _call(tf, source)['k'])


def test_call_that_draws_anew(tf, save, slim):
  def serve(x):
    noise = tf.random.uniform([2])
    return {'a': noise, 'b': noise, 'x': x}
  def call(x):
    return {'a': tf.random.uniform([2]), 'b': tf.random.uniform([2]), 'x': x}
  module = _module(tf, __call__=call, serve=serve)
  target, _ = slim(save(module, module.serve), {'serving_default': ['a', 'b']})
  found = _call(tf, target)
  assert found['a'].tobytes() != found['b'].tobytes()


def test_call_that_reads_before_it_writes(tf, save, slim):
  class Counter(tf.Module):
    def __init__(self):
      self.count = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    def __call__(self, x):
      before = self.count.read_value()
      self.count.assign_add(1)
      return {'count': before, 'x': x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    def serve(self, x):
      self.count.assign_add(1)
      return {'count': self.count.read_value(), 'x': x}

  module = Counter()
  target, _ = slim(save(module, module.serve), {'serving_default': ['count']})
  assert _call(tf, target)['count'] == 0


@pytest.mark.both_stacks
def test_body_that_signature_and_call_share_stands_once(tf, save, slim):
  def function(x):
    constant = np.arange(1000, dtype=np.float32)
    return {'a': tf.sin(x) * module.weights['__call__'], 'b': tf.exp(x),
            'c': tf.reduce_sum(constant) + x}
  module = _module(tf, __call__=function)
  # A fresh tf.function makes a trace of its own, as Keras and the exporter do.
  again = tf.function(lambda x: function(x), input_signature=[
      tf.TensorSpec([None], tf.float32, 'x')])
  source = save(module, again)
  assert saved_models.ops_of(source).count('Sin') == 2
  target, pruned = slim(source, {'serving_default': ['a', 'c']},
                        {'serving_default': {'x': _X}})
  assert pruned.is_callable
  assert saved_models.ops_of(target).count('Sin') == 1
  found, expected = _call(tf, target), _call(tf, source)
  for key in 'a', 'c':
    saved_models.assert_same_bits(found[key], expected[key])


def test_call_with_other_captures_stays(tf, save, slim):
  module = _module(
      tf,
      __call__=lambda x: {'a': x * module.weights['__call__']},
      serve=lambda x: {'a': x * module.weights['serve']})
  target, pruned = slim(save(module, module.serve), {'serving_default': ['a']},
                        {'serving_default': {'x': _X}})
  assert pruned.is_callable
  assert len(saved_models.variables_of(target)) == 2


def test_call_without_the_kept_outputs_goes(tf, save, slim):
  module = _module(
      tf, __call__=lambda x: {'other': x}, serve=lambda x: {'a': x, 'b': x + 1})
  _, pruned = slim(save(module, module.serve), {'serving_default': ['a']})
  assert not pruned.is_callable
  module = _module(
      tf, __call__=lambda x: (x, x), serve=lambda x: {'a': x, 'b': x + 1})
  _, pruned = slim(save(module, module.serve, 'tuple'), {'serving_default': ['a']},
                   name='tuple_lean')
  assert not pruned.is_callable


def test_input_that_no_kept_output_needs_stays_in_the_signature(tf, save, slim):
  module = tf.Module()
  module.__call__ = tf.function(
      lambda x, scale, flag: {'a': x + 1, 'b': x * scale, 'c': flag},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x'),
                       tf.TensorSpec([], tf.float32, 'scale'),
                       tf.TensorSpec([], tf.bool, 'flag')])
  target, pruned = slim(
      save(module, module.__call__), {'serving_default': ['a']},
      {'serving_default': {'x': _X, 'scale': np.float32(3), 'flag': True}})
  assert pruned.is_callable
  loaded = tf.saved_model.load(str(target))
  assert set(loaded.signatures['serving_default'].structured_input_signature[1]) == {
      'x', 'scale', 'flag'}
  assert list(loaded(tf.constant(_X), tf.constant(3.0), tf.constant(True))) == ['a']


def test_call_takes_structures(tf, save, slim):
  module = tf.Module()
  spec = tf.TensorSpec([None], tf.float32)
  module.__call__ = tf.function(
      lambda pair, more, scale=2.0: {
          'a': pair[0] + more['k'], 'b': pair[1] * scale, 'c': tf.exp(pair[0])},
      input_signature=[(spec, spec), {'k': spec, 'l': spec}])
  serve = tf.function(
      lambda p, q, k, l: module.__call__((p, q), {'k': k, 'l': l}),
      input_signature=[tf.TensorSpec([None], tf.float32, n) for n in 'pqkl'])
  source = save(module, serve)
  target, pruned = slim(source, {'serving_default': ['a', 'b']},
                        {'serving_default': dict.fromkeys('pqkl', _X)})
  if pruned.is_callable:
    x = tf.constant(_X)
    loaded, stock = (tf.saved_model.load(str(p)) for p in (target, source))
    arguments = (x, x + 1), {'k': x + 2, 'l': x + 3}
    found, expected = loaded(*arguments), stock(*arguments)
    assert sorted(found) == ['a', 'b']
    for key in found:
      saved_models.assert_same_bits(found[key].numpy(), expected[key].numpy())


def test_call_takes_ragged_and_sparse_tensors(tf, save, slim):
  module = tf.Module()
  module.weight = tf.Variable(3.0)
  module.bias = tf.Variable([1.0, 2.0])

  @tf.function(input_signature=[
      tf.RaggedTensorSpec([None, None], tf.float32),
      tf.SparseTensorSpec([None, 2], tf.float32)])
  def call(ragged, sparse):
    return {'a': tf.reduce_sum(ragged, axis=1) * module.weight,
            'b': tf.sparse.to_dense(sparse) + module.bias,
            'c': tf.exp(ragged.flat_values)}

  @tf.function(input_signature=[
      tf.TensorSpec([None], tf.float32, 'values'),
      tf.TensorSpec([None], tf.int64, 'splits'),
      tf.TensorSpec([None, 2], tf.float32, 'dense')])
  def serve(values, splits, dense):
    return call(tf.RaggedTensor.from_row_splits(values, splits),
                tf.sparse.from_dense(dense))

  module.__call__ = call
  source = save(module, serve)
  target, pruned = slim(
      source, {'serving_default': ['a']},
      {'serving_default': {'values': _X, 'splits': np.array([0, 2, 6]),
                           'dense': np.ones([2, 2], np.float32)}})
  assert list(saved_models.variables_of(target).values()) == [[]]
  if pruned.is_callable:
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
    sparse = tf.sparse.from_dense([[1.0, 0.0]])
    loaded, stock = (tf.saved_model.load(str(p)) for p in (target, source))
    found, expected = loaded(ragged, sparse), stock(ragged, sparse)
    assert list(found) == ['a']
    saved_models.assert_same_bits(found['a'].numpy(), expected['a'].numpy())


def test_call_that_returns_structures_beside_the_kept_outputs(tf, save, slim):
  module = _module(
      tf,
      __call__=lambda x: {
          'a': tf.RaggedTensor.from_row_lengths(x, [2, 4]), 'b': tf.sin(x),
          'c': {'d': x, 'e': tf.exp(x)}, 'f': tf.cosh(x)},
      serve=lambda x: {'a': x, 'b': tf.sin(x), 'f': tf.cosh(x)})
  source = save(module, module.serve)
  target, pruned = slim(source, {'serving_default': ['b', 'f']},
                        {'serving_default': {'x': _X}})
  assert pruned.is_callable
  found, expected = _call(tf, target), tf.saved_model.load(str(source))(
      tf.constant(_X))
  assert sorted(found) == ['b', 'f']
  for key in found:
    saved_models.assert_same_bits(found[key], expected[key].numpy())


@pytest.mark.both_stacks
def test_ragged_and_sparse_outputs_of_a_signature(tf, save, slim):
  module = _module(tf, __call__=lambda x: {
      'exp': tf.exp(x), 'ragged': tf.RaggedTensor.from_row_lengths(x * 2, [2, 4]),
      'sin': tf.sin(x), 'sparse': tf.sparse.from_dense(tf.nn.relu(x)),
      'tan': tf.tan(x)})
  source = save(module, module.__call__)
  x = tf.constant(_X)
  for keys in (['ragged', 'tan'], ['sin', 'sparse'], ['exp'], ['sparse']):
    target, pruned = slim(source, {'serving_default': keys}, name='_'.join(keys))
    assert pruned.is_callable
    loaded, stock = (tf.saved_model.load(str(p)) for p in (target, source))
    for found, expected in (
        (loaded(x), stock(x)), (loaded.signatures['serving_default'](x=x),
                                stock.signatures['serving_default'](x=x))):
      assert sorted(found) == keys
      for key in keys:
        assert type(found[key]) is type(expected[key])
        parts, wanted_parts = (
            tf.nest.flatten(of[key], True) for of in (found, expected))
        assert len(parts) == len(wanted_parts)
        for part, wanted in zip(parts, wanted_parts):
          saved_models.assert_same_bits(part.numpy(), wanted.numpy())
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
      graph = tf.compat.v1.saved_model.load(session, ['serve'], str(target))
      signature = graph.signature_def['serving_default']
      if 'sparse' in keys:
        names = signature.outputs['sparse'].coo_sparse
        values = session.run(names.values_tensor_name,
                             {signature.inputs['x'].name: _X})
        saved_models.assert_same_bits(values, expected['sparse'].values.numpy())


def test_call_with_several_traces(tf, save, slim):
  module = tf.Module()
  module.__call__ = tf.function(
      lambda x, training=False: {'a': x * 2 if training else x * 3, 'b': x})
  for training in False, True:
    module.__call__.get_concrete_function(
        tf.TensorSpec([None], tf.float32, 'x'), training=training)
  source = save(module, module.__call__.get_concrete_function(
      tf.TensorSpec([None], tf.float32, 'x'), training=False))
  target, pruned = slim(source, {'serving_default': ['a']},
                        {'serving_default': {'x': _X}})
  assert pruned.is_callable
  loaded = tf.saved_model.load(str(target))
  x = tf.constant([1.0])
  assert float(loaded(x, training=True)['a'][0]) == 2
  assert float(loaded(x, training=False)['a'][0]) == 3


def test_traces_of_the_same_body_for_several_arguments(tf, save, slim):
  module = tf.Module()
  module.__call__ = tf.function(lambda x, training: {'a': tf.sin(x), 'b': tf.exp(x)})
  x = tf.TensorSpec([None], tf.float32, 'x')
  functions = [module.__call__.get_concrete_function(x, training=training)
               for training in (False, True)]
  source = save(module, functions[0])
  target, pruned = slim(source, {'serving_default': ['a']},
                        {'serving_default': {'x': _X}})
  assert pruned.is_callable
  loaded = tf.saved_model.load(str(target))
  for training in False, True:
    result = loaded(tf.constant(_X), training=training)
    assert list(result) == ['a']
    saved_models.assert_same_bits(result['a'].numpy(), tf.sin(_X).numpy())
  assert saved_models.ops_of(target).count('Sin') == 1


@pytest.mark.both_stacks
def test_captured_constants_and_no_variables(tf, save, slim):
  constant = tf.constant(np.arange(200, dtype=np.float32).reshape(2, 100))
  unused = tf.constant(np.full([300], 7.5, np.float32))
  module = tf.Module()
  module.__call__ = tf.function(
      lambda x: {'a': x + constant[0, 5], 'b': tf.reduce_sum(unused) + x},
      input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  target, pruned = slim(save(module, module.__call__), {'serving_default': ['a']},
                        {'serving_default': {'x': _X}})
  assert pruned.is_callable and pruned.entries == {}
  found = saved_models.constants_of(target)
  assert [7.5] * 300 not in found
  assert np.arange(200.0).reshape(2, 100).tolist() in found
  assert _call(tf, target)['a'].tolist() == (_X + 5).tolist()


def test_output_that_is_an_input(tf, save, slim):
  module = _module(tf, __call__=lambda x: {'a': x, 'b': tf.exp(x), 'c': x})
  source = save(module, module.__call__)
  for keys in ['a'], ['b'], ['a', 'c']:
    slim(source, {'serving_default': keys}, {'serving_default': {'x': _X}},
         name=''.join(keys))


@pytest.mark.both_stacks
def test_slimming_again(tf, save, slim):
  def function(x):
    weight = module.weights['__call__']
    _, kept, other = tf.while_loop(
        lambda i, *_: i < 3,
        lambda i, a, b: (i + 1, a * weight, tf.exp(b)), [0, x, x])
    return {'a': kept, 'b': other, 'c': tf.sin(x)}
  module = _module(tf, __call__=function)
  source = save(module, module.__call__)
  target, _ = slim(source, {'serving_default': ['a', 'b']}, name='once')
  again, _ = slim(target, {'serving_default': ['a', 'b']}, name='twice')
  assert (again / 'saved_model.pb').read_bytes() == (
      target / 'saved_model.pb').read_bytes()
  less, _ = slim(again, {'serving_default': ['a']}, {'serving_default': {'x': _X}},
                 name='less')
  straight, _ = slim(source, {'serving_default': ['a']}, name='straight')
  assert (less / 'saved_model.pb').read_bytes() == (
      straight / 'saved_model.pb').read_bytes()
  assert list(_call(tf, less)) == ['a']


def test_same_twice_gives_the_same_bytes(tf, save, slim):
  module = _module(tf, __call__=lambda x: {'a': x * 2, 'b': tf.sin(x)})
  source = save(module, module.__call__)
  one, _ = slim(source, {'serving_default': ['a']}, name='one')
  two, _ = slim(source, {'serving_default': ['a']}, name='two')
  for name in 'saved_model.pb', 'variables/variables.index':
    assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize('outputs, message', [
    ({'serving_defualt': ['a']}, "did you mean 'serving_default'"),
    ({'serving_default': ['detection_boxs']}, "did you mean 'detection_boxes'"),
    ({'serving_default': []}, 'no output'), ({}, 'no signature')])
def test_unknown_names_are_refused(tf, save, tmp_path, outputs, message):
  module = _module(tf, __call__=lambda x: {'detection_boxes': x, 'b': x})
  source = save(module, module.__call__)
  with pytest.raises(UserError, match=message):
    writing.write_lean(str(source), str(tmp_path / 'lean'), outputs)
  assert not (tmp_path / 'lean').exists()
