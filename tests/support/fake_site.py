"""A `site-packages` of packages that are there and that nothing can be done with."""

from __future__ import annotations

import pathlib
import sys

# Of what the real site has, nothing must be found.
_STACK = ('google', 'keras', 'numpy', 'object_detection', 'official', 'tensorflow',
          'tensorflow_io', 'tf_keras')


class FakeSite:
  """Stands in for what is installed, in this process.

  Args:
    folder: where the packages go.
    monkeypatch: pytest's.
  """

  def __init__(self, folder: pathlib.Path, monkeypatch):
    self.folder = folder
    self._monkeypatch = monkeypatch
    real = [p for p in sys.path if 'site-packages' not in p]
    monkeypatch.setattr(sys, 'path', [str(folder), *real])
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    for package in _STACK:
      self.forget(package)

  def add(self, package: str, version: str | None = None,
          distribution: str | None = None, record: bool = True) -> pathlib.Path:
    """Installs a package; without a version it lies there as a checkout does."""
    folder = self.folder.joinpath(*package.split('.'))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / '__init__.py').write_text(
        'raise AssertionError(f"{__name__} was imported")\n')
    if version is not None:
      name = distribution or package
      info = self.folder / f'{name.replace("-", "_")}-{version}.dist-info'
      info.mkdir()
      (info / 'METADATA').write_text(f'Name: {name}\nVersion: {version}\n')
      if record:
        (info / 'RECORD').write_text(f'{package.replace(".", "/")}/__init__.py,,\n')
      else:
        (info / 'top_level.txt').write_text(f'{package}\n')
    return folder

  def add_api(self):
    """Puts an Object Detection API there."""
    folder = self.add('object_detection')
    (folder / 'builders').mkdir()
    (folder / 'protos').mkdir()
    (folder / 'protos' / 'pipeline_pb2.py').touch()

  def forget(self, package: str):
    """As if nothing had imported it yet."""
    for name in list(sys.modules):
      if name == package or name.startswith(package + '.'):
        self._monkeypatch.delitem(sys.modules, name)
