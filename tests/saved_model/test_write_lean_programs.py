"""Random programs of calls, loops and branches, and random outputs of them."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import saved_models
from exporter.saved_model import writing

_X = np.linspace(-1, 2, 5, dtype=np.float32)
_VARIABLES = 3


@st.composite
def _steps(draw, depth=2, tensors=2):
  """A list of (step, inputs, inner steps); each step appends two vectors."""
  steps = []
  kinds = ['math', 'math', 'variable', 'write', 'check', 'topk', 'map']
  if depth:
    kinds += ['call', 'cond', 'while', 'shared']
  for _ in range(draw(st.integers(1, 4))):
    count = tensors + 2 * len(steps)
    kind = draw(st.sampled_from(kinds))
    inputs = draw(st.tuples(*[st.integers(0, count - 1)] * 2))
    inner = [draw(_steps(depth - 1)) for _ in range(2)] if kind in (
        'call', 'cond', 'while', 'shared') else ()
    steps.append((kind, inputs, inner, draw(st.integers(0, _VARIABLES - 1))))
  return steps


def _run(tf, steps, tensors, variables):
  """Runs the steps; gives all vectors, the last two being those of the last."""
  tensors = list(tensors)
  for kind, (i, j), inner, number in steps:
    a, b = tensors[i], tensors[j]

    def body(a, b, which=0):
      return tuple(_run(tf, inner[which], [a, b], variables)[-2:])

    if kind == 'math':
      pair = tf.sin(a) + b, tf.tanh(a * b)
    elif kind == 'variable':
      pair = a * variables[number], b - 1
    elif kind == 'write':
      variables[number].assign_add(0.25)
      pair = a + variables[number], b
    elif kind == 'check':
      tf.debugging.assert_less(tf.abs(tf.tanh(a)), 2.0)
      pair = a, tf.cos(b)
    elif kind == 'topk':
      values, indices = tf.math.top_k(a, 5)
      pair = values, tf.cast(indices, tf.float32)
    elif kind == 'map':
      pair = tf.map_fn(lambda row: (tf.cos(row), row * 2), a,
                       fn_output_signature=(tf.float32, tf.float32))
    elif kind == 'call':
      pair = tf.function(body)(a, b)
    elif kind == 'shared':
      function = tf.function(body)
      pair = function(a, b)[0], function(b, a)[1]
    elif kind == 'cond':
      pair = tf.cond(tf.reduce_sum(a) > 0, lambda: body(a, b),
                     lambda: body(b, a, 1))
    else:
      _, *pair = tf.while_loop(
          lambda n, *_: n < 2, lambda n, a, b: (n + 1, *body(a, b)), [0, a, b])
    tensors += [tf.ensure_shape(t, [5]) for t in pair]
  return tensors


@pytest.mark.slow
@settings(max_examples=25, deadline=None,
          suppress_health_check=list(HealthCheck))
@given(_steps(), st.data())
def test_random_programs(tf, tmp_path_factory, steps, data):
  class Program(tf.Module):
    def __init__(self):
      self.weights = [tf.Variable(0.5 + i, name=f'w{i}') for i in range(_VARIABLES)]

    @tf.function(input_signature=[tf.TensorSpec([5], tf.float32, 'x')])
    def __call__(self, x):
      tensors = _run(tf, steps, [x, x + 1], self.weights)
      return {str(i): tensor for i, tensor in enumerate(tensors)}

  program = Program()
  root = tmp_path_factory.mktemp('program')
  source, target = root / 'source', root / 'lean'
  tf.saved_model.save(program, str(source), signatures=program.__call__)
  count = 2 + 2 * len(steps)
  keys = sorted(map(str, data.draw(st.sets(st.integers(0, count - 1), min_size=1))))
  writing.write_lean(str(source), str(target), {'serving_default': keys})
  saved_models.check_is_lean(target, {'serving_default': keys})
  stock, lean = (tf.saved_model.load(str(path)) for path in (source, target))
  x = tf.constant(_X)
  for _ in range(2):  # Once more, to see what was written.
    for run in (lambda model: model(x),
                lambda model: model.signatures['serving_default'](x=x)):
      expected, found = run(stock), run(lean)
      assert sorted(found) == keys
      for key in keys:
        saved_models.assert_same_bits(found[key].numpy(), expected[key].numpy(), key)
  shutil.rmtree(root)
