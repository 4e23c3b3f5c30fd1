"""Folders behind a URL, such as `s3://bucket/dir`.

No folder there can be renamed in one step, so it is made whole on the local disk
first; then its files are copied, those that readers look for first coming last. What
takes the place of another is copied beside it before that goes. fsspec does it where
it serves the URL, else TensorFlow's own file systems.
"""

from __future__ import annotations

import contextlib
import os

from exporter.paths import remote
from exporter.paths.file_systems import check_is_served, errors_told, is_served

# A server or `latest_checkpoint` takes a folder for complete when it sees these.
_LAST = ('checkpoint', 'saved_model.pb')
_WHAT = 'output directory'
# No server takes what begins so for a version.
_INCOMPLETE = '.incomplete-'


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

  Where an export stands already, all is copied beside its files before one of them is
  touched, so that what breaks off on the way leaves it as it was; but in Azure, whose
  copies to other names end some time later.

  Raises:
    UserError: it broke off. What stood there is whole, or no `saved_model.pb` and no
      `checkpoint` is there.
  """
  files = [os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, '/')
           for parent, _, names in os.walk(folder) for name in names]
  last = sorted((file for file in files if os.path.basename(file) in _LAST), key=_rank)
  ordered = [*sorted(set(files) - set(last)), *last]
  broken = f'{_WHAT} {target} was not written to its end'
  with errors_told(f'{broken}; run it again'):
    remote_folder = (remote.RemoteFolder(target, _WHAT) if is_served(target)
                     else _TensorFlowFolder(target))
    replaced = [file for file in last if remote_folder.exists(file)]
  if replaced and remote_folder.can_take:
    _replace(remote_folder, folder, ordered, replaced, broken)
    return
  with errors_told(f'{broken}, so that no reader takes it for complete; run it again'):
    # Nobody is to load the graph of one with the variables of another.
    for file in reversed(replaced):
      remote_folder.remove(file)
    for file in ordered:
      remote_folder.put(os.path.join(folder, file), file)


def _replace(remote_folder: remote.RemoteFolder | _TensorFlowFolder, folder: str,
             ordered: list[str], replaced: list[str], broken: str) -> None:
  """Copies files beside those that stand there, and then gives them their names."""
  staging = f'{_INCOMPLETE}{os.urandom(4).hex()}'
  try:
    with errors_told(f'{broken}, and what stands there is as it was; run it again'):
      for name in remote_folder.names():
        if name.startswith(_INCOMPLETE):  # What a run left that broke off.
          remote_folder.remove_folder(name)
      for file in ordered:
        remote_folder.put(os.path.join(folder, file), f'{staging}/{file}')
    with errors_told(f'{broken}, so that no reader takes it for complete; run it again'):
      for file in reversed(replaced):
        remote_folder.remove(file)
      for file in ordered:
        remote_folder.take(f'{staging}/{file}', file)
  finally:
    with contextlib.suppress(Exception):  # As far as the place is still there.
      remote_folder.remove_folder(staging)


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


class _TensorFlowFolder:
  """What `remote.RemoteFolder` is, by a file system of TensorFlow's."""

  can_take = True

  def __init__(self, target: str):
    import tensorflow as tf
    self._files = tf.io.gfile
    self._path = target.rstrip('/')

  def names(self) -> list[str]:
    return [name.rstrip('/') for name in self._files.listdir(self._path)]

  def exists(self, name: str) -> bool:
    return bool(self._files.exists(self._place(name)))

  def put(self, path: str, name: str) -> None:
    self._files.makedirs(os.path.dirname(self._place(name)))
    self._files.copy(path, self._place(name), overwrite=True)

  def take(self, name: str, new_name: str) -> None:
    self._files.makedirs(os.path.dirname(self._place(new_name)))
    self._files.rename(self._place(name), self._place(new_name), overwrite=True)

  def remove(self, name: str) -> None:
    self._files.remove(self._place(name))

  def remove_folder(self, name: str) -> None:
    self._files.rmtree(self._place(name))

  def _place(self, name: str) -> str:
    return f'{self._path}/{name}'
