"""Paths by which TensorFlow reads what lies in folders such as `run [v2]`.

Its readers of variables take `[`, `*` and the like in a path for a pattern. All of it
takes `link/..` for the folder with the link, where the system means the one above what
is linked, and no name that is not UTF-8. What lies behind such a path is given a link
in a folder of a plain name, until the block ends.
"""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator

from exporter.errors import UserError
from exporter.paths.urls import is_url


@contextlib.contextmanager
def of_folder(path: str) -> Iterator[str]:
  """A path of the folder `path` that means the same to TensorFlow."""
  if _is_plain(path):
    yield path
    return
  with tempfile.TemporaryDirectory() as folder:
    link = os.path.join(folder, 'linked')
    os.symlink(os.path.realpath(path), link)
    yield link


@contextlib.contextmanager
def of_checkpoint(prefix: str) -> Iterator[str]:
  """A path prefix of the checkpoint `prefix` that means the same to TensorFlow."""
  if _is_plain(prefix):
    yield prefix
    return
  with tempfile.TemporaryDirectory() as folder:
    for path in glob.glob(f'{glob.escape(prefix)}.*'):
      os.symlink(os.path.realpath(path),
                 os.path.join(folder, 'checkpoint' + path[len(prefix):]))
    yield os.path.join(folder, 'checkpoint')


def without_parents(path: str) -> str:
  """The path without `..` of a local folder or file; any other as it is."""
  return os.path.realpath(path) if _has_parents(path) and not is_url(path) else path


def check_is_utf8(path: str, what: str) -> None:
  """Tells of a name that TensorFlow cannot be told, such as one of an old archive.

  Args:
    path: what the user gave.
    what: it stands for, as the sentence names it.

  Raises:
    UserError: it is not UTF-8 text.
  """
  if not _is_utf8(path):
    raise UserError(f'The {what} {os.fsencode(path)!r} has a name that is not UTF-8, and'
                    ' TensorFlow takes no other; rename it, or give a link to it.')


def _is_plain(path: str) -> bool:
  if is_url(path):
    return True
  # A backslash separates folders on Windows alone.
  return (glob.escape(path) == path and not _has_parents(path) and _is_utf8(path)
          and (os.sep == '\\' or '\\' not in path))


def _has_parents(path: str) -> bool:
  return os.pardir in path.split(os.sep)


def _is_utf8(path: str) -> bool:
  try:
    path.encode()
  except UnicodeEncodeError:
    return False
  return True
