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
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator

from exporter.errors import UserError
from exporter.paths.home_folders import check_is_expanded
from exporter.paths.plain_paths import check_is_utf8
from exporter.paths.urls import is_url
from exporter.publishing import exchange
from exporter.publishing import others_files
from exporter.publishing import remote_directory
from exporter.publishing.names_beside import beside

try:
  import fcntl
except ImportError:  # Windows, where what killed runs leave is not cleared away.
  fcntl = None  # type: ignore[assignment]

_INCOMPLETE = 'incomplete'


def check_writable(target: str, folders: Collection[str] = ()) -> None:
  """Tells early what would keep `new_directory` from succeeding.

  Args:
    target: the folder to be written; need not exist.
    folders: names that will be folders in it.

  Raises:
    UserError: `target` begins with `~` or is a file, one of `folders` is a file in it, or the
      folder above cannot be written to.
  """
  if is_url(target):
    remote_directory.check_writable(target)
    return
  check_is_expanded(target, 'output directory')
  check_is_utf8(os.path.realpath(target), 'output directory')
  try:
    os.lstat(target)
  except (FileNotFoundError, NotADirectoryError, PermissionError):
    pass  # The first is as it should be; of the others more is said below.
  except OSError as e:  # Too long a name, or links that lead round in a ring.
    raise UserError(
        f'The output directory {target} cannot be made: {e.strerror}.') from e
  if os.path.lexists(target) and not os.path.isdir(target):
    what = (f'a link to {os.readlink(target)}, which is no folder'
            if os.path.islink(target) else 'a file')
    raise UserError(f'The output directory {target} is {what}.')
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
    owned: shell globs of the files in `target` that the new folder replaces,
      present or not in it; paths from there, with slashes, which `*` matches too.
      Whatever else an existing target holds stays, in its folders as well.

  Yields:
    Path of an empty folder, on the same file system unless `target` is remote.

  Raises:
    UserError: see `check_writable`, or the disk is full.
  """
  if is_url(target):
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
    for replaced in _names_to_exchange(above, target, owned):
      exchange.recover(above, replaced)
    staging = tempfile.mkdtemp(prefix=beside(name, _INCOMPLETE), dir=above)
  except OSError as e:
    raise UserError(
        f'The output directory {target} cannot be written: {e.strerror}.') from e
  lock = None
  try:
    lock = _lock(staging)
    with contextlib.suppress(OSError):  # SMB and buckets have no modes.
      os.chmod(staging, _mode_of_new_folder(target))
    yield staging
    if above == target:
      _put_entries_in_place(staging, target, owned)
    else:
      _put_in_place(staging, target, owned)
  except OSError as e:
    if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES,
                       errno.EROFS):
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


def _names_to_exchange(above: str, target: str, owned: Collection[str]) -> set[str]:
  if above != target:
    return {os.path.basename(target)}
  return {*os.listdir(target), *(pattern.partition('/')[0] for pattern in owned)}


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
  ours = re.compile(re.escape(beside(name, _INCOMPLETE)) + '[a-z0-9_]{8}')
  for entry in os.listdir(above):
    if not ours.fullmatch(entry):
      continue
    path = os.path.join(above, entry)
    with contextlib.suppress(OSError):
      lock = _lock(path)
      if lock is not None:
        shutil.rmtree(path, ignore_errors=True)
      _unlock(lock)


def _lock(folder: str) -> int | None:
  """Takes the lock of a folder, which the kernel lets go when its holder dies.

  Returns:
    The lock, or None where the file system has none (Lustre, NFS, mounted drives).

  Raises:
    OSError: another process holds it.
  """
  if fcntl is None:
    return None
  lock = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as e:
    os.close(lock)
    if e.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
      raise
    return None
  return lock


def _unlock(lock: int | None) -> None:
  if lock is not None:
    os.close(lock)


def _put_in_place(staging: str, target: str, owned: Collection[str]) -> None:
  if not os.path.isdir(target):
    os.rename(staging, target)
    return
  _fill_linked_folders(staging, target, owned)
  others_files.carry(target, staging, owned)
  _exchange_folders(staging, target, owned)


def _exchange_folders(new: str, old: str, owned: Collection[str],
                      below: str = '') -> None:
  """Exchanges two folders that stand at `below` in a new and an old folder."""
  pair = [os.path.normpath(os.path.join(folder, below)) for folder in (new, old)]
  exchange.exchange(*pair)
  try:
    # What others have put into the old folder since they were carried.
    others_files.carry(new, old, owned, below)
  except BaseException:
    exchange.exchange(*pair)
    raise


def _fill_linked_folders(staging: str, target: str, owned: Collection[str]) -> None:
  """Puts folders where `target` has links to folders; the links stay.

  Each appears complete or not at all, on its own: it may be on another disk.
  """
  for entry in os.listdir(staging):
    new, link = os.path.join(staging, entry), os.path.join(target, entry)
    if not (os.path.islink(link) and os.path.isdir(link) and os.path.isdir(new)):
      continue
    with new_directory(link, others_files.owned_below(owned, entry)) as folder:
      others_files.copy_folder(new, folder)
    shutil.rmtree(new)
    os.symlink(os.readlink(link), new)


def _put_entries_in_place(staging: str, target: str,
                          owned: Collection[str]) -> None:
  _fill_linked_folders(staging, target, owned)
  entries = os.listdir(staging)
  for entry in entries:
    new, old = os.path.join(staging, entry), os.path.join(target, entry)
    if not os.path.lexists(old):
      os.rename(new, old)
      continue
    are_folders = os.path.isdir(new) and os.path.isdir(old)
    if are_folders:
      others_files.carry(target, staging, owned, entry)
      _exchange_folders(staging, target, owned, entry)
    else:
      exchange.exchange(new, old)
  for entry in os.listdir(target):
    if entry not in entries and entry != os.path.basename(staging):
      others_files.remove_owned(target, owned, entry)
