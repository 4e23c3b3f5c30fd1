"""The file systems that serve URLs: those of fsspec, if its package for one is installed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from exporter.errors import UserError

_NEEDS_OF_JAVA = (
    ' needs a NameNode that answers, Java (JAVA_HOME), libhdfs.so (ARROW_LIBHDFS_DIR) and'
    " Hadoop's jars and settings (CLASSPATH, what `hadoop classpath --glob` prints)")


def scheme_of(url: str) -> str:
  """What stands before `://`, in lower case."""
  return url.partition('://')[0].lower()


def is_by_java(url: str) -> bool:
  """Whether a Java VM in this process serves the URL."""
  return scheme_of(url) in ('hdfs', 'viewfs')


def is_served(url: str) -> bool:
  """Whether fsspec and what it needs for the scheme of a URL are installed."""
  try:
    import fsspec
    fsspec.get_filesystem_class(scheme_of(url))
  except (ImportError, ValueError):
    return False
  return True


def check_is_served(url: str, what: str, error: type[UserError] = UserError) -> None:
  """Raises UserError, with what to install, where `is_served` is false."""
  if not is_served(url):
    raise error(
        f'The {what} {url} cannot be reached, as no installed package of fsspec serves'
        f' {scheme_of(url)}://; pip install "lean-detection-exporter[remote]" brings those'
        ' of s3:// and gs://; others are adlfs for abfs://, and pyarrow for hdfs://.')


def opened(url: str, what: str, error: type[UserError] = UserError) -> tuple[Any, str]:
  """The file system of a URL, and the path there."""
  check_is_served(url, what, error)
  import fsspec
  with connecting(url, what, error):
    # It knows schemes by their lower case alone.
    file_system, path = fsspec.core.url_to_fs(scheme_of(url) + url[len(scheme_of(url)):])
    # Whatever HDFS cannot ask a NameNode is missing, in its words.
    if is_by_java(url) and not file_system.exists('/'):
      raise ConnectionError('nobody answers')
  file_system.invalidate_cache()  # Others write there too.
  return file_system, path.rstrip('/')


@contextlib.contextmanager
def connecting(url: str, what: str, error: type[UserError] = UserError) -> Iterator[None]:
  """For a block that makes the file system of a URL; says what it needs if it fails.

  Raises:
    UserError: the block raised OSError or ValueError.
  """
  options = os.environ.get('LIBHDFS_OPTS', '')
  if is_by_java(url) and '-Xrs' not in options.split():
    # Or it ends the process at Ctrl-C at once, and nothing is cleared away.
    os.environ['LIBHDFS_OPTS'] = f'{options} -Xrs'.strip()
  try:
    yield
  except (OSError, ValueError) as e:
    needs = f'; {scheme_of(url)}://{_NEEDS_OF_JAVA}' if is_by_java(url) else ''
    raise error(f'The {what} {url} cannot be reached: {_reason(e)}{needs}.') from e


@contextlib.contextmanager
def errors_told(what: str, error: type[UserError] = UserError) -> Iterator[None]:
  """Raises UserError for whatever a file system raises: `what` failed, and why."""
  try:
    yield
  except UserError:
    raise
  except FileNotFoundError as e:
    raise error(f'The {what}: there is no such file, folder or bucket.') from e
  except ImportError as e:
    raise error(f'The {what}: the package {e.name!r}, which serves it, is not installed.'
                ) from e
  except Exception as e:  # Each package has its own types, and few are OSErrors.
    raise error(f'The {what}: {_reason(e)}.') from e


def _reason(error: Exception) -> str:
  """What an error says first, as the end of a sentence without its full stop."""
  reason = (str(error).splitlines() or [''])[0].strip().rstrip('.')
  if reason.endswith('Unknown error 255'):  # Of libhdfs, which writes the rest to stderr.
    reason += '; --verbosity=1 shows what Hadoop says'
  return reason or type(error).__name__
