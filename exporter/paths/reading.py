"""Reads the files that users name: one sentence for whatever keeps that from working."""

from __future__ import annotations

import os

from exporter.errors import UserError
from exporter.paths.file_systems import errors_told, opened
from exporter.paths.urls import is_url


def read_bytes(path: str | os.PathLike[str], what: str,
               error: type[UserError] = UserError) -> bytes:
  """What is in a file.

  Args:
    path: what the user gave, which may be a URL.
    what: what it stands for, as the sentence names it.
    error: the class that is raised.

  Raises:
    UserError: it cannot be read.
  """
  path = os.fspath(path)
  if not path.strip():
    raise error(f'The {what} {path!r} cannot be read: that names no file.')
  if is_url(path):
    with errors_told(f'{what} {path} cannot be read', error):
      file_system, place = opened(path, what, error)
      return bytes(file_system.cat_file(place))
  try:
    with open(path, 'rb') as f:
      return f.read()
  except OSError as e:
    raise error(f'The {what} {path} cannot be read: {e.strerror or e}.') from e


def read_text(path: str | os.PathLike[str], what: str,
              error: type[UserError] = UserError) -> str:
  """The text of a UTF-8 file, without a byte order mark, its lines ended by `\\n`.

  Raises:
    UserError: it cannot be read, or is no such text.
  """
  content = read_bytes(path, what, error)
  try:
    text = content.decode('utf-8-sig')
  except UnicodeDecodeError as e:
    raise error(f'The {what} {os.fspath(path)} cannot be read: it is not UTF-8 text'
                f' ({e.reason} at byte {e.start}).') from e
  return text.replace('\r\n', '\n').replace('\r', '\n')
