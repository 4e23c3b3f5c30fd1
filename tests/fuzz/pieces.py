"""Random computations: small pieces of TensorFlow's language, put into one another.

    maker = Maker(random.Random(7), resources)
    y = maker.body([x])            # Some graph of random pieces; as long as x.

A piece takes a pool of tensors, float32 `[N]` all of them, and gives one more. Pieces
that hold others (branches, loops, functions, gradients) fill them by `Maker.body`.
"""

from __future__ import annotations

import random
from typing import Any, Callable

import tensorflow as tf

import acting_pieces
from resources import Resources

# More would make larger models, not others.
_DEEPEST = 2


class Maker:
  """Makes random tensors.

  Attributes:
    rng: says which.
    functions: the tf.functions made so far, which later pieces may call again.
    held: what must live as long as the model is run: graphs that call Python.
  """

  def __init__(self, rng: random.Random, resources: Resources):
    self.rng = rng
    self.functions: list[Callable[..., Any]] = []
    self.held: list[Any] = []
    self._resources = resources
    self._depth = 0

  def body(self, pool, steps: int | None = None):
    """A tensor that some pieces make of the pool, one after the other."""
    return self.bodies(pool, 1, steps)[0]

  def bodies(self, pool, count: int, steps: int | None = None):
    """Several tensors of the same pieces."""
    pool, own = list(pool), []
    self._depth += 1
    for _ in range(steps or self.rng.randint(1, 2)):
      own.append(self._piece()(self, pool))
      pool.append(own[-1])
    self._depth -= 1
    return [own[-1], *(self.rng.choice(pool) for _ in range(count - 1))]

  def _piece(self):
    kinds = _FLAT if self._depth > _DEEPEST else _FLAT + _NESTED
    return self.rng.choice(kinds)

  def hold_graph(self) -> None:
    self.held.append(tf.compat.v1.get_default_graph())

  def one_of(self, kind: str):
    """One of the resources of a kind; None where there are none."""
    found = getattr(self._resources, kind)
    return self.rng.choice(found) if found else None


def _arithmetic(m, pool):
  a, b = m.rng.choice(pool), m.rng.choice(pool)
  return m.rng.choice([
      lambda: tf.exp(-tf.abs(a)), lambda: tf.sin(a), lambda: tf.tanh(a) * b,
      lambda: a + b, lambda: a - b, lambda: tf.maximum(a, b), lambda: tf.cumsum(tf.tanh(a)),
      lambda: tf.where(a > b, a, tf.cos(b)), lambda: tf.clip_by_value(a, -3.0, 2.0),
      lambda: tf.identity_n([a, b])[1], lambda: tf.reverse(a, [0]),
      lambda: tf.cast(tf.cast(a, tf.bfloat16), tf.float32),
      lambda: tf.math.divide_no_nan(a, b), lambda: a - tf.reduce_mean(b)])()


def _several_outputs(m, pool):
  a, b = m.rng.choice(pool), m.rng.choice(pool)
  i = m.rng.randrange(2)
  return m.rng.choice([
      lambda: tf.unstack(tf.stack([a, b]))[i],
      lambda: tf.split(tf.concat([a, b], 0), 2)[i],
      lambda: (lambda r: r[0] if i else tf.cast(r[1], tf.float32))(
          tf.math.top_k(a, k=tf.size(a))),
      lambda: tf.cast(tf.unique(tf.round(a))[1], tf.float32),
      lambda: tf.gather(a, tf.argsort(b))])()


def _variable(m, pool):
  variable = m.one_of('variables')
  if variable is None:
    return _arithmetic(m, pool)
  value = variable if variable.shape.rank == 0 else tf.reduce_sum(variable)
  return m.rng.choice(pool) * value


def _constant(m, pool):
  constant = m.one_of('constants')
  return (_arithmetic(m, pool) if constant is None
          else m.rng.choice(pool) * tf.reduce_sum(constant))


def _table(m, pool):
  table, a = m.one_of('tables'), m.rng.choice(pool)
  if table is None:
    return _arithmetic(m, pool)
  found = table.lookup(tf.strings.as_string(tf.cast(tf.clip_by_value(a, -9.0, 9.0), tf.int32)))
  return a + tf.cast(found, tf.float32)


def _file(m, pool):
  path, a = m.one_of('files'), m.rng.choice(pool)
  if path is None:
    return _arithmetic(m, pool)
  return a + tf.cast(tf.strings.length(tf.io.read_file(path)), tf.float32)


def _text(m, pool):
  a = m.rng.choice(pool)
  parts = tf.strings.split(tf.strings.as_string(a, precision=1), '.')
  return tf.strings.to_number(parts.to_tensor(default_value='0')[:, 0])


def _ragged(m, pool):
  a = m.rng.choice(pool)
  ragged = tf.RaggedTensor.from_row_lengths(a, tf.ones_like(a, tf.int64))
  ragged = tf.concat([ragged, ragged * 2.0], axis=1)
  return m.rng.choice([lambda: tf.reduce_sum(ragged, axis=1),
                       lambda: ragged.to_tensor()[:, 1],
                       lambda: tf.cast(ragged.row_lengths(), tf.float32) + a])()


