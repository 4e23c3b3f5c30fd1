"""Tries the checks of what was written on SavedModels that are right and wrong."""

import os

import tensorflow as tf

from exporter.saved_model import check as saved_model_check


def check(folder: str):
  """Fails unless right SavedModels pass the checks and wrong ones do not."""
  right = _concrete(lambda x: {'a': x + 1.0, 'b': x / 0.0 - x / 0.0})
  inputs = [tf.constant([1.0, 2.0])]
  _check(_save(folder, 'right', right), right, inputs)
  for name, wrong in {
      'value': lambda x: {'a': x + 1.5, 'b': x / 0.0 - x / 0.0},
      'key': lambda x: {'a': x + 1.0},
      'dtype': lambda x: {'a': tf.cast(x, tf.float64), 'b': x},
      'shape': lambda x: {'a': x[:1], 'b': x}}.items():
    saved = _save(folder, name, _concrete(wrong))
    try:
      _check(saved, right, inputs)
    except saved_model_check.FailedCheck:
      continue
    raise AssertionError(f'A SavedModel with another {name} passed.')


def _check(saved, function, inputs):
  saved_model_check.check_signatures(
      saved, {'serving_default': saved_model_check.signature_of(function)})
  saved_model_check.compare_outputs(
      saved, {'serving_default': (function, inputs)})


def _concrete(function):
  return tf.function(function, input_signature=[
      tf.TensorSpec([2], tf.float32, 'x')]).get_concrete_function()


def _save(folder, name, function):
  path = os.path.join(folder, name)
  module = tf.Module()
  module.__call__ = tf.function(
      lambda x: function(x), input_signature=[tf.TensorSpec([2], tf.float32, 'x')])
  tf.saved_model.save(module, path, signatures=function)
  return path
