"""Paths by which TensorFlow reads what lies in folders such as `run [v2]`.

Its readers of variables take `[`, `*` and the like in a path for a pattern. What lies
behind one is given a link in a folder of a plain name, until the block ends.
"""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator

from exporter.paths.urls import is_url


@contextlib.contextmanager
def of_folder(path: str) -> Iterator[str]:
  """A path of the folder `path` that holds no pattern."""
  if _is_plain(path):
    yield path
    return
  with tempfile.TemporaryDirectory() as folder:
    link = os.path.join(folder, 'linked')
    os.symlink(os.path.abspath(path), link)
    yield link


@contextlib.contextmanager
def of_checkpoint(prefix: str) -> Iterator[str]:
  """A path prefix of the checkpoint `prefix` that holds no pattern."""
  if _is_plain(prefix):
    yield prefix
    return
  with tempfile.TemporaryDirectory() as folder:
    for path in glob.glob(f'{glob.escape(prefix)}.*'):
      os.symlink(os.path.abspath(path),
                 os.path.join(folder, 'checkpoint' + path[len(prefix):]))
    yield os.path.join(folder, 'checkpoint')


def _is_plain(path: str) -> bool:
  # A URL is no local path, and a backslash separates folders on Windows alone.
  return is_url(path) or (
      glob.escape(path) == path and (os.sep == '\\' or '\\' not in path))
