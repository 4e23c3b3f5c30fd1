"""What saving needs of TensorFlow and not every version has.

The one place of this folder that asks; it asks for what it uses, not for numbers.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any


def save_options() -> Any:
  """Of `tf.saved_model.save`: without what takes long and is not used."""
  import tensorflow as tf
  # We write a saver of our own. An export is for serving: it needs no gradients.
  wanted = {'experimental_skip_saver': True, 'experimental_custom_gradients': False}
  return tf.saved_model.SaveOptions(**{
      name: value for name, value in wanted.items()
      if _takes(tf.saved_model.SaveOptions, name)})


def export_meta_graph(root: Any, path: str, signatures: Any) -> None:
  """What `tf.saved_model.save` makes before it writes variables: a MetaGraphDef.

  Args:
    root: the object to save.
    path: the file to write.
    signatures: concrete functions by name.
  """
  from tensorflow.python.saved_model import save
  save.export_meta_graph(root, path, signatures=signatures, options=save_options())


def import_function(function_def: Any) -> None:
  """Imports a FunctionDef, which may call those of the default graph, as loaders do.

  All but Python's objects for its nodes, which take longer to make than the graph.

  Raises:
    Exception: of any type, where TensorFlow cannot import it.
  """
  import tensorflow as tf
  from tensorflow.python.framework import function_def_to_graph, importer

  class Unlisted(tf.Graph):  # type: ignore[misc]

    def _add_new_tf_operations(self, compute_devices: bool = True) -> list[Any]:
      del compute_devices
      return []

  graph_def, flat_names = function_def_to_graph.function_def_to_graph_def(
      function_def, _argument_shapes(function_def))
  with Unlisted().as_default():
    importer.import_graph_def_for_function(graph_def, name='')
  nodes = {node.name for node in graph_def.node}
  for name in function_def.ret.values():
    if name not in flat_names:
      raise ValueError(f'there is no tensor {name!r} in {function_def.signature.name!r}')
  for name in function_def.control_ret.values():
    if name not in nodes:
      raise ValueError(f'there is no node {name!r} in {function_def.signature.name!r}')


def _argument_shapes(function_def: Any) -> Any:
  """Those that the function tells; None for resources, whose shapes say nothing."""
  if '_input_shapes' not in function_def.attr:
    return None
  return [None if argument.handle_data else shape for argument, shape in zip(
      function_def.signature.input_arg, function_def.attr['_input_shapes'].list.shape)]


def op_definition(name: str) -> Any:
  """The OpDef of an op type of TensorFlow or a library that is loaded; else None."""
  from tensorflow.python.framework import op_def_registry
  return op_def_registry.get(name)


def write_fingerprint(saved_model_dir: str) -> None:
  """Writes `fingerprint.pb`, as the TensorFlow versions that have one do."""
  try:
    from tensorflow.python.saved_model import fingerprinting_utils
  except ImportError:
    return
  write = fingerprinting_utils.write_fingerprint
  if len(inspect.signature(write).parameters) == 1:
    write(saved_model_dir)
    return
  with open(os.path.join(saved_model_dir, 'saved_model.pb'), 'rb') as f:
    write(saved_model_dir, f.read())


def _takes(function: Callable[..., Any], parameter: str) -> bool:
  return parameter in inspect.signature(function).parameters
