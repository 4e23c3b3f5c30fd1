"""The file systems that serve URLs: those of fsspec, if its package for one is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from exporter.errors import UserError


def scheme_of(url: str) -> str:
  """What stands before `://`, in lower case."""
  return url.partition('://')[0].lower()


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
  file_system, path = fsspec.core.url_to_fs(url)
  file_system.invalidate_cache()  # Others write there too.
  return file_system, path.rstrip('/')


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
    reason = (str(e).splitlines() or [''])[0].strip().rstrip('.')
    raise error(f'The {what}: {reason or type(e).__name__}.') from e
