"""Carries the files of others into the folder that is to take a folder's place.

What an export did not make it never removes: it owns the files that it writes,
by name, and no folder as a whole.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shutil
from collections.abc import Collection

from exporter.errors import UserError


def carry(source: str, target: str, owned: Collection[str], below: str = '') -> None:
  """Gives `target` the files of `source` that are not owned, and lacks.

  Args:
    source: the folder that is there.
    target: the folder that takes its place; what it has stays.
    owned: shell globs of paths from `source`, with slashes; `*` matches those too.
    below: the part of the folder to look at, as such a path.

  Raises:
    UserError: a file stands where `target` has a folder, or the other way round.
  """
  for entry in os.scandir(os.path.join(source, below)):
    path = f'{below}/{entry.name}' if below else entry.name
    new = os.path.join(target, path)
    if _is_folder(entry.path):
      _carry_folder(source, target, owned, path)
    elif is_owned(path, owned):
      continue
    elif _is_folder(new):
      raise UserError(
          f'{os.path.join(source, path)} is in the way: a folder of that name must'
          ' be written; move it, or give another output directory.')
    elif not os.path.lexists(new):
      os.makedirs(os.path.dirname(new), exist_ok=True)
      link(entry.path, new)


def _carry_folder(source: str, target: str, owned: Collection[str], path: str) -> None:
  old, new = os.path.join(source, path), os.path.join(target, path)
  if os.path.lexists(new) and not _is_folder(new):
    raise UserError(
        f'The folder {old} is in the way: a file of that name must be written; move'
        ' it, or give another output directory.')
  was_there = os.path.lexists(new)
  if not os.listdir(old):  # An empty folder is somebody's as well.
    os.makedirs(new, exist_ok=True)
  carry(source, target, owned, path)
  if not was_there and os.path.isdir(new):
    with contextlib.suppress(OSError):
      shutil.copystat(old, new)


def remove_owned(folder: str, owned: Collection[str], below: str) -> None:
  """Removes the owned files at or below a path, and folders that leaves empty."""
  path = os.path.join(folder, below)
  if not _is_folder(path):
    if is_owned(below, owned):
      os.unlink(path)
    return
  entries = os.listdir(path)
  for name in entries:
    remove_owned(folder, owned, f'{below}/{name}')
  if entries and not os.listdir(path):
    os.rmdir(path)


def copy_folder(source: str, target: str) -> None:
  """Makes `target` with the files of `source`, linked where that is possible."""
  os.makedirs(target, exist_ok=True)
  carry(source, target, owned=())


def link(source: str, target: str) -> None:
  """Makes `target` the same file as `source`, or else a copy of it."""
  if os.path.islink(source):
    os.symlink(os.readlink(source), target)
    return
  try:
    os.link(source, target)
  except OSError:  # A file system without hard links.
    shutil.copyfile(source, target)
    # Nor has every one of them modes and times.
    with contextlib.suppress(OSError):
      shutil.copystat(source, target)


def is_owned(path: str, owned: Collection[str]) -> bool:
  """Whether one of the shell globs matches a path, as `carry` takes both."""
  return any(fnmatch.fnmatchcase(path, pattern) for pattern in owned)


def owned_below(owned: Collection[str], folder: str) -> list[str]:
  """The globs of what is owned in a folder, from there.

  >>> owned_below(['config', 'model/*.index'], 'model')
  ['*.index']
  """
  return [pattern[len(folder) + 1:] for pattern in owned
          if pattern.startswith(f'{folder}/')]


def _is_folder(path: str) -> bool:
  return os.path.isdir(path) and not os.path.islink(path)
