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
from collections.abc import Collection
from typing import Any

from exporter.errors import UserError
from exporter.paths.file_systems import errors_told, opened, scheme_of

# They have no folders to make, and a try to makes a bucket.
_OBJECT_STORES = ('s3', 's3a', 'gs', 'gcs', 'abfs', 'abfss', 'az')
# A copy within them may still be under way when they say that it is made.
_COPY_LATER = ('abfs', 'abfss', 'az')


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
    UserError: no package serves the URL, or its bucket does not answer or exist, or it
      is one of a web server, which only gives.
  """
  if scheme_of(url) in ('http', 'https'):
    raise UserError(f'The {what} {url} cannot be written: a web server is for reading;'
                    ' give a folder, or a URL such as s3://, gs://, abfs:// or hdfs://.')
  with errors_told(f'{what} {url} cannot be written'):
    file_system, path = opened(url, what)
    if scheme_of(url) in _OBJECT_STORES:
      # Who may write somewhere in a bucket need not be let list all of it.
      with contextlib.suppress(PermissionError):
        file_system.ls(path.partition('/')[0])
    else:
      _check_is_no_file(file_system, path, f'{what} {url}')


def _check_is_no_file(file_system: Any, path: str, what: str) -> None:
  """Raises UserError where a file stands in place of a folder, or above it."""
  while path.strip('/'):
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
      if file_system.info(path)['type'] == 'file':
        raise UserError(f'The {what} cannot be made: {path} is a file.')
      return
    path = path.rpartition('/')[0]


def upload_file(path: str, url: str, what: str) -> None:
  """Copies a file; raises UserError where it cannot be written."""
  with errors_told(f'{what} {url} cannot be written'):
    file_system, target = opened(url, what)
    file_system.put_file(path, target)


class RemoteFolder:
  """A folder behind a URL whose files are written; paths start there.

  What its methods raise is the file system's own, see `errors_told`.

  Args:
    url: of the folder, which need not exist.
    what: it is, as the sentence of an error names it.

  Attributes:
    can_take: whether there is `take`.
  """

  def __init__(self, url: str, what: str):
    self._file_system, self._path = opened(url, what)
    self.can_take = scheme_of(url) not in _COPY_LATER
    self._is_object_store = scheme_of(url) in _OBJECT_STORES

  def names(self) -> list[str]:
    """Of what lies in it, folders too."""
    if not self._file_system.exists(self._path):
      return []
    return [name.rstrip('/').rpartition('/')[2]
            for name in self._file_system.ls(self._path, detail=False)]

  def exists(self, name: str) -> bool:
    return bool(self._file_system.exists(self._place(name)))

  def put(self, path: str, name: str) -> None:
    """Copies a file of this machine."""
    self._make_folder_of(name)
    self._file_system.put_file(path, self._place(name))

  def take(self, name: str, new_name: str) -> None:
    """Gives a file another name, over what has that; the old name may stay.

    Nothing comes by this machine: object stores copy it where it is.
    """
    self._make_folder_of(new_name)
    if self._is_object_store:
      self._file_system.cp_file(self._place(name), self._place(new_name))
      return
    if self.exists(new_name):
      self.remove(new_name)
    self._file_system.mv(self._place(name), self._place(new_name))

  def remove(self, name: str) -> None:
    self._file_system.rm_file(self._place(name))

  def remove_folder(self, name: str) -> None:
    """Removes all that is in a folder of it, and the folder."""
    if not self._is_object_store:
      self._file_system.rm(self._place(name), recursive=True)
      return
    for path in self._file_system.find(self._place(name)):
      self._file_system.rm_file(path)  # Not `rm`, which takes brackets for a pattern.

  def _make_folder_of(self, name: str) -> None:
    if not self._is_object_store:
      self._file_system.makedirs(self._place(name).rpartition('/')[0], exist_ok=True)

  def _place(self, name: str) -> str:
    return f'{self._path}/{name}'


def _infos(url: str, what: str) -> dict[str, dict[str, Any]]:
  with errors_told(f'{what} {url} cannot be read'):
    file_system, path = opened(url, what)
    found = file_system.find(path, detail=True)
    if not found:
      with contextlib.suppress(FileNotFoundError):
        file_system.ls(path)  # Which says why, where `find` passes over it.
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
