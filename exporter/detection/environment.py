"""Makes the installed `object_detection` importable under a current TensorFlow.

Five things stand between an installed Object Detection API and a current stack:

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
* Its training imports `tf.estimator`, which TensorFlow 2.16 and later lack and
  training under TF2 does not use: an empty module stands in for that, too.

A checkout of `models/research` with freshly compiled protos is left alone. What
cannot work is told in one sentence with the cure, before anything is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence

from exporter.detection import import_hooks
from exporter.detection import installed
from exporter.errors import UserError

_OLDEST_TENSORFLOW = (2, 8)
# From which version on a package does not work with TensorFlow below which.
_TOO_NEW = (
    ('google.protobuf', (4, 0), (2, 12), 'protobuf<3.21'),  # Messages of protoc 3.
    ('numpy', (2, 0), (2, 18), 'numpy<2'),  # Built against NumPy 1.
)
_LEGACY_KERAS = 'TF_USE_LEGACY_KERAS'
# What TensorFlow takes for a yes.
_YES = ('1', 'true', 'True')
# Where the distribution is not called as the package is.
_DISTRIBUTIONS = {
    'PIL': 'pillow', 'cv2': 'opencv-python-headless', 'official': 'tf-models-official',
    'tf_slim': 'tf-slim', 'yaml': 'PyYAML'}


class EnvironmentProblem(UserError):
  """The Python environment cannot run the Object Detection API; says the cure."""


def prepare() -> None:
  """Call before the first import of TensorFlow or `object_detection`.

  Safe to call more than once. Imports neither of the two.

  Raises:
    EnvironmentProblem: a package is missing or does not fit, or TensorFlow has
      already been imported with Keras 3.
  """
  version = check_tensorflow()
  _check_object_detection()
  _use_keras_2(version)
  import_hooks.install()


def check_tensorflow() -> tuple[int, int]:
  """Call before the first import of TensorFlow where that is all that is needed.

  Returns:
    Its (major, minor).

  Raises:
    EnvironmentProblem: it is missing, too old or cannot run with what it needs.
  """
  if 'tensorflow' not in sys.modules and installed.folder('tensorflow') is None:
    raise _missing('tensorflow')
  version = _tensorflow_version()
  if version < _OLDEST_TENSORFLOW:
    raise EnvironmentProblem(
        f'TensorFlow {installed.text(version)} is too old; the exporter needs'
        f' {installed.text(_OLDEST_TENSORFLOW)} or later.')
  for package, first, fits_from, cure in _TOO_NEW:
    found = installed.version(package)
    if version < fits_from and found is not None and found >= first:
      raise EnvironmentProblem(
          f'TensorFlow {installed.text(version)} cannot run with'
          f' {package.rpartition(".")[2]} {installed.text(found)}; install {cure!r}.')
  return version


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
    _ = importlib.import_module('tensorflow').keras.Model  # Loads Keras too.


@contextlib.contextmanager
def api_imports() -> Iterator[None]:
  """Import `object_detection` in here, after `prepare`.

  Raises:
    EnvironmentProblem: it imports what is not there.
  """
  try:
    yield
  except ImportError as e:
    package = (e.name or '').partition('.')[0]
    if package and installed.folder(package) is None:
      raise EnvironmentProblem(
          f'object_detection needs the package {package!r}, which is not installed'
          f' in {sys.prefix}; install {_DISTRIBUTIONS.get(package, package)!r}.') from e
    raise EnvironmentProblem(
        f'The object_detection in {installed.folder("object_detection")} cannot be'
        f' imported with what is installed in {sys.prefix}:'
        f' {" ".join(str(e).split())}.') from e


def _missing(package: str) -> EnvironmentProblem:
  return EnvironmentProblem(
      f'The package {package!r} is not installed in {sys.prefix} and not on'
      ' PYTHONPATH; install it there, or run with the Python that has it.')


def _check_object_detection() -> None:
  folder = installed.folder('object_detection')
  if folder is None:
    raise _missing('object_detection')
  if not os.path.isdir(os.path.join(folder, 'builders')):
    raise EnvironmentProblem(
        f'The package object_detection in {folder} is another one than the Object'
        ' Detection API: it has no builders; put models/research before it on'
        ' PYTHONPATH.')
  try:
    with open(os.path.join(folder, 'protos', 'pipeline_pb2.py'), encoding='utf-8') as f:
      compiled_for = _needed_protobuf(f.read())
  except FileNotFoundError:
    raise EnvironmentProblem(
        f'The protos in {folder} are not compiled; in {os.path.dirname(folder)} run'
        ' `protoc object_detection/protos/*.proto --python_out=.`.') from None
  found = installed.version('google.protobuf')
  if found is not None and found < compiled_for:
    raise EnvironmentProblem(
        f'The protos in {folder} were compiled for protobuf'
        f' {installed.text(compiled_for)} or later, and {installed.text(found)} is'
        ' installed; compile them again with a protoc of that version.')


def _needed_protobuf(generated: str) -> tuple[int, int]:
  """The oldest protobuf that runs a `_pb2` module, going by its text."""
  named = re.search(r'^# Protobuf Python Version: ([\d.]+)', generated, re.M)
  if named:
    return installed.major_minor(named.group(1))
  return (3, 20) if 'google.protobuf.internal import builder' in generated else (0, 0)


def _use_keras_2(version: tuple[int, int]) -> None:
  """Makes `tf.keras` Keras 2 of TensorFlow's minor version, or says why it cannot."""
  asked_for = os.environ.get(_LEGACY_KERAS)
  legacy = version >= (2, 16) or (version == (2, 15) and asked_for in _YES)
  package = 'tf_keras' if legacy else 'keras'
  found = installed.version(package)
  if installed.folder(package) is None:
    raise EnvironmentProblem(
        f'TensorFlow {installed.text(version)} needs the package {package} to run the'
        f" Object Detection API; install '{_keras_of(package, version)}'.")
  if found is not None and found != version:
    raise EnvironmentProblem(
        f'{package} {installed.text(found)} does not fit TensorFlow'
        f" {installed.text(version)}; install '{_keras_of(package, version)}'.")
  if version < (2, 16):
    return
  os.environ.setdefault(_LEGACY_KERAS, '1')
  tensorflow = sys.modules.get('tensorflow')
  if tensorflow is None:
    if os.environ[_LEGACY_KERAS] not in _YES:
      raise EnvironmentProblem(
          f'{_LEGACY_KERAS}={asked_for} in the environment asks for Keras 3, and'
          ' the Object Detection API needs Keras 2; set it to 1 or unset it.')
    return
  # Keras 2 as `tf.keras` has no __version__ of its own.
  keras_version = getattr(tensorflow.keras, '__version__', '2')
  if not keras_version.startswith('2'):
    raise EnvironmentProblem(
        f'TensorFlow was imported with Keras {keras_version}, and the Object'
        f' Detection API needs Keras 2; set {_LEGACY_KERAS}=1 in the'
        ' environment, or import exporter before tensorflow.')


def _keras_of(package: str, version: tuple[int, int]) -> str:
  return f'{package.replace("_", "-")}=={installed.text(version)}.*'


def _tensorflow_version() -> tuple[int, int]:
  """(major, minor); imports TensorFlow only where its metadata do not tell."""
  found = installed.version('tensorflow')
  if found is None:
    found = installed.major_minor(importlib.import_module('tensorflow').__version__)
  return found
