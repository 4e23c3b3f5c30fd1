"""Tries the checks of what was written on SavedModels that are right and wrong."""

import os

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

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


def check_variables(folder: str):
  """Fails unless values that are whole pass, and damaged or missing ones do not."""
  def right(unused_path, proto):
    del proto

  def cut(path, proto):
    del proto
    os.truncate(path + '.data-00000-of-00001', 6)

  def gone(path, proto):
    del proto
    os.remove(path + '.index')

  def widened(path, proto):
    del path
    _variable(proto).shape.dim[0].size = 3

  def retyped(path, proto):
    del path
    _variable(proto).dtype = tf.int32.as_datatype_enum

  def unnamed(path, proto):
    del path
    for child in proto.nodes[0].children:
      child.local_name += '_'

  for damage in (right, cut, gone, widened, retyped, unnamed):
    saved = _save_variable(os.path.join(folder, damage.__name__))
    _rewrite(saved, damage)
    try:
      saved_model_check.check_variables(saved)
    except saved_model_check.FailedCheck:
      assert damage is not right
    else:
      assert damage is right, f'Variables {damage.__name__} passed.'


def _save_variable(path):
  module = tf.Module()
  module.v = tf.Variable([1.0, 2.0], name='v')
  tf.saved_model.save(module, path)
  return path


def _rewrite(saved, damage):
  path = os.path.join(saved, 'saved_model.pb')
  with open(path, 'rb') as f:
    proto = saved_model_pb2.SavedModel.FromString(f.read())
  damage(os.path.join(saved, 'variables', 'variables'),
         proto.meta_graphs[0].object_graph_def)
  with open(path, 'wb') as f:
    f.write(proto.SerializeToString())


def _variable(objects):
  variable, = (node.variable for node in objects.nodes
               if node.WhichOneof('kind') == 'variable')
  return variable


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
