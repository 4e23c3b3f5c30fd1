"""Saves concrete functions as a SavedModel that holds them alone."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from exporter.saved_model import tensorflow_api
from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model.writing import prune, write


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
    tf.saved_model.save(root, unpruned, signatures=dict(functions),
                        options=tensorflow_api.save_options())
    source = SavedModelFiles.open(unpruned)
    lean, pruned = prune(source, {
        name: list(function.structured_outputs) for name, function in functions.items()})
    write(lean, pruned, source, target)


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
