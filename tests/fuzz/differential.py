"""Slims a random model, and compares what it computes before and after, bit for bit.

    outcome = run_seed('tf2', 17, folder)
    outcome.verdict        # 'same', 'refused', 'wrong', 'traceback' or 'not built'
"""

from __future__ import annotations

import contextlib
import pathlib
import random
import traceback
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

import tf1_models
import tf2_models
from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.slimming import SlimReport, slim_saved_model
from outcome import Outcome, in_short
from saved_models import assert_same_bits, meta_graph_of

_MODELS = {'tf2': tf2_models, 'tf1': tf1_models}
_X = [np.float32([0.5, -1.25, 3.0, 0.0]), np.float32([2.0])]


class _NotBuiltError(Exception):
  """TensorFlow cannot make or run the model that a seed means."""


def run_seed(kind: str, seed: int, folder: pathlib.Path) -> Outcome:
  """Makes the model of a seed in an empty folder, slims and compares it.

  Args:
    kind: 'tf2' or 'tf1'.
    seed: of the model and of the selection.
    folder: gets `source` and `slim`.
  """
  rng = random.Random(f'{kind} {seed}')
  try:
    saved = _MODELS[kind].save(rng, folder / 'source')
  except Exception as e:
    return Outcome('not built', in_short(e))
  keys = saved.keys
  kept, keeps_others = _selection(rng, keys)
  try:
    report = slim_saved_model(
        str(folder / 'source'), str(folder / 'slim'), OutputSelection(tuple(kept)),
        keep_other_signatures=keeps_others)
  except UserError as e:
    return Outcome('refused', str(e))
  except Exception:
    return Outcome('traceback', traceback.format_exc())
  outputs = {'serving_default': kept, **(
      {name: of for name, of in keys.items() if name != 'serving_default'}
      if keeps_others else {})}
  compared, reason = 0, ''
  for compare in (_compare_by_session, _compare_objects):
    try:
      compared += compare(folder, outputs, report)
    except _NotBuiltError as e:
      reason = str(e)
    except Exception as e:
      return Outcome('wrong', f'keeping {outputs}: {in_short(e)}')
  return Outcome('same' if compared else 'not built', reason, compared)


def _selection(rng: random.Random, keys) -> tuple[list[str], bool]:
  available = sorted(keys['serving_default'])
  return (sorted(rng.sample(available, rng.randint(1, len(available)))),
          rng.random() < 0.5)


@contextlib.contextmanager
def _source_must_run() -> Iterator[None]:
  try:
    yield
  except Exception as e:
    raise _NotBuiltError(f'the source cannot be run: {in_short(e)}') from e


def _compare_objects(folder, outputs, report: SlimReport) -> int:
  """As TF2 loads: runs all in turn, so that what a call changes shows in the next."""
  with _source_must_run():
    source = tf.saved_model.load(str(folder / 'source'))
  slim = tf.saved_model.load(str(folder / 'slim'))
  assert set(slim.signatures) == set(outputs), set(slim.signatures)
  assert callable(slim) == report.is_callable, f'{report.is_callable} is reported'
  count = 0
  for x in _X:
    for name, keys in outputs.items():
      inputs = {key: _input(key, x) for key in
                source.signatures[name].structured_input_signature[1]}
      with _source_must_run():
        expected = source.signatures[name](**inputs)
      found = slim.signatures[name](**inputs)
      assert set(found) == set(keys), (name, set(found))
      count += _compare(found, expected, f'TF2 {name}')
    if report.is_callable:
      count += _compare_calls(source, slim, outputs['serving_default'], x)
  return count + _compare_gradients(source, slim, outputs['serving_default'])


def _compare_calls(source, slim, keys, x) -> int:
  specs = source.__call__.concrete_functions[0].structured_input_signature[0]
  inputs = [_input(spec.name, x) for spec in specs if isinstance(spec, tf.TensorSpec)]
  with _source_must_run():
    expected = source(*inputs)
  found = slim(*inputs)
  assert set(found) == set(keys), set(found)
  return _compare(found, expected, 'calling it')


def _compare_gradients(source, slim, keys) -> int:
  """As for saliency maps; where the source has gradients, so has what is left."""
  try:
    expected = _gradients(source.signatures['serving_default'], keys)
  except Exception:
    return 0
  _assert_same_slopes(_gradients(slim.signatures['serving_default'], keys), expected)
  return len(expected)


