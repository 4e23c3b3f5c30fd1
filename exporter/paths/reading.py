"""Reads the files that users name: one sentence for whatever keeps that from working."""

from __future__ import annotations

import os

from exporter.errors import UserError
from exporter.paths.urls import check_is_local


def read_bytes(path: str | os.PathLike, what: str) -> bytes:
  """What is in a file.

  Args:
    path: what the user gave.
    what: what it stands for, as the sentence names it.

  Raises:
    UserError: it is a URL, or cannot be read.
  """
  check_is_local(path, what)
  try:
    with open(path, 'rb') as f:
      return f.read()
  except OSError as e:
    raise UserError(f'The {what} {path} cannot be read: {e.strerror or e}.') from e
