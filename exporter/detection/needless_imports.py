"""Leaves out what TensorFlow and the Object Detection API import and a command never uses.

TensorFlow imports Keras in case somebody wants it, Keras pandas, and the API matplotlib:
a third of the time until a command begins its work. Two ways lead past that:

* What is imported in a `try` block, to go on without it, is refused, but only to the
  modules that do so. Everybody else finds it: `tf.keras` loads Keras when it is asked
  for, and a fork of the API may import pandas.
* What the API imports for few models runs when it is first used.

For the process of a command alone. A program that imports this package may want to give
Keras a DataFrame, which it takes only if it has found pandas.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys

# The modules by which TensorFlow loads Keras while it is imported, from 2.15 on and
# before.
_LOADERS_OF_KERAS = ('tensorflow', 'tensorflow.python.util.lazy_loader')
_KERAS = ('keras', 'tf_keras')

# By importing module: the packages that it can do without, and that it never uses here.
_OPTIONAL = {
    # What is left in TensorFlow of Keras 2.
    'tensorflow.python.keras.callbacks': ('requests',),
    'tensorflow.python.keras.engine.training': ('h5py',),
    'tensorflow.python.keras.engine.training_arrays_v1': ('scipy',),
    'tensorflow.python.keras.engine.training_v1': ('scipy',),
    'tensorflow.python.keras.saving.hdf5_format': ('h5py',),
    'tensorflow.python.keras.saving.save': ('h5py',),
    # Keras 2 itself, in its versions.
    'keras.engine.data_adapter': ('pandas',),
    'keras.src.engine.data_adapter': ('pandas',),
    'tf_keras.src.engine.data_adapter': ('pandas',),
}

_PACKAGES = frozenset(_KERAS).union(*_OPTIONAL.values())

# Takes Keras 3 where that is installed, beside the Keras 2 that the API runs on; told
# that there is none, it takes the same from `tf.keras`, see `import_hooks`.
_RESNET = 'object_detection.models.keras_models.resnet_v1'
_LEGACY_KERAS = 'tf_keras'

# Modules of the API for few models, or for training, and what takes long in them.
_SELDOM_USED = frozenset({
    'object_detection.core.densepose_ops',  # scipy.io
    'object_detection.data_decoders.tf_example_decoder',  # tf_slim
    'object_detection.matchers.hungarian_matcher',  # scipy.optimize
    'object_detection.meta_architectures.deepmac_meta_arch',  # tensorflow_io
    'object_detection.utils.visualization_utils',  # matplotlib
})


def leave_out(keras: bool, loads_models: bool = False) -> None:
  """Call in a command's own process, before TensorFlow is imported.

  Args:
    keras: whether Keras is among what TensorFlow leaves out until it is asked for.
    loads_models: whether SavedModels are loaded. TensorFlow up to 2.14 then keeps
      Keras, without which it may not know the optimizers in them.
  """
  by = _LOADERS_OF_KERAS[:1] if loads_models else _LOADERS_OF_KERAS
  sys.meta_path.insert(0, _Finder(by if keras else ()))


class _Finder(importlib.abc.MetaPathFinder):
  """Finds what is to be refused or to be put off; the rest is left to others.

  Args:
    without_keras: modules that go on without Keras while TensorFlow is imported.
  """

  def __init__(self, without_keras: tuple[str, ...]):
    self._without_keras = without_keras

  def find_spec(self, fullname, path=None, target=None):
    if fullname in _SELDOM_USED:
      return _with_loader(fullname, path, importlib.util.LazyLoader)
    if fullname in _PACKAGES and self._is_refused(fullname, _importer()):
      # It is found all the same: TensorFlow asks where Keras lies.
      return _with_loader(fullname, path, lambda loader: _RefusingLoader())
    return None

  def _is_refused(self, package: str, importer: str | None) -> bool:
    if package in _KERAS and importer in _LOADERS_OF_KERAS:
      return importer in self._without_keras and _is_being_imported('tensorflow')
    if importer == _RESNET:
      return _LEGACY_KERAS in sys.modules
    return package in _OPTIONAL.get(importer, ())


def _is_being_imported(name: str) -> bool:
  spec = getattr(sys.modules.get(name), '__spec__', None)
  return getattr(spec, '_initializing', False)


class _RefusingLoader(importlib.abc.Loader):
  """Fails as if there were no such package."""

  def create_module(self, spec):
    raise ModuleNotFoundError(f'{spec.name} is not needed here.', name=spec.name)

  def exec_module(self, module):
    raise AssertionError('There is no module to run.')


def _with_loader(fullname, path, wrap):
  spec = importlib.machinery.PathFinder.find_spec(fullname, path)
  if spec is not None and spec.loader is not None:
    spec.loader = wrap(spec.loader)
  return spec


def _importer() -> str | None:
  """The module whose code imports something right now."""
  frame = sys._getframe()  # pylint: disable=protected-access
  while frame is not None:
    name = frame.f_globals.get('__name__', '')
    if name != __name__ and name.partition('.')[0] not in ('importlib', '_frozen_importlib'):
      return name
    frame = frame.f_back
  return None
