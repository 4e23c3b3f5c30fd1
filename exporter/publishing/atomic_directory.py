"""Writes a folder so that others see it complete or not at all.

The new folder grows beside its target and takes the target's place in one
rename. A run that is killed leaves the target as it was; what it had written is
cleared away by the next run for the same target.

A target that must stay where it is, being a mount point (a container's volume),
the working directory, or in a folder that is closed to us, is filled from a
folder inside it: its entries are exchanged one by one, each in one step.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator

from exporter.publishing import remote_directory
from exporter.errors import UserError

try:
  import fcntl
except ImportError:  # Windows, where what killed runs leave is not cleared away.
  fcntl = None


def check_writable(target: str, folders: Collection[str] = ()) -> None:
  """Tells early what would keep `new_directory` from succeeding.

  Args:
    target: the folder to be written; need not exist.
    folders: names that will be folders in it.

  Raises:
    UserError: `target` is a file, one of `folders` is a file in it, or the
      folder above cannot be written to.
  """
  if remote_directory.is_remote(target):
    return
  if os.path.lexists(target) and not os.path.isdir(target):
    raise UserError(f'The output directory {target} is a file.')
  for name in folders:
    if os.path.isfile(os.path.join(target, name)):
      raise UserError(
          f'The output directory {target} holds a file {name!r} where the export'
          ' needs a folder of that name; is it the training directory? Give'
          ' another output directory.')
  above = _folder_to_write(os.path.realpath(target))
  while not os.path.lexists(above):
    above = os.path.dirname(above)
  if not os.path.isdir(above):
    raise UserError(
        f'The output directory {target} cannot be made: {above} is a file.')
  if not os.access(above, os.W_OK | os.X_OK):
    raise UserError(
        f'The output directory {target} cannot be written: no permission to'
        f' write to {above}.')


@contextlib.contextmanager
def new_directory(target: str, owned: Collection[str] = ()) -> Iterator[str]:
  """Gives a folder to fill, which becomes `target` when the block ends well.

  Args:
    target: a folder that may exist already.
    owned: the names in `target` that the new folder replaces, present or not in
      it. Whatever else an existing target holds stays in it.

  Yields:
    Path of an empty folder, on the same file system unless `target` is remote.

  Raises:
    UserError: see `check_writable`, or the disk is full.
  """
  if remote_directory.is_remote(target):
    with tempfile.TemporaryDirectory() as staging:
      yield staging
      remote_directory.upload(staging, target)
    return
  check_writable(target)
  target = os.path.realpath(target)  # What a link names is to be filled.
  above, name = _folder_to_write(target), os.path.basename(target)
  try:
    os.makedirs(above, exist_ok=True)
    _clear_abandoned(above, name)
    staging = tempfile.mkdtemp(prefix=f'.{name}.incomplete-', dir=above)
  except OSError as e:
    raise UserError(
        f'The output directory {target} cannot be written: {e.strerror}.') from e
  lock = _lock(staging)
  try:
    os.chmod(staging, _mode_of_new_folder(target))
    yield staging
    if above == target:
      _put_entries_in_place(staging, target, owned)
    else:
      _put_in_place(staging, target, owned)
  except OSError as e:
    if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
      raise
    raise UserError(
        f'The output directory {target} cannot be written: {e.strerror}.') from e
  finally:
    _unlock(lock)
    shutil.rmtree(staging, ignore_errors=True)


def _folder_to_write(target: str) -> str:
  """Where the new folder grows: above `target`, or in it if that must stay."""
  above = os.path.dirname(target)
  must_stay = os.path.isdir(target) and (
      not os.access(above, os.W_OK | os.X_OK) or _is_mount_point(target)
      or target == os.getcwd())
  return target if must_stay else above


def _is_mount_point(path: str) -> bool:
  if os.path.ismount(path):
    return True
  try:
    # Knows also what is bound from the same file system; blanks are octal in it.
    with open('/proc/self/mountinfo', 'rb') as f:
      mounted = [line.split(b' ')[4].decode('unicode_escape') for line in f]
      return os.fsencode(path).decode('latin-1') in mounted
  except OSError:
    return False


def _mode_of_new_folder(target: str) -> int:
  if os.path.isdir(target):
    return os.stat(target).st_mode & 0o7777
  umask = os.umask(0)
  os.umask(umask)
  return 0o777 & ~umask


def _clear_abandoned(above: str, name: str) -> None:
  """Removes what killed runs left: folders whose lock nobody holds."""
  for entry in os.listdir(above):
    if not entry.startswith(f'.{name}.incomplete-'):
      continue
    path = os.path.join(above, entry)
    with contextlib.suppress(OSError):
      lock = _lock(path)
      if lock is not None:
        shutil.rmtree(path, ignore_errors=True)
      _unlock(lock)


def _lock(folder: str) -> int | None:
  """Takes the lock of a folder, which the kernel lets go when its holder dies.

  Raises:
    OSError: another process holds it.
  """
  if fcntl is None:
    return None
  lock = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError:
    os.close(lock)
    raise
  return lock


def _unlock(lock: int | None) -> None:
  if lock is not None:
    os.close(lock)


def _put_in_place(staging: str, target: str, owned: Collection[str]) -> None:
  if not os.path.isdir(target):
    os.rename(staging, target)
    return
  _link_others(target, staging, owned)
  _exchange(staging, target)
  # What others have put into the old folder since then.
  _link_others(staging, target, owned)


def _put_entries_in_place(staging: str, target: str,
                          owned: Collection[str]) -> None:
  for entry in {*owned, *os.listdir(staging)}:
    new, old = os.path.join(staging, entry), os.path.join(target, entry)
    if os.path.lexists(new) and os.path.lexists(old):
      _exchange(new, old)
    elif os.path.lexists(new):
      os.rename(new, old)
    elif os.path.lexists(old):
      os.rename(old, new)


def _link_others(source: str, target: str, owned: Collection[str]) -> None:
  """Gives `target` the entries of `source` that are not the export's own."""
  for entry in os.scandir(source):
    path = os.path.join(target, entry.name)
    if entry.name in owned or os.path.lexists(path):
      continue
    if entry.is_dir(follow_symlinks=False):
      shutil.copytree(entry.path, path, symlinks=True, copy_function=link)
    else:
      link(entry.path, path)


def link(source: str, target: str) -> None:
  """Makes `target` the same file as `source`, or else a copy of it."""
  try:
    os.link(source, target, follow_symlinks=False)
  except OSError:  # A file system without hard links.
    shutil.copy2(source, target, follow_symlinks=False)


_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def _exchange(one: str, other: str) -> None:
  """Swaps two folders, in one step where the kernel and file system can."""
  renameat2 = getattr(ctypes.CDLL(None, use_errno=True), 'renameat2', None)
  if renameat2 is not None and renameat2(
      _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other),
      _RENAME_EXCHANGE) == 0:
    return
  aside = tempfile.mkdtemp(prefix=os.path.basename(one), dir=os.path.dirname(one))
  os.rename(other, aside)
  os.rename(one, other)
  os.rename(aside, one)
