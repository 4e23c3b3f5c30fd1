"""Folders behind a URL, such as `s3://bucket/dir`.

Nothing there can be renamed in one step, so a folder is made whole on the local
disk first; then its files are copied, those that readers look for first coming
last. fsspec does it where it serves the URL, else TensorFlow's own file systems.
"""

from __future__ import annotations

import os

from exporter.errors import UserError
from exporter.paths import remote
from exporter.paths.file_systems import check_is_served, is_served

# A server or `latest_checkpoint` takes a folder for complete when it sees these.
_LAST = ('checkpoint', 'saved_model.pb')
_WHAT = 'output directory'


def check_writable(target: str) -> None:
  """Tells early what would keep `upload` from succeeding.

  Raises:
    UserError: nothing serves the URL, or what does, does not answer.
  """
  if is_served(target):
    remote.check_writable(target, _WHAT)
  elif not _is_tensorflows(target):
    check_is_served(target, _WHAT)


def upload(folder: str, target: str) -> None:
  """Copies the local `folder` to `target`, over what stands there.

  Raises:
    UserError: it broke off. No `saved_model.pb` and no `checkpoint` is there then.
  """
  files = [os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, '/')
           for parent, _, names in os.walk(folder) for name in names]
  last = sorted((file for file in files if os.path.basename(file) in _LAST), key=_rank)
  first = sorted(set(files) - set(last))
  if is_served(target):
    remote.upload(folder, target, first, last, _WHAT)
  else:
    _upload_by_tensorflow(folder, target, first, last)


def entries(target: str) -> list[str]:
  """The names of what lies in a folder; none where there is none."""
  if is_served(target):
    return sorted({name.partition('/')[0] for name in remote.names(target, _WHAT)})
  import tensorflow as tf
  if not tf.io.gfile.isdir(target):
    return []
  return [name.rstrip('/') for name in tf.io.gfile.listdir(target)]


def _rank(file: str) -> tuple[int, bool, str]:
  """The version that a server polls for is complete at the very end."""
  return _LAST.index(os.path.basename(file)), file[:1].isdigit(), file


def _is_tensorflows(target: str) -> bool:
  try:
    import tensorflow as tf
  except ImportError:
    return False
  return target.partition('://')[0] in tf.io.gfile.get_registered_schemes()


def _upload_by_tensorflow(folder: str, target: str, first: list[str],
                          last: list[str]) -> None:
  import tensorflow as tf
  target = target.rstrip('/')
  try:
    for file in reversed(last):
      if tf.io.gfile.exists(f'{target}/{file}'):
        tf.io.gfile.remove(f'{target}/{file}')
    for file in (*first, *last):
      tf.io.gfile.makedirs(os.path.dirname(f'{target}/{file}'))
      tf.io.gfile.copy(os.path.join(folder, file), f'{target}/{file}', overwrite=True)
  except tf.errors.OpError as e:
    raise UserError(f'The {_WHAT} {target} was not written to its end, so that no reader'
                    f' takes it for complete; run it again: {e.message}.') from e
