"""Tells URLs from local paths."""

from __future__ import annotations

import os
import re

from exporter.errors import UserError


def is_url(path: str) -> bool:
  """Whether a path is a URL; a single letter before `://` is a Windows drive."""
  return re.match(r'[A-Za-z][A-Za-z0-9+.-]+://', path) is not None


def check_is_local(path: str | os.PathLike[str], what: str) -> None:
  """Refuses a URL where only a local path can be read.

  Args:
    path: what the user gave.
    what: what it stands for, as the sentence names it.

  Raises:
    UserError: it is a URL.
  """
  if is_url(os.fspath(path)):
    raise UserError(f'The {what} {path} is a URL; what is read must be local: copy it'
                    ' to this machine first. Only output folders may be URLs.')
