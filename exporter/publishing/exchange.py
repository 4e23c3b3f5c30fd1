"""Swaps two names of a folder, in one step where kernel and file system can.

Where they cannot, three renames do it. A run that is killed between them leaves
the old entry under a name of its own beside its place, and `recover` puts it back.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import tempfile

from exporter.publishing.names_beside import beside

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_RENAME_SWAP = 2
_ASIDE = 'replaced'


def exchange(new: str, old: str) -> None:
  """Makes each of two existing entries the other.

  Raises:
    OSError: neither way works; both are where they were.
  """
  if _exchange_in_one_step(new, old):
    return
  aside = _free_name(old)
  os.rename(old, aside)
  try:
    os.rename(new, old)
  except OSError:
    os.rename(aside, old)
    raise
  os.rename(aside, new)


def recover(folder: str, name: str) -> None:
  """Ends the three renames of runs that were killed between them.

  Args:
    folder: where the entry is.
    name: of the entry. What stood in its place is put back where it is missing,
      and removed where the new one has arrived.
  """
  ours = re.compile(re.escape(beside(name, _ASIDE)) + '[a-z0-9_]{8}')
  target = os.path.join(folder, name)
  for entry in os.listdir(folder):
    if not ours.fullmatch(entry):
      continue
    aside = os.path.join(folder, entry)
    if not os.path.lexists(target):
      os.rename(aside, target)
    elif os.path.isdir(aside) and not os.path.islink(aside):
      shutil.rmtree(aside, ignore_errors=True)
    else:
      os.unlink(aside)


def _exchange_in_one_step(one: str, other: str) -> bool:
  try:
    library = ctypes.CDLL(None, use_errno=True)
  except (OSError, TypeError):  # Windows has no library without a name.
    return False
  paths = os.fsencode(one), os.fsencode(other)
  if hasattr(library, 'renameat2'):
    return bool(library.renameat2(
        _AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)
  if hasattr(library, 'renamex_np'):  # macOS.
    return bool(library.renamex_np(*paths, _RENAME_SWAP) == 0)
  return False


def _free_name(path: str) -> str:
  """A name beside `path` that nothing has: Windows renames onto no folder."""
  folder, name = os.path.split(path)
  made = tempfile.mkdtemp(prefix=beside(name, _ASIDE), dir=folder)
  os.rmdir(made)
  return made
