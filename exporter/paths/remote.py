"""Files behind URLs: copied to this machine to be read, and from it when complete.

What is read comes into a folder that is removed when the process ends; a file that has
changed since is copied again. `s3://`, `gs://`, `abfs://`, `hdfs://` and others are
those of fsspec, with its packages for each and their ways to find credentials.

    path = remote.copied('s3://bucket/run', ['ckpt-12.*'])  # A folder.
    remote.as_urls(f'{path}/ckpt-12')                       # 's3://bucket/run/ckpt-12'
"""

from __future__ import annotations

import atexit
import contextlib
import fnmatch
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Sequence
from typing import Any

from exporter.errors import UserError
from exporter.paths.file_systems import errors_told, opened, scheme_of

# They have no folders to make, and a try to makes a bucket.
_OBJECT_STORES = ('s3', 's3a', 'gs', 'gcs', 'abfs', 'abfss', 'az')


def names(url: str, what: str) -> list[str]:
  """The files in and below a folder, as paths from there; none if it is missing.

  Raises:
    UserError: it cannot be listed.
  """
  return list(_infos(url, what))


def copied(url: str, patterns: Collection[str], what: str = 'folder') -> str:
  """A folder on this machine with files of the one behind a URL.

  Args:
    url: of the folder.
    patterns: shell globs of paths from there; `*` matches slashes too.
    what: it is, as the sentence names it.

  Raises:
    UserError: it cannot be read.
  """
  folder = os.path.join(_room(), scheme_of(url), *_parts(url.partition('://')[2], url))
  os.makedirs(folder, exist_ok=True)
  infos = _infos(url, what)
  _remove_others(folder, {os.path.join(folder, *_parts(name, url)) for name in infos})
  for name, info in infos.items():
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
      continue
    target = os.path.join(folder, *_parts(name, url))
    # With its size go an ETag, a time, or whatever else the place has.
    state = repr(sorted((key, str(value)) for key, value in info.items()))
    if _states().get(target) != state:
      os.makedirs(os.path.dirname(target), exist_ok=True)
      with errors_told(f'{what} {url} cannot be read'):
        opened(url, what)[0].get_file(info['name'], target)
      _states()[target] = state
  return folder


def as_urls(text: str) -> str:
  """A text with the paths of copies replaced by the URLs that they come from."""
  if not _room.cache_info().currsize:
    return text
  return re.sub(re.escape(_room() + os.sep) + r'([\w+.-]+)[\\/]', r'\1://', text)


def check_writable(url: str, what: str) -> None:
  """Tells early what would keep `upload` from succeeding.

  Raises:
    UserError: no package serves the URL, or its bucket does not answer or exist.
  """
  with errors_told(f'{what} {url} cannot be written'):
    file_system, path = opened(url, what)
    if scheme_of(url) in _OBJECT_STORES:
      # Who may write somewhere in a bucket need not be let list all of it.
      with contextlib.suppress(PermissionError):
        file_system.ls(path.partition('/')[0])


def upload(folder: str, url: str, first: Sequence[str], last: Sequence[str],
           what: str) -> None:
  """Copies files of a folder to one behind a URL, over what stands there.

  Args:
    folder: on this machine.
    url: what it becomes.
    first: paths from there of the files that are copied before the `last`.
    last: paths from there of the files by which readers tell that it is complete, in
      the order in which they are to appear. They are taken away before anything else
      is copied, so that what breaks off leaves none of them with other files.
    what: it is, as the sentence names it.

  Raises:
    UserError: it cannot be written.
  """
  with errors_told(f'{what} {url} was not written to its end, so that no reader'
                    ' takes it for complete; run it again'):
    file_system, path = opened(url, what)
    for name in reversed(last):
      if file_system.exists(f'{path}/{name}'):
        file_system.rm_file(f'{path}/{name}')
    for name in (*first, *last):
      target = f'{path}/{name}'
      if scheme_of(url) not in _OBJECT_STORES:
        file_system.makedirs(target.rpartition('/')[0], exist_ok=True)
      file_system.put_file(os.path.join(folder, name), target)


def upload_file(path: str, url: str, what: str) -> None:
  """Copies a file; raises UserError where it cannot be written."""
  with errors_told(f'{what} {url} cannot be written'):
    file_system, target = opened(url, what)
    file_system.put_file(path, target)


def _infos(url: str, what: str) -> dict[str, dict[str, Any]]:
  with errors_told(f'{what} {url} cannot be read'):
    file_system, path = opened(url, what)
    found = file_system.find(path, detail=True)
  return {name[len(path):].lstrip('/'): info for name, info in sorted(found.items())
          if name.startswith(f'{path}/') and info['type'] == 'file'}


def _parts(path: str, url: str) -> list[str]:
  """The folders of a path; a bucket may hold names that would lead out of ours."""
  parts = [part for part in path.split('/') if part]
  if any(part in (os.curdir, os.pardir) or os.sep in part for part in parts):
    raise UserError(f'{path!r} of {url} is no path that a file system can have.')
  return parts


@functools.cache
def _room() -> str:
  """Where copies lie, until the process ends."""
  room = os.path.realpath(tempfile.mkdtemp(prefix='exporter-remote-'))
  atexit.register(_remove, room, os.getpid())
  return room


def _remove(room: str, process: int) -> None:
  if os.getpid() == process:  # And no fork of it.
    shutil.rmtree(room, ignore_errors=True)


def _remove_others(folder: str, still_there: set[str]) -> None:
  """Removes the copies of what is gone where it came from."""
  for path in list(_states()):
    if path.startswith(folder + os.sep) and path not in still_there:
      os.unlink(path)
      del _states()[path]


@functools.cache
def _states() -> dict[str, str]:
  """What was known of each copied file where it comes from, by the copy's path."""
  return {}
