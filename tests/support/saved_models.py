"""Loads SavedModels every way there is, and compares what they compute."""

import pathlib

import numpy as np

from dead_parts import dead_parts
from exporter.saved_model.files import SavedModelFiles


def meta_graph_of(path: pathlib.Path):
  return SavedModelFiles.open(path).serving_graph


def functions_of(path: pathlib.Path) -> dict:
  return {f.signature.name: f
          for f in meta_graph_of(path).graph_def.library.function}


def ops_of(path: pathlib.Path) -> list[str]:
  """The op of every node, in the main graph and in all functions."""
  graph_def = meta_graph_of(path).graph_def
  return sorted([node.op for node in graph_def.node]
                + [node.op for function in graph_def.library.function
                   for node in function.node_def])


def constants_of(path: pathlib.Path) -> list:
  """The value of every constant, as lists and scalars."""
  import tensorflow as tf
  graph_def = meta_graph_of(path).graph_def
  nodes = [*graph_def.node,
           *(n for f in graph_def.library.function for n in f.node_def)]
  return [tf.make_ndarray(node.attr['value'].tensor).tolist()
          for node in nodes if node.op == 'Const']


def variables_of(path: pathlib.Path) -> dict[str, list[int]]:
  """Shape of each variable in the checkpoint, by key."""
  import tensorflow as tf
  if not (path / 'variables' / 'variables.index').exists():
    return {}
  return {key: shape for key, shape
          in tf.train.list_variables(str(path / 'variables' / 'variables'))
          if key != '_CHECKPOINTABLE_OBJECT_GRAPH'}


def check_is_lean(path: pathlib.Path, outputs) -> None:
  meta_graph = meta_graph_of(path)
  signatures = {name: sorted(signature.outputs)
                for name, signature in meta_graph.signature_def.items()
                if not name.startswith('__')}
  assert signatures == {name: sorted(keys) for name, keys in outputs.items()}
  dead = dead_parts(meta_graph)
  assert not dead, dead


def check_computes_the_same(source, target, outputs, inputs, loaders) -> None:
  runners = {'v2': run_v2, 'v1': run_v1}
  for loader in loaders:
    for signature, arrays in inputs.items():
      expected = runners[loader](source, signature, arrays)
      found = runners[loader](target, signature, arrays)
      assert sorted(found) == sorted(outputs[signature])
      for key, value in found.items():
        assert_same_bits(value, expected[key], f'{loader} {signature} {key}')


def assert_same_bits(value, expected, what='') -> None:
  assert value.dtype == expected.dtype, what
  assert value.shape == expected.shape, what
  if value.dtype == object:
    assert value.tolist() == expected.tolist(), what
  else:
    assert value.tobytes() == expected.tobytes(), (what, value, expected)


def run_v2(path, signature, arrays) -> dict[str, np.ndarray]:
  """What a signature gives in the TF2 loader, and that its shapes are right."""
  import tensorflow as tf
  function = tf.saved_model.load(str(path)).signatures[signature]
  specs = function.structured_input_signature[1]
  results = function(**{
      key: tf.constant(array, specs[key].dtype) for key, array in arrays.items()})
  return {key: np.asarray(result.numpy(), result.dtype.as_numpy_dtype)
          for key, result in results.items()}


def run_v1(path, signature, arrays) -> dict[str, np.ndarray]:
  """What a signature gives in the loader of TF1, which runs the main graph."""
  import tensorflow as tf
  with tf.compat.v1.Session(graph=tf.Graph()) as session:
    meta_graph = tf.compat.v1.saved_model.load(session, ['serve'], str(path))
    definition = meta_graph.signature_def[signature]
    results = session.run(
        {key: tensor.name for key, tensor in definition.outputs.items()},
        {definition.inputs[key].name: array for key, array in arrays.items()})
  return {key: np.asarray(value) for key, value in results.items()}
