"""SavedModels that answer predict requests as TensorFlow Serving's servables do.

Each is loaded by the session loader, which is what TensorFlow Serving's own does,
and a request fetches only the outputs that it asks for. What a request can get
wrong has the status and nearly the words of TensorFlow Serving (predict_util.cc).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

import grpc
import numpy as np

from exporter.errors import UserError
from exporter.saved_model.files import find_saved_model, version_folders
from exporter.saved_model.signature import (
    DEFAULT_SIGNATURE, TensorSpec, read_signatures, shape_text)
from exporter.serving.rest_json import dtype_name

# Of a SavedModel that lies in no numbered folder.
_ONLY_VERSION = 1

_OP_STATUS = {status.value[0]: status for status in grpc.StatusCode}


class ServingError(Exception):
  """A request that is answered with an error.

  Attributes:
    status: the gRPC status.
    message: what the client is told.
  """

  def __init__(self, status: grpc.StatusCode, message: str):
    super().__init__(message)
    self.status = status
    self.message = message


def find_version(path: str) -> tuple[int, str]:
  """The version that is served of a model, and the SavedModel's folder.

  Args:
    path: a SavedModel, an export with `saved_model/` in it, both version 1, or a
      folder of versions, of which the highest that has a `saved_model.pb` counts.

  Raises:
    UserError: it is none of these.
  """
  versions = version_folders(path)
  if versions:
    return int(versions[-1]), os.path.join(path, versions[-1])
  return _ONLY_VERSION, find_saved_model(path)


class ServedModel:
  """A loaded SavedModel. May be called from several threads at once.

  Args:
    name: by which clients ask for it.
    path: see `find_version`.

  Attributes:
    signatures: what is asked and answered, by name.
    signature_defs: the same as TensorFlow's messages.

  Raises:
    UserError: there is no SavedModel, or it cannot be loaded.
  """

  def __init__(self, name: str, path: str):
    self.name = name
    self.version, folder = find_version(path)
    self.signatures = read_signatures(folder)
    import tensorflow as tf
    self._op_error = tf.errors.OpError
    self._session = tf.compat.v1.Session(graph=tf.Graph())
    try:
      with self._session.graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(self._session, ['serve'], folder)
    except (tf.errors.OpError, OSError, RuntimeError) as e:
      raise UserError(f'{folder} cannot be loaded: {e}') from e
    self.signature_defs = dict(meta_graph.signature_def)

  def predict(self, signature: str, inputs: Mapping[str, np.ndarray],
              output_filter: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Runs a signature; returns arrays by output key.

    Args:
      signature: its name; `''` for the default one.
      inputs: by input key; strings as object arrays of `bytes`.
      output_filter: keys of the outputs to return; none for all.

    Raises:
      ServingError: the request does not fit the signature, or the model fails.
    """
    signature = signature or DEFAULT_SIGNATURE
    if signature not in self.signatures:
      raise ServingError(grpc.StatusCode.FAILED_PRECONDITION,
                         f'Serving signature key "{signature}" not found.')
    specs = self.signatures[signature]
    _check_inputs(inputs, specs.inputs)
    _check_filter(output_filter, specs.outputs)
    names = self.signature_defs[signature]
    fetches = {key: names.outputs[key].name for key in output_filter or specs.outputs}
    feed = {names.inputs[key].name: array for key, array in inputs.items()}
    try:
      outputs = self._session.run(fetches, feed)
    except self._op_error as e:
      raise ServingError(_OP_STATUS[e.error_code], e.message) from e
    return {key: np.asarray(value) for key, value in outputs.items()}


class ServedModels:
  """The models of a server, by name."""

  def __init__(self, models: Sequence[ServedModel]):
    self._models = {model.name: model for model in models}

  def find(self, name: str, version: int | None = None,
           label: str | None = None) -> ServedModel:
    """The model that a request means.

    Args:
      name: of the model.
      version: its version; None for the one that there is.
      label: a version's label, of which there are none here.

    Raises:
      ServingError: it is not served.
    """
    if label:
      raise ServingError(grpc.StatusCode.INVALID_ARGUMENT,
                         f'Unrecognized servable version label: {label}')
    model = self._models.get(name)
    if model is None or version not in (None, model.version):
      asked = f'Latest({name})' if version is None else f'Specific({name}, {version})'
      raise ServingError(grpc.StatusCode.NOT_FOUND,
                         f'Servable not found for request: {asked}')
    return model


def part_seconds(start: float, was_read: float,
                 has_run: float) -> tuple[tuple[str, str], ...]:
  """Tells clients what took how long, as headers or as metadata.

  Args:
    start: `time.monotonic()` when the request was there.
    was_read: when its tensors were.
    has_run: when the model had run, and the answer was yet to be written.
  """
  times = (start, was_read, has_run, time.monotonic())
  return tuple((f'{part}-seconds', f'{end - begin:.6f}') for part, begin, end
               in zip(('read', 'model', 'write'), times, times[1:]))


def _check_inputs(inputs: Mapping[str, np.ndarray],
                  specs: Mapping[str, TensorSpec]) -> None:
  if set(inputs) != set(specs):
    extra, missing = set(inputs) - set(specs), set(specs) - set(inputs)
    raise ServingError(
        grpc.StatusCode.INVALID_ARGUMENT,
        f'input size does not match signature: {len(inputs)}!={len(specs)}.'
        f' Sent extra: {_braced(extra)}. Missing but required: {_braced(missing)}.')
  for key, array in inputs.items():
    spec = specs[key]
    # A session would quietly cast; TensorFlow Serving's does not.
    if dtype_name(array) != spec.dtype:
      raise ServingError(
          grpc.StatusCode.INVALID_ARGUMENT,
          f'Expects {key} to be {spec.dtype} but {dtype_name(array)} is provided')
    if not _fits(array.shape, spec.shape):
      raise ServingError(
          grpc.StatusCode.INVALID_ARGUMENT,
          f'Expects {key} to have the shape {shape_text(spec.shape)} but'
          f' {shape_text(array.shape)} is provided')


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...] | None) -> bool:
  return expected is None or len(shape) == len(expected) and all(
      size in (None, found) for size, found in zip(expected, shape))


def _check_filter(keys: Sequence[str], specs: Mapping[str, TensorSpec]) -> None:
  for i, key in enumerate(keys):
    if key not in specs:
      raise ServingError(
          grpc.StatusCode.INVALID_ARGUMENT,
          f'output tensor alias not found in signature: {key} Outputs expected to'
          f' be in the set {_braced(specs)}.')
    if key in keys[:i]:
      raise ServingError(grpc.StatusCode.INVALID_ARGUMENT,
                         f'duplicate output tensor alias: {key}')


def _braced(names) -> str:
  return '{' + ','.join(sorted(names)) + '}'
