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

from exporter.errors import UserError
from exporter.meta_graph import object_checkpoint
from exporter.meta_graph.object_checkpoint import VARIABLE_VALUE
from exporter.paths import plain_paths
from exporter.saved_model import tensorflow_api
from exporter.saved_model import variable_bundle
from exporter.saved_model.files import SavedModelFiles

# dtype and static shape of each input or output; a shape is None if unknown.
Specs = dict[str, tuple[tf.DType, Optional[list[Optional[int]]]]]

# TensorFlow's reasons may end in a whole stack or graph.
_LONGEST_REASON = 300


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
  """Loads the SavedModel without values and compares its signatures with the expected.

  Raises:
    FailedCheck: it does not load, or an input or output differs in name, dtype
      or static shape.
  """
  # With them, all variables would be in memory twice; `check_variables` reads them.
  options = tf.saved_model.LoadOptions(experimental_skip_checkpoint=True)
  try:
    with plain_paths.of_folder(saved_model_dir) as plain:
      loaded = tf.saved_model.load(plain, options=options).signatures
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


def check_variables(saved_model_dir: str) -> None:
  """Reads the value of each variable as a loader would, one at a time.

  Raises:
    FailedCheck: a variable has none in the checkpoint, or one of another dtype or
      shape, or one that cannot be read.
  """
  files = SavedModelFiles.open(saved_model_dir)
  objects = files.serving_graph.object_graph_def
  variables = {i: node.variable for i, node in enumerate(objects.nodes)
               if node.WhichOneof('kind') == 'variable'}
  try:
    checkpoint_objects = variable_bundle.read_object_graph(files.variables_prefix)
    if checkpoint_objects is None:
      raise FailedCheck('The new SavedModel has no checkpoint that objects restore.')
    keys = object_checkpoint.checkpoint_keys(objects, checkpoint_objects)[VARIABLE_VALUE]
    for i, variable in variables.items():
      if i not in keys:
        raise FailedCheck(f'The variable {variable.name!r} of the new SavedModel has no'
                          ' value in its checkpoint.')
    for variable, value in zip(variables.values(), variable_bundle.read_values(
        files.variables_prefix, [keys[i] for i in variables])):
      _check_value(variable, value)
  except UserError as e:
    raise FailedCheck(f'The new SavedModel is damaged: {e}') from e


def _check_value(variable: Any, value: Any) -> None:
  said = tf.TensorSpec(variable.shape, variable.dtype)
  if value.dtype != said.dtype.as_numpy_dtype or not said.shape.is_compatible_with(
      value.shape):
    raise FailedCheck(f'The variable {variable.name!r} of the new SavedModel should be'
                      f' {said} and is {value.dtype} of the shape {value.shape}.')


def check_slimmed(meta_graph: Any, source: Any, source_directory: str) -> None:
  """Imports a slimmed graph, and tells whose fault it is where that fails.

  Args:
    meta_graph: MetaGraphDef of what was just written.
    source: the one that it was made from.
    source_directory: where that lies.

  Raises:
    UserError: TensorFlow cannot import the graph: the source is damaged, or pruning
      has failed.
  """
  problem = import_problem(meta_graph)
  if problem is None:
    return
  of_source = import_problem(source)
  if of_source is not None:
    raise UserError(f'The SavedModel {source_directory} is damaged: TensorFlow cannot'
                    f' import it: {of_source}.')
  raise UserError(
      f'What is left of {source_directory} cannot be imported, though all of it can:'
      f' {problem}; that is a fault of this program and not of the SavedModel. Nothing'
      ' was written; please report it, with the SavedModel if you may.')


def import_problem(meta_graph: Any) -> Optional[str]:
  """Imports a graph and each function as loaders do, without the variables.

  A model with ops of a library that is not loaded here cannot be checked so.

  Returns:
    What refers to what is not there, or which tensor of a signature has another
    dtype or shape than the signature says; None where all is well.
  """
  foreign = _foreign_ops(meta_graph.graph_def)
  listed = {op.name for op in meta_graph.meta_info_def.stripped_op_list.op}
  if not foreign <= listed:
    return (f'the op {min(foreign - listed)!r} is none of TensorFlow {tf.__version__},'
            ' and the SavedModel does not list it')
  if foreign:
    logging.warning('The new SavedModel has not been checked, as there is no op %s in'
                    ' TensorFlow itself.', ', '.join(sorted(foreign)))
    return None
  try:
    _import(meta_graph)
  except Exception as e:  # Of any type, from Python's importer or the C library.
    return ' '.join(str(e).split())[:_LONGEST_REASON].rstrip('.') or repr(e)
  return None


def _import(meta_graph: Any) -> None:
  _check_attributes(meta_graph.graph_def)
  with tf.Graph().as_default() as graph:
    tf.graph_util.import_graph_def(meta_graph.graph_def, name='')
    for function in meta_graph.graph_def.library.function:
      tensorflow_api.import_function(function)
  for signature in meta_graph.signature_def.values():
    for info in (*signature.inputs.values(), *signature.outputs.values()):
      if info.WhichOneof('encoding') == 'name' and ':' in info.name:
        _check_tensor(graph.get_tensor_by_name(info.name), info)


def _check_attributes(graph_def: Any) -> None:
  """Checks that nodes have what their ops require.

  Of functions, loaders ask only when one is run, which may end the process.
  """
  nodes = _nodes(graph_def)
  required = {op: [a.name for a in getattr(tensorflow_api.op_definition(op), 'attr', ())
                   if not a.HasField('default_value')]
              for op in {node.op for node in nodes}}
  for node in nodes:
    for name in required[node.op]:
      if name not in node.attr or node.attr[name].WhichOneof('value') is None:
        raise ValueError(f'the node {node.name!r}, a {node.op}, lacks its attribute'
                         f' {name!r}')


def _foreign_ops(graph_def: Any) -> set[str]:
  """The ops that TensorFlow, with the libraries that are loaded, does not have."""
  functions = {f.signature.name for f in graph_def.library.function}
  return {op for op in {node.op for node in _nodes(graph_def)} - functions
          if tensorflow_api.op_definition(op) is None}


def _nodes(graph_def: Any) -> list[Any]:
  return [*graph_def.node, *(n for f in graph_def.library.function for n in f.node_def)]


def _check_tensor(tensor: Any, info: Any) -> None:
  said = tf.TensorSpec(info.tensor_shape, info.dtype)
  if tensor.dtype != said.dtype or not tensor.shape.is_compatible_with(said.shape):
    raise ValueError(f'its signature says {said} of {info.name}, which is {tensor}')


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
