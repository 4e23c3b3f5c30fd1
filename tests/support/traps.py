"""Packages that fail when they are imported, and look installed all the same."""

from __future__ import annotations

import importlib.metadata
import pathlib
from collections.abc import Iterable

# The packages whose versions the commands look up before they import them.
_DISTRIBUTIONS = {'tensorflow': ('tensorflow', 'tensorflow-cpu', 'tf-nightly'),
                  'tf_keras': ('tf-keras',), 'google.protobuf': ('protobuf',)}


def set_traps(folder: pathlib.Path, packages: Iterable[str]) -> pathlib.Path:
  """Makes a folder for PYTHONPATH that hides these packages."""
  for package in packages:
    path = folder.joinpath(*package.split('.'))  # `google` has no module of its own.
    path.mkdir(parents=True)
    (path / '__init__.py').write_text(
        f'raise AssertionError("{package} was imported")\n')
    _write_metadata(folder, package)
  return folder


def _write_metadata(folder: pathlib.Path, package: str) -> None:
  """Of the version that is installed, as the finders of versions read it."""
  for name in _DISTRIBUTIONS.get(package, ()):
    try:
      version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
    metadata = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    metadata.mkdir()
    (metadata / 'METADATA').write_text(
        f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    (metadata / 'RECORD').write_text(
        f'{package.replace(".", "/")}/__init__.py,,\n')
    return
