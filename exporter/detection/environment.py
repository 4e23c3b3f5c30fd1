"""Makes the installed `object_detection` importable under a current TensorFlow.

Four things stand between an installed Object Detection API and a current stack:

* TensorFlow 2.16 and later bring Keras 3, the API was written for Keras 2. The
  package `tf_keras` is Keras 2, and TensorFlow uses it as `tf.keras` when
  `TF_USE_LEGACY_KERAS=1` stands in the environment before `tf.keras` is loaded.
* The wheel on the package index carries `*_pb2.py` files from an old protoc,
  which protobuf 4 and later refuse. The file descriptors inside them are fine,
  so the messages are built from those bytes, with protobuf's fast parser.
* tf_slim, which decodes tf.Examples for the API, calls two functions by a place
  that TensorFlow 2.16 and later have moved them from; they are put back there.
* Forks of 2021 import two packages from where they were then, and the API
  imports tensorflow_io, which Python 3.13 has no wheel of and an export does not
  use. Where those are missing, aliases and an empty module stand in.

A checkout of `models/research` with freshly compiled protos is left alone.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Sequence

from exporter.detection import import_hooks
from exporter.errors import UserError

_OLDEST_TENSORFLOW = (2, 8)
# What TensorFlow takes for a yes.
_YES = ('1', 'true', 'True')


class EnvironmentProblem(UserError):
  """The Python environment cannot run the Object Detection API; says the cure."""


def prepare() -> None:
  """Call before the first import of TensorFlow or `object_detection`.

  Safe to call more than once. Imports neither of the two.

  Raises:
    EnvironmentProblem: a package is missing, or TensorFlow has already been
      imported with Keras 3.
  """
  for package in ('tensorflow', 'object_detection'):
    if importlib.util.find_spec(package) is None:
      raise EnvironmentProblem(
          f'The package {package!r} is not installed in {sys.prefix} and not on'
          ' PYTHONPATH; install it there, or run with the Python that has it.')
  version = _tensorflow_version()
  if version < _OLDEST_TENSORFLOW:
    raise EnvironmentProblem(
        f'TensorFlow {_text(version)} is too old; the exporter needs'
        f' {_text(_OLDEST_TENSORFLOW)} or later.')
  _check_protobuf(version)
  _use_keras_2(version)
  import_hooks.install()


def before_flags(arguments: Sequence[str]) -> None:
  """Call before absl parses flags, in a command that builds a model.

  Keras of TensorFlow up to 2.14 makes graph tensors of a model's inputs where it
  is imported while absl's `app.run` is under way, so it is imported here.

  Args:
    arguments: of the command line; asking for help imports nothing.
  """
  asks_for_help = any(a.lstrip('-').startswith(('help', '?')) for a in arguments)
  try:
    prepare()
  except EnvironmentProblem:
    return  # `main` meets it again, and says so.
  if _tensorflow_version() < (2, 15) and not asks_for_help:
    importlib.import_module('tensorflow').keras.Model  # Loads Keras too.


def _check_protobuf(version: tuple[int, int]) -> None:
  """TensorFlow up to 2.11 has messages from protoc 3, which protobuf 4 refuses."""
  protobuf = _distribution_version('protobuf')
  if version < (2, 12) and protobuf is not None and protobuf >= (4, 0):
    raise EnvironmentProblem(
        f'TensorFlow {_text(version)} cannot run with protobuf {_text(protobuf)};'
        " install 'protobuf<3.21'.")


def _use_keras_2(version: tuple[int, int]) -> None:
  if version < (2, 16):
    return
  if importlib.util.find_spec('tf_keras') is None:
    raise EnvironmentProblem(
        'TensorFlow 2.16 and later need the package tf_keras to run the Object'
        f" Detection API; install 'tf-keras=={_text(version)}.*'.")
  tf_keras = _distribution_version('tf_keras')
  if tf_keras is not None and tf_keras != version:
    raise EnvironmentProblem(
        f'tf_keras {_text(tf_keras)} does not fit TensorFlow {_text(version)};'
        f" install 'tf-keras=={_text(version)}.*'.")
  chosen = os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
  tensorflow = sys.modules.get('tensorflow')
  if tensorflow is None:
    if chosen not in _YES:
      raise EnvironmentProblem(
          f'TF_USE_LEGACY_KERAS={chosen} in the environment asks for Keras 3, and'
          ' the Object Detection API needs Keras 2; set it to 1 or unset it.')
    return
  # Keras 2 as `tf.keras` has no __version__ of its own.
  keras_version = getattr(tensorflow.keras, '__version__', '2')
  if not keras_version.startswith('2'):
    raise EnvironmentProblem(
        f'TensorFlow was imported with Keras {keras_version}, and the Object'
        ' Detection API needs Keras 2; set TF_USE_LEGACY_KERAS=1 in the'
        ' environment, or import exporter before tensorflow.')


def _tensorflow_version() -> tuple[int, int]:
  """(major, minor), without importing TensorFlow where its metadata are there."""
  for name in ('tensorflow', 'tensorflow-cpu', 'tf-nightly'):
    version = _distribution_version(name)
    if version is not None:
      return version
  # tensorflow-gpu, -rocm, -cpu-aws, intel-tensorflow and whatever else packs it.
  for distribution in importlib.metadata.distributions():
    if 'tensorflow' in (distribution.read_text('top_level.txt') or '').split():
      return _major_minor(distribution.version)
  return _major_minor(importlib.import_module('tensorflow').__version__)


def _distribution_version(name: str) -> tuple[int, int] | None:
  """(major, minor) of an installed distribution; None if it is not there."""
  try:
    return _major_minor(importlib.metadata.version(name))
  except importlib.metadata.PackageNotFoundError:
    return None


def _major_minor(version: str) -> tuple[int, int]:
  major, minor = version.split('.')[:2]
  return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
  return '.'.join(map(str, version))
