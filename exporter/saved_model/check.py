"""Checks a SavedModel that was just written against what it was made from.

A failure is a bug of this package, not a mistake of the user; the export is then
thrown away rather than served.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf
from absl import logging

from exporter.paths import plain_paths
from exporter.saved_model import tensorflow_api

# dtype and static shape of each input or output; a shape is None if unknown.
Specs = dict[str, tuple[tf.DType, Optional[list[Optional[int]]]]]


class FailedCheck(RuntimeError):
  """The SavedModel is not what it should be; nothing has been exported."""


@dataclasses.dataclass(frozen=True)
class Signature:
  """What a signature takes and gives, by name."""
  inputs: Specs
  outputs: Specs


def signature_of(concrete_function: Any) -> Signature:
  """The signature that a concrete function makes when it is saved."""
  inputs, _ = concrete_function.structured_input_signature
  return Signature(
      {spec.name: _spec(spec) for spec in inputs},
      {key: _spec(output) for key, output
       in concrete_function.structured_outputs.items()})


def check_signatures(saved_model_dir: str,
                     expected: Mapping[str, Signature]) -> None:
  """Loads the SavedModel and compares its signatures with the expected ones.

  Raises:
    FailedCheck: it does not load, or an input or output differs in name, dtype
      or static shape.
  """
  try:
    with plain_paths.of_folder(saved_model_dir) as plain:
      loaded = tf.saved_model.load(plain).signatures
  except Exception as e:
    raise FailedCheck(f'The new SavedModel cannot be loaded: {e}') from e
  found = {
      name: Signature(
          {key: _spec(spec) for key, spec
           in function.structured_input_signature[1].items()},
          {key: _spec(output) for key, output
           in function.structured_outputs.items()})
      for name, function in loaded.items()}
  if found != expected:
    raise FailedCheck(
        f'The new SavedModel has the signatures {found} instead of {expected}.')


def check_graph(meta_graph: Any) -> None:
  """Imports the graph and each function, without variables and their memory.

  A model with ops of a library that is not loaded here cannot be checked so.

  Raises:
    FailedCheck: something refers to what is not there, or a tensor of a
      signature has another dtype or shape than the signature says.
  """
  try:
    with tf.Graph().as_default() as graph:
      tf.graph_util.import_graph_def(meta_graph.graph_def, name='')
      for function in meta_graph.graph_def.library.function:
        tensorflow_api.function_graph(function)
    for signature in meta_graph.signature_def.values():
      for info in (*signature.inputs.values(), *signature.outputs.values()):
        if info.WhichOneof('encoding') == 'name' and ':' in info.name:
          _check_tensor(graph.get_tensor_by_name(info.name), info)
  except tf.errors.NotFoundError as e:
    logging.warning('The new SavedModel has not been checked: %s', e.message)
  except (ValueError, KeyError, TypeError, tf.errors.OpError) as e:
    raise FailedCheck(f'The new SavedModel cannot be imported: {e}') from e


def _check_tensor(tensor: Any, info: Any) -> None:
  said = tf.TensorSpec(info.tensor_shape, info.dtype)
  if tensor.dtype != said.dtype or not tensor.shape.is_compatible_with(said.shape):
    raise FailedCheck(f'The signature of the new SavedModel says {said} of'
                      f' {info.name}, which is {tensor}.')


def _spec(tensor: Any) -> tuple[tf.DType, Optional[list[Optional[int]]]]:
  shape = tensor.shape
  return (tf.as_dtype(tensor.dtype),
          None if shape.rank is None else shape.as_list())


def compare_outputs(saved_model_dir: str, cases: Mapping[str, tuple[Any, Sequence[Any]]]
                    ) -> None:
  """Runs signatures and what they were made from, and compares every output.

  Args:
    saved_model_dir: the SavedModel.
    cases: a concrete function and its inputs, in the order of its arguments, by the
      name of its signature. The first is also what calling the loaded object runs.

  Raises:
    FailedCheck: an output differs in a bit.
  """
  with plain_paths.of_folder(saved_model_dir) as plain:
    loaded = tf.saved_model.load(plain)
  for number, (name, (function, inputs)) in enumerate(cases.items()):
    expected = function(*inputs)
    if number == 0:
      found = loaded(*inputs)
    else:
      specs, _ = function.structured_input_signature
      found = loaded.signatures[name](
          **{spec.name: value for spec, value in zip(specs, inputs)})
    for key in expected:
      # Strings are objects in NumPy, which asks of none whether it is a number.
      if not np.array_equal(expected[key].numpy(), found[key].numpy(),
                            equal_nan=expected[key].dtype != tf.string):
        raise FailedCheck(f'Output {key!r} of the signature {name!r} of the new'
                          ' SavedModel differs from the model\'s.')
