"""Imports the package `exporter` from where this file lies, whatever has its name.

The Object Detection API has an `exporter.py`, and Python finds that one first where
`models/research/object_detection` stands on `PYTHONPATH`, or is the working
directory and `PYTHONPATH` has an empty entry. What may start without the package,
the console scripts and the modules that run by their path, runs this file first:

    runpy.run_path('.../exporter/by_path.py')
"""

import importlib
import os
import sys

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def import_package() -> None:
  """Imports this folder as `exporter`; what `sys.path` finds stays the same.

  Raises:
    ImportError: a module of that name, and no package, has been imported.
  """
  path = list(sys.path)
  sys.path.insert(0, os.path.dirname(_PACKAGE))
  try:
    package = importlib.import_module('exporter')
  finally:
    sys.path[:] = path
  if not hasattr(package, '__path__'):
    raise ImportError(
        f'{package.__file__} has been imported as `exporter`, which hides the'
        f' package {_PACKAGE}; import the package first.')
  script = getattr(sys.modules['__main__'], '__file__', None) or ''
  if sys.path and _is_package(sys.path[0]) and _is_package(os.path.dirname(script)):
    # Run by its path. Other packages must not find our `errors` or `graph`.
    del sys.path[0]


def _is_package(folder: str) -> bool:
  return os.path.realpath(folder) == os.path.realpath(_PACKAGE)


import_package()
