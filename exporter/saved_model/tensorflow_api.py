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


def function_graph(function_def: Any) -> Any:
  """Imports a FunctionDef, with those that it calls, from the default graph."""
  from tensorflow.python.framework import function_def_to_graph
  convert = function_def_to_graph.function_def_to_graph
  # Before it could be chosen, they always came along.
  if _takes(convert, 'include_library_functions'):
    return convert(function_def, include_library_functions=True)
  return convert(function_def)


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
