"""Saves concrete functions as a SavedModel that holds them alone."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from exporter.meta_graph import object_checkpoint
from exporter.meta_graph.saved_variables import Checkpoint
from exporter.saved_model import tensorflow_api
from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model.writing import object_graph_of, prune, write


def save_lean(functions: Mapping[str, Any], target: str) -> None:
  """Saves concrete functions as a SavedModel that holds them alone.

  Args:
    functions: by the name of the signature that each becomes; each returns a dict of
      tensors. The first is also what calling the loaded object runs.
    target: the SavedModel folder; made by this function.
  """
  import tensorflow as tf
  main = next(iter(functions.values()))
  input_signature, _ = main.structured_input_signature
  # Saving a module of Keras layers would write every layer's call functions.
  root = tf.train.Checkpoint(variables=_variables(functions.values()))
  # Saving the model's own tf.function would trace it once more.
  root.__call__ = tf.function(_positional(main, input_signature),
                              input_signature=input_signature, autograph=False)
  with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as unpruned:
    source = _unpruned(root, functions, unpruned)
    # tf.saved_model.save would write them too, only to be read and written again.
    variables = {object_checkpoint.checkpoint_key(i): variable
                 for i, variable in enumerate(root.variables)}
    lean, pruned = prune(source, {
        name: list(function.structured_outputs) for name, function in functions.items()},
                         Checkpoint(object_graph_of(source.serving_graph)))
    write(lean, pruned, source, target, variables)


def _unpruned(root: Any, functions: Mapping[str, Any], folder: str) -> SavedModelFiles:
  """What saving `root` would write to a folder, without the variables."""
  import tensorflow as tf
  from tensorflow.core.protobuf import saved_model_pb2
  path = os.path.join(folder, 'meta_graph.pb')
  tensorflow_api.export_meta_graph(root, path, dict(functions))
  saved_model = saved_model_pb2.SavedModel(
      saved_model_schema_version=tf.saved_model.SAVED_MODEL_SCHEMA_VERSION)
  meta_graph = saved_model.meta_graphs.add()
  with open(path, 'rb') as f:
    meta_graph.ParseFromString(f.read())
  return SavedModelFiles(folder, saved_model, meta_graph)


def _variables(functions: Iterable[Any]) -> list[Any]:
  """The variables of all functions, each once, in the order in which they are captured.

  A graph's own list of them has another order in every process, and so the file would
  have.
  """
  captured = {}
  for function in functions:
    by_handle = {id(variable.handle): variable for variable in function.graph.variables}
    for tensor, _ in function.graph.captures:
      if id(tensor) in by_handle:
        captured[id(tensor)] = by_handle[id(tensor)]
  return list(captured.values())


def _positional(concrete_function: Any, input_signature: Sequence[Any]) -> Callable[..., Any]:
  """A function that takes the inputs by position or, as stock's, by name."""
  names = [spec.name for spec in input_signature]

  def call_func(*inputs: Any, **named: Any) -> Any:
    return concrete_function(*inputs, *(named[n] for n in names[len(inputs):]))

  cast(Any, call_func).__signature__ = inspect.Signature([
      inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
      for name in names])
  return call_func
