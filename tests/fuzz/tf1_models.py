"""Random models of TF1, saved by `Builder`: one graph, collections, a session."""

from __future__ import annotations

import contextlib
import pathlib
import random
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from pieces import Maker, as_output
from resources import (
    Resources,
    Saved,
    fill,
    mutable_table,
    table_initializer,
    write_lines,
)

_KEYS = ['a', 'b', 'a[0]', 'a0', 'out', 'zz', 'Y']


def save(rng: random.Random, path: pathlib.Path) -> Saved:
  """Writes a model to `path`."""
  v1 = tf.compat.v1
  is_loaded_by_tf2 = rng.random() < 0.15
  target = path.with_name('tf1') if is_loaded_by_tf2 else path
  with tf.Graph().as_default(), v1.Session() as session, _control_flow(rng):
    v1.get_variable_scope().set_use_resource(rng.random() < 0.6)
    resources = _resources(rng, path.parent)
    x = v1.placeholder(tf.float32, [None], name='x')
    maker = Maker(rng, resources)
    outputs = _outputs(maker, x, rng)
    _add_what_nothing_serves(rng, resources, outputs)
    signatures = {name: v1.saved_model.predict_signature_def({'x': x}, of)
                  for name, of in outputs.items()}
    session.run([v1.global_variables_initializer(), v1.local_variables_initializer(),
                 v1.tables_initializer()])
    session.run([fill(rng, table) for table in resources.mutable_tables])
    options = _options(rng)
    if rng.random() < 0.3:  # Trained: not what the initializers say.
      for variable in v1.trainable_variables():
        session.run(v1.assign(variable, variable + 1.0))
    builder = v1.saved_model.Builder(str(target))
    builder.add_meta_graph_and_variables(session, ['serve'], signatures, **options)
    builder.save()
  if is_loaded_by_tf2:
    loaded = tf.saved_model.load(str(target))
    tf.saved_model.save(
        loaded, str(path), dict(loaded.signatures),
        tf.saved_model.SaveOptions(experimental_custom_gradients=False))
  return Saved({name: list(of) for name, of in outputs.items()}, maker.held)


@contextlib.contextmanager
def _control_flow(rng: random.Random) -> Iterator[None]:
  v1 = tf.compat.v1
  if rng.random() < 0.5:
    v1.disable_control_flow_v2()
  try:
    yield
  finally:
    v1.enable_control_flow_v2()


def _resources(rng: random.Random, folder: pathlib.Path) -> Resources:
  v1 = tf.compat.v1
  variables = [v1.get_variable(
      f'v{i}', initializer=np.float32(rng.uniform(-2, 2)) if rng.random() < 0.5
      else np.random.RandomState(i).rand(4).astype(np.float32),
      trainable=rng.random() < 0.7) for i in range(rng.randint(0, 4))]
  if rng.random() < 0.2:
    variables.append(tf.convert_to_tensor(v1.get_variable(
        'parts', [4], partitioner=v1.fixed_size_partitioner(2),
        initializer=v1.ones_initializer())))
  return Resources(
      variables=variables,
      tables=[_table(rng, folder, i) for i in range(rng.choice([0, 0, 1, 2]))],
      mutable_tables=[mutable_table(rng, checkpoint=rng.random() < 0.5)
                      for _ in range(rng.choice([0, 0, 1]))],
      files=[_asset(write_lines(rng, folder, f'asset_{i}'))
             for i in range(rng.choice([0, 0, 1]))])


def _asset(path: str):
  tensor = tf.constant(path)
  tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS, tensor)
  return tensor


def _table(rng: random.Random, folder: pathlib.Path, number: int):
  return tf.compat.v1.lookup.StaticHashTable(table_initializer(rng, folder, number), -1)


def _outputs(maker: Maker, x, rng: random.Random) -> dict[str, dict[str, tf.Tensor]]:
  pool = [x]
  for _ in range(rng.randint(1, 4)):
    pool.append(maker.body(pool))
  outputs = {}
  for name in ['serving_default', *(['other'] if rng.random() < 0.4 else [])]:
    outputs[name] = {
        key: as_output(rng, maker.body(pool) if rng.random() < 0.7 else rng.choice(pool))
        for key in rng.sample(_KEYS, rng.randint(2, 4))}
  if rng.random() < 0.1:
    outputs['serving_default']['sparse'] = tf.sparse.from_dense(tf.stack([x, x * 2.0]))
  return outputs


def _add_what_nothing_serves(rng: random.Random, resources: Resources, outputs) -> None:
  """An optimizer, summaries, collections of others: what training leaves in a graph."""
  v1 = tf.compat.v1
  output = tf.cast(rng.choice([
      t for of in outputs.values() for t in of.values()
      if isinstance(t, tf.Tensor) and t.dtype == tf.float32] or [tf.zeros([])]), tf.float32)
  if v1.trainable_variables() and rng.random() < 0.3:
    loss = tf.reduce_sum(output) + sum(
        tf.reduce_sum(v * v) for v in v1.trainable_variables())
    try:
      step = v1.train.get_or_create_global_step()
      v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)
    except LookupError:  # Some op on the way has no gradient.
      pass
  if rng.random() < 0.3:
    v1.summary.scalar('mean', tf.reduce_mean(output))
  if rng.random() < 0.3:
    v1.add_to_collection('mine', output)
  if rng.random() < 0.2:
    v1.get_variable('local', initializer=np.float32(1), collections=[
        v1.GraphKeys.LOCAL_VARIABLES])


def _options(rng: random.Random) -> dict:
  """Of `add_meta_graph_and_variables`: how tables and variables are filled."""
  v1 = tf.compat.v1
  options = {}
  main_op = rng.choice(['none', 'tables', 'main', 'group'])
  if main_op == 'tables':
    options['main_op'] = v1.tables_initializer()
  elif main_op == 'main':
    options['main_op'] = v1.saved_model.main_op.main_op()
  elif main_op == 'group':
    options['main_op'] = tf.group(v1.tables_initializer(), name='init_all')
  if v1.global_variables() and rng.random() < 0.4:
    options['saver'] = v1.train.Saver(
        sharded=rng.random() < 0.6, reshape=rng.random() < 0.2)
  options['strip_default_attrs'] = rng.random() < 0.3
  options['clear_devices'] = rng.random() < 0.3
  return options