def _sparse(m, pool):
  a = m.rng.choice(pool)
  sparse = tf.sparse.from_dense(tf.stack([a, tf.nn.relu(a)], 1))
  return m.rng.choice([
      lambda: tf.sparse.to_dense(sparse)[:, 1],
      lambda: tf.sparse.sparse_dense_matmul(sparse, tf.constant([[1.0], [3.0]]))[:, 0],
      lambda: tf.sparse.reduce_sum(sparse, axis=1) + tf.zeros_like(a)])()


def _check(m, pool):
  a = m.rng.choice(pool)
  check = tf.debugging.assert_less(tf.size(m.rng.choice(pool)), 1000)
  with tf.control_dependencies([check] if check is not None else []):
    return tf.identity(a)


def _random(m, pool):
  a = m.rng.choice(pool)
  return a + tf.random.stateless_uniform(tf.shape(a), [m.rng.randrange(9), 2])


def _function(m, pool):
  if m.functions and m.rng.random() < 0.4:
    return m.rng.choice(m.functions)(m.rng.choice(pool), m.rng.choice(pool))
  count = m.rng.randint(1, 3)

  def inner(a, b):
    return m.bodies([a, b], count)

  spec = tf.TensorSpec([None], tf.float32)
  traced = tf.function(inner, input_signature=[spec, spec], autograph=False)
  results = traced(m.rng.choice(pool), m.rng.choice(pool))
  position = m.rng.randrange(count)
  m.functions.append(lambda a, b: traced(a, b)[m.rng.randrange(count)])
  return results[position]


def _branch(m, pool):
  a = m.rng.choice(pool)
  results = tf.cond(tf.reduce_sum(a) > m.rng.choice([-1.0, 0.0, 2.0]),
                    lambda: m.bodies(pool, 2), lambda: m.bodies(pool, 2))
  return _as_long_as(m.rng.choice(results), a)


def _switch(m, pool):
  a = m.rng.choice(pool)
  index = tf.cast(tf.reduce_sum(tf.clip_by_value(a, -1.0, 1.0)), tf.int32) % 3
  return _as_long_as(
      tf.switch_case(index, [lambda: m.body(pool) for _ in range(3)]), a)


def _loop(m, pool):
  a, b = m.rng.choice(pool), m.rng.choice(pool)
  times = m.rng.randint(1, 3)

  def step(i, *values):
    made = m.bodies([*pool, *values], len(values))
    return (i + 1, *(_as_long_as(tf.clip_by_value(v, -9.0, 9.0), a) for v in made))

  shapes = (tf.TensorShape([]), *[tf.TensorShape([None])] * 3)
  limit = {'maximum_iterations': times} if m.rng.random() < 0.5 else {}
  results = tf.while_loop(lambda i, *_: i < times, step, (0, a, b, a), shapes, **limit)
  return _as_long_as(m.rng.choice(results[1:]), a)


def _listed(m, pool):
  a = m.rng.choice(pool)
  times = m.rng.randint(1, 3)
  array = tf.TensorArray(tf.float32, times, infer_shape=False, element_shape=[None])

  def step(i, array, value):
    value = _as_long_as(tf.clip_by_value(m.body([*pool, value], 1), -9.0, 9.0), a)
    return i + 1, array.write(i, value), value

  _, array, last = tf.while_loop(lambda i, *_: i < times, step, (0, array, a))
  stacked = _as_long_as(tf.reduce_sum(array.stack(), 0), a)
  return m.rng.choice([lambda: stacked, lambda: last, lambda: stacked + last])()


def _mapped(m, pool):
  a = m.rng.choice(pool)
  return _as_long_as(
      tf.map_fn(lambda value: tf.reduce_sum(m.body([value[None]], 1)), a), a)


def _gradient(m, pool):
  a = tf.identity(m.rng.choice(pool))
  y = m.body([*pool, a])
  try:
    (slope,) = tf.gradients(y, [a], unconnected_gradients='zero')
  except LookupError:  # Some op on the way has none.
    return y
  return y + _as_long_as(tf.convert_to_tensor(slope), a)


def _custom_gradient(m, pool):
  factor = m.rng.choice([2.0, 5.0])

  @tf.custom_gradient
  def clipped(a):
    return tf.clip_by_value(a, -1.0, 1.0), lambda upstream: upstream * factor

  a = tf.identity(m.rng.choice(pool))
  y = clipped(a)
  if m.rng.random() < 0.5:
    return y
  return y + tf.gradients(tf.reduce_sum(y * y), [a])[0]


def _as_long_as(value, like):
  """`value`, as TensorFlow may not know that it is a vector."""
  return tf.ensure_shape(tf.convert_to_tensor(value) + tf.zeros_like(like), [None])


_FLAT = [_arithmetic, _arithmetic, _several_outputs, _variable, _variable,
         _constant, _table, _file, _text, _ragged, _sparse, _check, _random,
         *acting_pieces.PIECES]
_NESTED = [_function, _function, _branch, _switch, _loop, _listed, _mapped, _gradient,
           _custom_gradient]


def as_output(rng: random.Random, value):
  """A tensor of some dtype and shape that tells of `value`."""
  return rng.choice([
      lambda: value, lambda: value, lambda: value, lambda: tf.reduce_sum(value),
      lambda: value > 0, lambda: tf.cast(tf.clip_by_value(value, -99.0, 99.0), tf.int32),
      lambda: tf.strings.as_string(value, precision=3),
      lambda: tf.stack([value, value * 2.0], 1)])()
