"""What the export tests run in processes that have imported TensorFlow alone."""

from __future__ import annotations

import contextlib

import numpy as np
import tensorflow as tf


def load_and_run(saved_model_dir: str, inputs_path: str, outputs_path: str):
  """Runs a SavedModel as an object and through its signature.

  Writes the outputs to `outputs_path`, under `call/KEY` and `signature/KEY`.

  Returns:
    The signature's inputs and outputs, as [dtype, shape] by name, the names of
    all signatures, and whether the object takes its inputs by their names.
  """
  inputs = _load_inputs(inputs_path)
  loaded = tf.saved_model.load(saved_model_dir)
  signature = loaded.signatures['serving_default']
  tensors = {name: tf.constant(value) for name, value in inputs.items()}
  called = loaded(*tensors.values())
  signed = signature(**tensors)
  np.savez(outputs_path,
           **{f'call/{key}': value.numpy() for key, value in called.items()},
           **{f'signature/{key}': value.numpy() for key, value in signed.items()})
  _, specs = signature.structured_input_signature
  return {
      'called_by_name': _takes_names(loaded, tensors),
      'inputs': {name: _describe(spec) for name, spec in specs.items()},
      'outputs': {key: _describe(tensor)
                  for key, tensor in signature.structured_outputs.items()},
      'signatures': sorted(loaded.signatures)}


def run_in_session(saved_model_dir: str, inputs_path: str, outputs_path: str,
                   keys: list[str] | None = None):
  """Runs a SavedModel through the loader of TensorFlow 1.

  Args:
    saved_model_dir: the SavedModel.
    inputs_path: what it is run on, by name.
    outputs_path: where the outputs go, by key.
    keys: of the outputs that are fetched; None for all.

  Returns:
    The tensor names of the signature, [of inputs, of outputs], by name.
  """
  inputs = _load_inputs(inputs_path)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta_graph = tf.compat.v1.saved_model.load(session, ['serve'], saved_model_dir)
    signature = meta_graph.signature_def['serving_default']
    outputs = session.run(
        {key: info.name for key, info in signature.outputs.items()
         if keys is None or key in keys},
        {signature.inputs[name].name: value for name, value in inputs.items()})
  np.savez(outputs_path, **outputs)
  return [{name: info.name for name, info in side.items()}
          for side in (signature.inputs, signature.outputs)]


def run_frozen(saved_model_dir: str, inputs_path: str) -> dict[str, bool]:
  """Whether each output is bit for bit the same after freezing as TF1 does it."""
  given = _load_inputs(inputs_path)
  with _unoptimized_session() as session:
    signature = tf.compat.v1.saved_model.load(
        session, ['serve'], saved_model_dir).signature_def['serving_default']
    feeds = {signature.inputs[name].name: value for name, value in given.items()}
    fetches = {key: info.name for key, info in signature.outputs.items()}
    expected = session.run(fetches, feeds)
    frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
        session, session.graph_def,
        sorted({name.partition(':')[0] for name in fetches.values()}))
  assert not [n for n in frozen.node if n.op in ('VarHandleOp', 'ReadVariableOp')]
  with _unoptimized_session() as session:
    tf.import_graph_def(frozen, name='')
    found = session.run(fetches, feeds)
  return {key: bool(np.array_equal(found[key], expected[key])) for key in fetches}


@contextlib.contextmanager
def _unoptimized_session():
  """A session of its own graph, without Grappler, which folds constants."""
  config = tf.compat.v1.ConfigProto()
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
    yield session


def _takes_names(loaded, tensors) -> bool:
  try:
    loaded(**tensors)
  except (TypeError, ValueError):
    return False
  return True


def _load_inputs(path: str):
  with np.load(path, allow_pickle=True) as f:
    return {name: f[name] for name in f}


def checkpoint_entries(prefix: str, values_path: str | None = None):
  """The shapes in a checkpoint by key; writes the values, where a path is given."""
  reader = tf.train.load_checkpoint(prefix)
  shapes = reader.get_variable_to_shape_map()
  if values_path:
    np.savez(values_path, **{key: np.asarray(reader.get_tensor(key))
                             for key in shapes
                             if key != '_CHECKPOINTABLE_OBJECT_GRAPH'})
  return shapes


def _describe(tensor):
  return [tensor.dtype.name, tensor.shape.as_list()]


def slim(saved_model_dir: str, output_directory: str):
  """Slims as the command line does, with one sentence for a user's mistake."""
  from exporter.errors import UserError
  from exporter.output_keys import OutputSelection
  from exporter.slimming import slim_saved_model
  try:
    slim_saved_model(saved_model_dir, output_directory, OutputSelection())
  except UserError as e:
    raise SystemExit(str(e)) from e
