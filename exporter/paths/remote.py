"""Files behind URLs such as `s3://bucket/model`, through fsspec or TensorFlow.

fsspec comes with the extra `remote`, and finds the package for each kind of URL:
s3fs, gcsfs, adlfs. Where it is missing or does not know one, TensorFlow's own file
systems are asked, which know `gs://`.

    files, path = files_at('s3://bucket/training')
    files.find(path)
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from exporter.errors import UserError
from exporter.paths.urls import is_url


def files_at(url: str):
  """The file system of a URL, an fsspec one or the like, and the path in it.

  Raises:
    UserError: nothing that is installed knows such URLs.
  """
  scheme = url.partition('://')[0]
  try:
    import fsspec
    return fsspec.core.url_to_fs(url)
  except ImportError as e:
    missing = e
  except ValueError as e:  # A protocol that fsspec does not know.
    missing = e
  if _tensorflow_knows(url):
    return TensorFlowFiles(), url.rstrip('/')
  package = {'s3': 's3fs', 'gs': 'gcsfs', 'gcs': 'gcsfs', 'abfs': 'adlfs', 'abfss': 'adlfs',
             'az': 'adlfs', 'hdfs': 'pyarrow'}.get(scheme, 'fsspec')
  raise UserError(
      f'{url} cannot be reached: nothing that is installed knows {scheme}://'
      f' ({_first_line(missing)}); pip install fsspec {package}.') from missing


def read(url: str, what: str, error: type[UserError] = UserError) -> bytes:
  """What is in the file behind a URL.

  Raises:
    UserError: it cannot be read.
  """
  with told(f'The {what} {url} cannot be read', error):
    files, path = files_at(url)
    return files.cat_file(path)


@contextlib.contextmanager
def local_folder(path: str, what: str) -> Iterator[str]:
  """A local folder with what is in `path`: itself, or a copy of what a URL names.

  Args:
    path: of a folder.
    what: what it stands for, as the sentence names it.

  Raises:
    UserError: there is nothing behind the URL, or it cannot be read.
  """
  if not is_url(path):
    yield path
    return
  with tempfile.TemporaryDirectory(prefix='fetched-') as folder:
    with told(f'The {what} {path} cannot be read', UserError):
      files, remote = files_at(path)
      found = list(files.find(remote))
      for file in found:
        local = os.path.join(folder, os.path.relpath(file, remote))
        os.makedirs(os.path.dirname(local), exist_ok=True)
        files.get_file(file, local)
    if not found:
      raise UserError(f'The {what} {path} is empty or does not exist.')
    yield folder


def listing(url: str) -> list[str]:
  """Names of files and folders right behind a URL; none where there is nothing.

  Raises:
    UserError: it cannot be listed.
  """
  with told(f'{url} cannot be listed', UserError):
    files, path = files_at(url)
    try:
      names = files.ls(path, detail=False)
    except FileNotFoundError:
      return []
    return sorted({os.path.basename(name.rstrip('/')) for name in names
                   if name.rstrip('/') != path.rstrip('/')})


class TensorFlowFiles:
  """The methods of an fsspec file system that are used here, by TensorFlow."""

  def cat_file(self, path: str) -> bytes:
    import tensorflow as tf
    with tf.io.gfile.GFile(path, 'rb') as f:
      return f.read()

  def find(self, path: str) -> list[str]:
    import tensorflow as tf
    return [f'{folder.rstrip("/")}/{name}'
            for folder, _, names in tf.io.gfile.walk(path) for name in names]

  def ls(self, path: str, detail: bool = False) -> list[str]:
    import tensorflow as tf
    del detail
    if not tf.io.gfile.isdir(path):
      raise FileNotFoundError(path)
    return [f'{path}/{name.rstrip("/")}' for name in tf.io.gfile.listdir(path)]

  def exists(self, path: str) -> bool:
    import tensorflow as tf
    return tf.io.gfile.exists(path)

  def get_file(self, path: str, local: str) -> None:
    import tensorflow as tf
    tf.io.gfile.copy(path, local, overwrite=True)

  def put_file(self, local: str, path: str) -> None:
    import tensorflow as tf
    tf.io.gfile.makedirs(os.path.dirname(path))
    tf.io.gfile.copy(local, path, overwrite=True)


@contextlib.contextmanager
def told(what: str, error: type[UserError] = UserError) -> Iterator[None]:
  """Turns whatever a file system raises into one sentence, which begins with `what`."""
  try:
    yield
  except UserError:
    raise
  except Exception as e:  # Each file system has errors of its own.
    raise error(f'{what}: {_first_line(e)}.') from e


def _tensorflow_knows(url: str) -> bool:
  try:
    import tensorflow as tf
  except ImportError:
    return False
  try:
    tf.io.gfile.exists(url)
  except tf.errors.UnimplementedError:
    return False
  except tf.errors.OpError:
    pass
  return True


def _first_line(error: Exception) -> str:
  text = str(getattr(error, 'message', None) or error).strip()
  lines = text.splitlines() or [type(error).__name__]
  return f'{type(error).__name__}: {lines[0][:300]}'.rstrip('.') if text else lines[0]
