"""Saves a concrete function as a SavedModel that holds it alone."""

import inspect
import os
import tempfile

from exporter.saved_model import tensorflow_api
from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model.writing import prune, write


def save_lean(concrete_function, target: str) -> None:
  """Saves a concrete function as a SavedModel that holds it alone.

  Args:
    concrete_function: returns a dict of tensors; becomes `serving_default` and
      what calling the loaded object runs.
    target: the SavedModel folder; made by this function.
  """
  import tensorflow as tf
  input_signature, _ = concrete_function.structured_input_signature
  # Saving a module of Keras layers would write every layer's call functions.
  root = tf.train.Checkpoint(variables=list(concrete_function.graph.variables))
  # Saving the model's own tf.function would trace it once more.
  root.__call__ = tf.function(_positional(concrete_function, input_signature),
                              input_signature=input_signature, autograph=False)
  with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as unpruned:
    tf.saved_model.save(root, unpruned, signatures=concrete_function,
                        options=tensorflow_api.save_options())
    source = SavedModelFiles.open(unpruned)
    lean, pruned = prune(
        source, {'serving_default': list(concrete_function.structured_outputs)})
    write(lean, pruned, source, target)


def _positional(concrete_function, input_signature):
  """A function that takes the inputs by position or, as stock's, by name."""
  names = [spec.name for spec in input_signature]

  def call_func(*inputs, **named):
    return concrete_function(*inputs, *(named[n] for n in names[len(inputs):]))

  call_func.__signature__ = inspect.Signature([
      inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
      for name in names])
  return call_func
