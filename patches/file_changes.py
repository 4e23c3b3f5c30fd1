"""Changes of files: as a diff, and written all or none."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Sequence

from exporter.errors import UserError


class WriteError(UserError):
  """A file of the fork cannot be written; nothing was changed."""


@dataclasses.dataclass(frozen=True)
class FileChange:
  """A file's contents before and after; None where there is no file.

  Attributes:
    name: path from the fork's root, with slashes.
  """
  name: str
  before: bytes | None
  after: bytes | None


def unified_diff(changes: Iterable[FileChange]) -> bytes:
  """The changes as `git apply` and `patch -p1` take them in the fork's root."""
  return b''.join(_one_diff(change) for change in changes)


def _one_diff(change):
  old, new = b'a/' + change.name.encode(), b'b/' + change.name.encode()
  lines = difflib.diff_bytes(
      difflib.unified_diff, _lines(change.before), _lines(change.after),
      b'/dev/null' if change.before is None else old,
      b'/dev/null' if change.after is None else new)
  return b''.join(
      line if line.endswith(b'\n') else line + b'\n\\ No newline at end of file\n'
      for line in lines)


def _lines(contents):
  """Lines with their ends. Only \\n ends one, as in git, so that \\r\\n survives."""
  parts = (contents or b'').split(b'\n')
  return [part + b'\n' for part in parts[:-1]] + [p for p in parts[-1:] if p]


def write(root: pathlib.Path, changes: Sequence[FileChange]) -> None:
  """Makes all changes or, where one fails, none.

  New contents are written beside the files first and then renamed into place, so
  no file is ever half written. A file keeps its mode.

  Raises:
    WriteError: a file cannot be written.
  """
  staged = []
  done = []
  try:
    for change in changes:
      # Behind a symbolic link it is the file that changes, not the link.
      target = pathlib.Path(os.path.realpath(root / change.name))
      staged.append((change, target, _stage(target, change.after)))
    for change, target, temporary in staged:
      _put(target, temporary)
      done.append((change, target))
  except BaseException as e:
    for change, target in reversed(done):
      _put(target, _stage(target, change.before))
    for _, _, temporary in staged:
      if temporary is not None:
        temporary.unlink(missing_ok=True)
    if isinstance(e, OSError):
      raise WriteError(
          f'{e.filename or root} cannot be written: {e.strerror}; no file was'
          ' changed.') from e
    raise


def _stage(target, contents):
  """A file beside the target with the contents and mode; None for no file."""
  if contents is None:
    return None
  descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f'.{target.name}.')
  temporary = pathlib.Path(name)
  try:
    with os.fdopen(descriptor, 'wb') as f:
      f.write(contents)
    with contextlib.suppress(OSError):  # SMB and mounted buckets have no modes.
      temporary.chmod(_mode(target))
  except BaseException:
    temporary.unlink(missing_ok=True)
    raise
  return temporary


def _mode(target):
  try:
    return target.stat().st_mode & 0o7777
  except FileNotFoundError:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _put(target, temporary):
  if temporary is None:
    target.unlink(missing_ok=True)
  else:
    os.replace(temporary, target)
