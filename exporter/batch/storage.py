"""Folders and files on this machine or behind a URL, read and written as a whole.

A file appears complete under its name or not at all. URLs are those of PyArrow:
`s3://`, `gs://`, `abfss://`, `hdfs://`, `file://`; credentials come from where each
of these looks for them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator

from exporter.errors import UserError
from exporter.paths.file_systems import connecting, is_by_java
from exporter.paths.plain_paths import without_parents
from exporter.paths.urls import is_url

_INCOMPLETE = '.incomplete-'


def read_file(path: str) -> bytes:
  """The bytes of a file.

  Raises:
    OSError: it cannot be read.
  """
  if not is_url(path):
    with open(path, 'rb') as f:
      return f.read()
  file_system, root = file_system_of(path)
  with file_system.open_input_stream(root) as f:
    return f.read()


def file_system_of(url: str):
  """PyArrow's file system of a URL, and the path there.

  Raises:
    UserError: there is none, or it does not answer.
  """
  scheme, _, rest = url.partition('://')
  host, _, path = rest.partition('/')
  file_system, root = _file_system(f'{scheme}://{host}/')
  return file_system, root + path


@functools.lru_cache(maxsize=16)
def _file_system(root: str):
  from pyarrow import fs
  with connecting(root, 'file system'):
    file_system, path = fs.FileSystem.from_uri(root)
    if is_by_java(root) and file_system.get_file_info('/').type == fs.FileType.NotFound:
      raise ConnectionError('nobody answers')
  return file_system, path.rstrip('/') + '/'


class Folder:
  """A folder that files are put into; made where there is none.

  Args:
    path: local, or a URL.
  """

  def __init__(self, path: str):
    # PyArrow takes `link/..` for the folder with the link, as TensorFlow does.
    self.path = without_parents(path).rstrip('/') or path
    self._is_url = is_url(path)

  def names(self) -> set[str]:
    """Of what lies in it, folders too; none where it does not exist."""
    with _errors_told(self.path):
      if not self._is_url:
        with contextlib.suppress(FileNotFoundError):
          return set(os.listdir(self.path))
        return set()
      from pyarrow import fs
      file_system, root = file_system_of(self.path)
      found = file_system.get_file_info(fs.FileSelector(root, allow_not_found=True))
      return {info.base_name for info in found}

  def within(self, name: str) -> Folder:
    return Folder(self.place_of(name))

  def place_of(self, name: str) -> str:
    """The path or URL of a file in it."""
    return f'{self.path}/{name}' if self._is_url else os.path.join(self.path, name)

  def read(self, name: str) -> bytes:
    return read_file(self.place_of(name))

  def write(self, name: str, content: bytes) -> None:
    with self.new_file(name) as path, open(path, 'wb') as f:
      f.write(content)

  @contextlib.contextmanager
  def new_file(self, name: str) -> Iterator[str]:
    """A local path to write to, which becomes `name` when the block ends well.

    Raises:
      UserError: the folder cannot be written to.
    """
    with _errors_told(self.path):
      if self._is_url:
        with tempfile.TemporaryDirectory() as staging:
          path = os.path.join(staging, 'file')
          yield path
          self._upload(path, name)
      else:
        with self._new_local_file(name) as path:
          yield path

  @contextlib.contextmanager
  def _new_local_file(self, name: str) -> Iterator[str]:
    os.makedirs(self.path, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix=_INCOMPLETE, dir=self.path)
    os.close(handle)
    try:
      yield path
      os.chmod(path, 0o666 & ~_umask())
      os.replace(path, os.path.join(self.path, name))
    finally:
      with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

  def remove(self, names: set[str]) -> None:
    """Removes files, as far as they are there."""
    there = self.names()  # HDFS says of what is missing only that it cannot be removed.
    for name in names & there:
      with _errors_told(self.path), contextlib.suppress(FileNotFoundError):
        if self._is_url:
          file_system, root = file_system_of(self.place_of(name))
          file_system.delete_file(root)
        else:
          os.unlink(os.path.join(self.path, name))

  def clear_incomplete(self) -> None:
    """Removes what a killed run was writing; no other may write there."""
    self.remove({name for name in self.names() if name.startswith(_INCOMPLETE)})

  def _upload(self, path: str, name: str) -> None:
    """Object stores show what is complete; elsewhere it gets its name at the end."""
    import pyarrow
    file_system, root = file_system_of(self.place_of(name))
    keeps_incomplete = file_system.type_name not in ('s3', 'gcs', 'abfs')
    target = root
    if keeps_incomplete:
      parent, _, base = root.rpartition('/')
      file_system.create_dir(parent, recursive=True)
      target = f'{parent}/{_INCOMPLETE}{os.urandom(6).hex()}-{base}'
    with open(path, 'rb') as source, file_system.open_output_stream(target) as f:
      while block := source.read(1 << 22):
        f.write(pyarrow.py_buffer(block))
    if keeps_incomplete:
      file_system.move(target, root)


@contextlib.contextmanager
def _errors_told(path: str) -> Iterator[None]:
  """What the disk or a bucket refuses, as a sentence."""
  try:
    yield
  except OSError as e:
    reason = e.strerror or str(e).splitlines()[0]
    raise UserError(
        f'The output directory {path} cannot be used: {reason.rstrip(".")}.') from e


def _umask() -> int:
  umask = os.umask(0)
  os.umask(umask)
  return umask
