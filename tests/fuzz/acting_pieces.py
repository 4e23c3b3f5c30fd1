"""Random pieces that change something, or might, beside the tensor that they give.

As those of `pieces`: each takes a Maker and a pool of tensors, float32 `[N]`.
"""

import tensorflow as tf


def counter(m, pool):
  """Adds to a variable, and gives what it is then."""
  variable, a = m.one_of('counters'), m.rng.choice(pool)
  if variable is None:
    return tf.exp(-tf.abs(a))
  added = variable.assign_add(tf.reduce_sum(tf.clip_by_value(a, 0.0, 1.0)))
  with tf.control_dependencies([added]):
    return a + tf.convert_to_tensor(added)


def mutable_table(m, pool):
  """Writes to a table and reads from it: one that the model holds, or of its own."""
  a, table = m.rng.choice(pool), m.one_of('mutable_tables')
  if table is None or m.rng.random() < 0.5:
    return _table_of_its_own(m, a)
  if m.rng.random() < 0.5:
    return a + table.lookup(_as_keys(a))
  with tf.control_dependencies([table.insert(_as_keys(a), tf.zeros_like(a) + 2.0)]):
    return table.lookup(_as_keys(a * 2.0)) + a


def _table_of_its_own(m, a):
  raw, types = tf.raw_ops, {'key_dtype': tf.int64, 'value_dtype': tf.float32}
  if m.rng.random() < 0.5:
    handle = raw.AnonymousMutableHashTable(**types)
  else:  # Also that of others by the same name.
    handle = raw.MutableHashTableV2(
        shared_name=m.rng.choice(['own_table', 'other_table']), **types)
  values = tf.zeros_like(a) + m.rng.choice([1.0, 4.0])
  insert = raw.LookupTableInsertV2(
      table_handle=handle, keys=_as_keys(a), values=values)
  with tf.control_dependencies([insert]):
    return a + raw.LookupTableFindV2(
        table_handle=handle, keys=_as_keys(m.rng.choice([a, a + 1.0])),
        default_value=0.5)


def _as_keys(a):
  return tf.cast(tf.clip_by_value(a, -9.0, 9.0), tf.int64)


def inplace(m, pool):
  """Writes into a tensor, and gives it, or what has been read before or afterwards."""
  a = m.rng.choice(pool)
  write = m.rng.choice([tf.raw_ops.InplaceAdd, tf.raw_ops.InplaceSub,
                        tf.raw_ops.InplaceUpdate])
  written = tf.raw_ops.DeepCopy(x=a + 1.0)
  before = tf.sin(written)
  with tf.control_dependencies([before]):
    changed = write(x=written, i=[0], v=a[-1:])
  with tf.control_dependencies([changed]):
    after = written * 2.0
  return m.rng.choice([changed, before, after, after + before])


def dataset(m, pool):
  """Reads a dataset, to its end or some of it."""
  a = m.rng.choice(pool)
  values = tf.data.Dataset.from_tensor_slices(a)
  kind = m.rng.choice(['plain', 'maps', 'maps', 'shuffles', 'caches'])
  if kind == 'maps':
    values = values.map(lambda value: tf.reduce_sum(m.body([value[None]], 1)))
  elif kind == 'shuffles':
    values = values.shuffle(1, seed=3).take(3)
  elif kind == 'caches':
    values = values.cache()
  return a + m.rng.choice([_reduced, _batched, _first])(values)


def _reduced(values):
  return values.reduce(0.0, lambda total, value: total * 0.5 + value)


def _batched(values):
  return tf.reduce_max(values.batch(1000).get_single_element())


def _first(values):
  if not tf.inside_function():
    return _reduced(values)  # TF1 makes iterators that something has to start.
  return next(iter(values))


def python(m, pool):
  """Calls Python, which TensorFlow finds by a number as long as this process lives."""
  a = m.rng.choice(pool)
  m.hold_graph()
  result = m.rng.choice([
      lambda: tf.py_function(lambda value: tf.tanh(value), [a], tf.float32),
      lambda: tf.numpy_function(lambda value: value * 2, [a], tf.float32),
      lambda: tf.numpy_function(lambda value: value * 3, [a], tf.float32,
                                stateful=False)])()
  return tf.ensure_shape(result, [None])


PIECES = [counter, mutable_table, inplace, dataset, python]