def _assert_same_slopes(found, expected) -> None:
  for name, slope in expected.items():
    # A dropped output adds zeros: to -0, to none, and where it is infinite no number.
    known = ~np.isnan(slope)
    assert np.array_equal(slope[known], found[name][known]), (
        f'gradient for {name}: {found[name]} instead of {slope}')


def _gradients(function, keys) -> dict[str, np.ndarray]:
  inputs = {key: _input(key, _X[0]) for key in function.structured_input_signature[1]}
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    results = function(**inputs)
    loss = tf.add_n([tf.reduce_sum(results[key]) for key in keys
                     if results[key].dtype == tf.float32] or [tf.zeros([])])
  slopes = tape.gradient(loss, inputs, tf.UnconnectedGradients.ZERO)
  return {name: slope.numpy() for name, slope in slopes.items()}


def _input(name: str, x: np.ndarray):
  return tf.constant(x if name == 'x' else x[::-1].copy())


def _compare_by_session(folder, outputs, report: SlimReport) -> int:
  """As TF1 and TensorFlow Serving load."""
  if _restores(folder / 'slim') and not _restores(folder / 'source'):
    raise _NotBuiltError('a session restores nothing of the source')
  with _source_must_run():
    expected = list(_run_by_session(folder / 'source', outputs))
  found = list(_run_by_session(folder / 'slim', outputs))
  count = sum(_compare(values, expected[i], f'session {i}')
              for i, values in enumerate(found))
  if report.given_up_gradients:
    return count
  try:
    expected = _session_gradients(folder / 'source', outputs['serving_default'])
  except Exception:
    return count
  _assert_same_slopes(
      _session_gradients(folder / 'slim', outputs['serving_default']), expected)
  return count + len(expected)


def _restores(path) -> bool:
  """Whether the graph says how; without a saver, tables are just empty."""
  return bool(meta_graph_of(path).saver_def.restore_op_name)


def _session_gradients(path, keys) -> dict[str, np.ndarray]:
  v1 = tf.compat.v1
  with v1.Session(graph=tf.Graph(), config=_session_options()) as session:
    signature = v1.saved_model.load(
        session, ['serve'], str(path)).signature_def['serving_default']
    session.run(v1.tables_initializer())
    results, inputs = (
        {key: session.graph.get_tensor_by_name(info.name) for key, info in infos.items()
         if info.name} for infos in (signature.outputs, signature.inputs))
    slopes = v1.gradients([results[key] for key in keys
                           if key in results and results[key].dtype == tf.float32],
                          list(inputs.values()), unconnected_gradients='zero')
    feed = {tensor: _input(key, _X[0]).numpy() for key, tensor in inputs.items()}
    return session.run(dict(zip(inputs, slopes)), feed)


def _run_by_session(path, outputs) -> Iterator[dict[str, np.ndarray]]:
  with tf.compat.v1.Session(graph=tf.Graph(), config=_session_options()) as session:
    meta_graph = tf.compat.v1.saved_model.load(session, ['serve'], str(path))
    session.run(tf.compat.v1.tables_initializer())
    for x in _X:
      for name, keys in outputs.items():
        signature = meta_graph.signature_def[name]
        fetches = {key: tf.compat.v1.saved_model.utils.get_tensor_from_tensor_info(
            signature.outputs[key]) for key in keys}
        if not keys:
          continue
        yield session.run(fetches, {
            info.name: x if key == 'x' else x[::-1]
            for key, info in signature.inputs.items()})


def _session_options() -> tf.compat.v1.ConfigProto:
  options = tf.compat.v1.ConfigProto()
  options.graph_options.rewrite_options.disable_meta_optimizer = True
  return options


def _compare(found, expected, what: str) -> int:
  for key, value in found.items():
    for a, b in zip(_parts(value), _parts(expected[key])):
      assert_same_bits(a, b, f'{what} {key}')
  return len(found)


def _parts(value) -> list[np.ndarray]:
  """The arrays in an output, which may be a sparse tensor."""
  if isinstance(value, (tf.SparseTensor, tf.compat.v1.SparseTensorValue)):
    return [np.asarray(part) for part in (value.indices, value.values, value.dense_shape)]
  return [np.asarray(value)]


def without_grappler() -> None:
  """Lets the functions of this process run as they are written."""
  tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
