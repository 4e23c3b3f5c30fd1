"""Random models of TF2, saved by `tf.saved_model.save`."""

from __future__ import annotations

import pathlib
import random

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

_KEYS = ['a', 'b', 'a[0]', 'a0', 'c,d', 'out', 'detection_boxes', 'zz', 'Y']


def save(rng: random.Random, path: pathlib.Path) -> Saved:
  """Writes a model to `path`."""
  module = tf.Module()
  resources = _resources(rng, module, path.parent)
  maker = Maker(rng, resources)
  keys = {'serving_default': _some_keys(rng)}
  for name in rng.sample(['other', 'third'], rng.choice([0, 0, 1, 2])):
    keys[name] = _some_keys(rng) if rng.random() < 0.9 else []
  traced = {name: _function(maker, of, rng.random() < 0.2) for name, of in keys.items()}
  _add_call(rng, maker, module, traced['serving_default'], keys['serving_default'])
  for name in rng.sample(sorted(traced), rng.randrange(len(traced) + 1)):
    setattr(module, f'method_{name}', traced[name])
  signatures = {name: f if rng.random() < 0.5 else f.get_concrete_function()
                for name, f in traced.items()}
  tf.saved_model.save(module, str(path), signatures, _options(rng))
  return Saved(keys, maker.held)


def _some_keys(rng: random.Random) -> list[str]:
  return rng.sample(_KEYS, rng.randint(2, 5))


def _options(rng: random.Random):
  if rng.random() < 0.15:
    try:
      return tf.saved_model.SaveOptions(experimental_skip_saver=True)
    except TypeError:  # Before TF 2.10.
      pass
  return tf.saved_model.SaveOptions(save_debug_info=rng.random() < 0.1)


def _resources(rng: random.Random, module, folder: pathlib.Path) -> Resources:
  """Makes them, and lets the module hold them, each in its own way."""
  resources = Resources(
      variables=[tf.Variable(rng.uniform(-2, 2) if rng.random() < 0.5
                             else [rng.uniform(-2, 2) for _ in range(4)],
                             trainable=rng.random() < 0.7, name=rng.choice('vw'))
                 for _ in range(rng.randint(0, 4))],
      counters=[tf.Variable(0.0) for _ in range(rng.choice([0, 0, 1, 2]))],
      constants=[tf.constant([rng.uniform(-2, 2) for _ in range(rng.choice([1, 200]))])
                 for _ in range(rng.randint(0, 2))],
      tables=[_table(rng, folder, i) for i in range(rng.choice([0, 0, 1, 2]))],
      files=[tf.saved_model.Asset(write_lines(rng, folder, f'asset_{i}'))
             for i in range(rng.choice([0, 0, 1, 2]))])
  module.weights = (list(resources.variables) if rng.random() < 0.5 else
                    {f'w{i}': v for i, v in enumerate(resources.variables)})
  module.counters, module.tables = resources.counters, resources.tables
  resources.mutable_tables = [mutable_table(rng, is_anonymous=rng.random() < 0.2)
                              for _ in range(rng.choice([0, 0, 1, 2]))]
  for table in resources.mutable_tables:
    fill(rng, table)
  module.filled = resources.mutable_tables
  module.files = list(resources.files)
  module.unused = tf.Variable([1.0, 2.0])
  resources.files = [asset.asset_path for asset in resources.files]
  return resources


def _table(rng: random.Random, folder: pathlib.Path, number: int):
  initializer = table_initializer(rng, folder, number)
  if rng.random() < 0.2:
    return tf.lookup.StaticVocabularyTable(initializer, 3)
  return tf.lookup.StaticHashTable(initializer, -1)


def _function(maker: Maker, keys: list[str], has_two_inputs: bool):
  """A tf.function of `x`, and perhaps `y`, that gives a dict with `keys`."""
  spec = [tf.TensorSpec([None], tf.float32, name) for name in 'xy'[:1 + has_two_inputs]]
  return tf.function(lambda *inputs: _outputs(maker, inputs, keys),
                     input_signature=spec, autograph=False)


def _outputs(maker: Maker, inputs, keys: list[str]) -> dict[str, tf.Tensor]:
  pool = list(inputs)
  for _ in range(maker.rng.randint(1, 4)):
    pool.append(maker.body(pool))
  return {key: as_output(maker.rng, maker.body(pool) if maker.rng.random() < 0.7
                         else maker.rng.choice(pool)) for key in keys}


def _add_call(rng: random.Random, maker: Maker, module, serving, keys) -> None:
  """Lets the module be called: as it is served, or otherwise, or not at all."""
  kind = rng.choice(['none', 'served', 'served', 'other keys', 'own', 'tensor', 'traces'])
  if kind == 'served':
    module.__call__ = serving
  elif kind == 'other keys':
    module.__call__ = _function(maker, [*keys[1:], 'more'], False)
  elif kind == 'own':
    module.own = tf.Variable(3.0)
    module.__call__ = tf.function(
        lambda x: {key: x * module.own + i for i, key in enumerate(keys)},
        input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  elif kind == 'tensor':
    module.__call__ = tf.function(
        lambda x: x * 2.0, input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  elif kind == 'traces':
    module.__call__ = tf.function(
        lambda x, training=False: dict.fromkeys(keys, x * (2.0 if training else 3.0)))
    for training in (True, False):
      module.__call__.get_concrete_function(
          tf.TensorSpec([None], tf.float32, 'x'), training)
