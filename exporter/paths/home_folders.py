"""Refuses `~` where a folder of that very name would be made."""

from __future__ import annotations

import os

from exporter.errors import UserError


def check_is_expanded(path: str, what: str) -> None:
  """Tells that nobody has put the home folder in place of `~`.

  Shells do so at the beginning of a word, and so not in `--output_directory=~/exported`.

  Args:
    path: what the user gave.
    what: what it stands for, as the sentence names it.

  Raises:
    UserError: it begins with `~`, or `~NAME` of somebody with a home.
  """
  expanded = os.path.expanduser(path)
  if expanded != path:
    raise UserError(
        f'The {what} {path} begins with the sign of a home folder, for which no shell has'
        f' put that folder; give {expanded}, or ./{path} for a folder of that name.')
