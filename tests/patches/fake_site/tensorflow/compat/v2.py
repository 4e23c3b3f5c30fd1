"""See `tensorflow/__init__.py`. Tensors are plain numbers, a trace is a call."""

import json
import os
import types

float32 = 'float32'
uint8 = 'uint8'


class Module:
  pass


def TensorSpec(shape, dtype):
  return shape, dtype


def constant(value, dtype=None):
  return value


def cast(value, dtype):
  assert dtype == float32
  return float(value)


def enable_v2_behavior():
  pass


class _Function:

  def __init__(self, call, signature):
    self._call = call
    self._signature = signature

  def __get__(self, instance, owner):
    return _Function(self._call.__get__(instance, owner), self._signature)

  def get_concrete_function(self):
    try:
      return self._call(*[0] * len(self._signature))
    except Exception as e:
      # As autograph does: an error of its own, the cause only as the context.
      raise RuntimeError(f'in user code: {e}')


def function(call=None, input_signature=()):
  if call is None:
    return lambda call: _Function(call, input_signature)
  return _Function(call, input_signature)


def _save(obj, export_dir, signatures=None):
  """Writes the outputs as JSON."""
  if signatures is None:
    signatures = obj.__call__.get_concrete_function()
  os.makedirs(export_dir)
  with open(os.path.join(export_dir, 'outputs.json'), 'w', encoding='utf-8') as f:
    json.dump(signatures, f)


saved_model = types.SimpleNamespace(save=_save)


def _do_not_convert(function):
  function.not_converted = True
  return function


autograph = types.SimpleNamespace(
    experimental=types.SimpleNamespace(do_not_convert=_do_not_convert))
