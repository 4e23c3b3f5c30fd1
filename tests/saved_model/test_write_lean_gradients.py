"""Whoever loads a slimmed model can differentiate it as the one it was made from."""

import numpy as np
import pytest

import saved_models

pytestmark = pytest.mark.both_stacks

_X = np.array([0.5, -1.0, 2.0], np.float32)


@pytest.fixture
def save_function(tf, save):
  def save_one(function, **options):
    module = tf.Module()
    module.scale = tf.Variable(3.0, name='scale')
    module.offset = tf.Variable(0.5, name='offset')
    module.__call__ = tf.function(
        lambda x: function(x, module),
        input_signature=[tf.TensorSpec([3], tf.float32, 'x')])
    return save(module, module.__call__, **options)
  return save_one


def _gradients(tf, path, key):
  """The gradient of an output by the input, by call and by signature."""
  loaded = tf.saved_model.load(str(path))
  gradients = []
  for call in (loaded, lambda x: loaded.signatures['serving_default'](x=x)):
    x = tf.constant(_X)
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = call(x)[key]
    gradients.append(tape.gradient(y, x).numpy())
  return gradients


def _assert_same_gradients(tf, source, target, key):
  for found, expected in zip(_gradients(tf, target, key), _gradients(tf, source, key)):
    saved_models.assert_same_bits(found, expected)


def _loop(x, m):
  import tensorflow as tf
  _, dropped, kept = tf.while_loop(
      lambda i, *_: i < 4, lambda i, dropped, kept: (
          i + 1, tf.exp(-dropped) + kept, tf.sin(kept) * m.scale),
      [0, x, x], maximum_iterations=9)
  return {'kept': kept, 'dropped': dropped}


def _loop_in_a_branch(x, m):
  import tensorflow as tf
  kept, dropped = tf.cond(
      tf.reduce_sum(x) > 0,
      lambda: (_loop(x, m)['kept'], tf.cosh(x)), lambda: (x * m.offset, x))
  return {'kept': kept, 'dropped': dropped}


@pytest.mark.parametrize('function', [_loop, _loop_in_a_branch])
def test_through_loops_and_branches(tf, save_function, slim, function):
  source = save_function(function)
  target, _ = slim(source, {'serving_default': ['kept']},
                   {'serving_default': {'x': _X}})
  _assert_same_gradients(tf, source, target, 'kept')


@pytest.mark.parametrize('function', [_loop, _loop_in_a_branch])
def test_models_that_hold_gradients_of_their_own(tf, save_function, slim, function):
  """TensorFlow leaves shapes there that do not fit the outputs in number."""
  def differentiate(x, m):
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(x)
      y = function(x, m)
      z = tf.sin(y['kept'])
    return {'gradient': tape.gradient(z, x), 'value': z, **y,
            'other': tape.gradient(y['dropped'], x)}

  source = save_function(differentiate)
  for keys in (['gradient'], ['other', 'value'], ['kept']):
    slim(source, {'serving_default': keys}, {'serving_default': {'x': _X}},
         name=keys[0])


def _clipped(tf, m, factor):
  @tf.custom_gradient
  def clipped(x):
    hidden = tf.tanh(x) * m.scale
    def gradient(upstream, variables=()):
      by_x = upstream * (factor + hidden)
      return (by_x, [tf.zeros_like(v) for v in variables]) if variables else by_x
    return hidden + 1.0, gradient
  return clipped


def test_gradients_of_ones_own(tf, save_function, slim):
  def function(x, m):
    return {'kept': _clipped(tf, m, 100.0)(x * 2.0), 'plain': x * x,
            'dropped': _clipped(tf, m, 7.0)(x - 1.0)}

  source = save_function(function, options=tf.saved_model.SaveOptions(
      experimental_custom_gradients=True))
  target, _ = slim(source, {'serving_default': ['kept']},
                   {'serving_default': {'x': _X}})
  _assert_same_gradients(tf, source, target, 'kept')
  library = saved_models.meta_graph_of(target).graph_def.library
  before = saved_models.meta_graph_of(source).graph_def.library
  assert 0 < len(library.registered_gradients) < len(before.registered_gradients)
  again, _ = slim(target, {'serving_default': ['kept']}, name='again')
  _assert_same_gradients(tf, source, again, 'kept')
  target, _ = slim(source, {'serving_default': ['plain']},
                   {'serving_default': {'x': _X}}, name='plain')
  assert not saved_models.meta_graph_of(target).graph_def.library.registered_gradients
