"""Lays a SavedModel out as TensorFlow Serving polls it: `NAME/N/saved_model.pb`.

`NAME` is the output directory, so that `--model_base_path=NAME` serves it; the
server ignores what else lies there. The version is made in the staging folder of
`atomic_directory` and appears by the rename that publishes all of it.
"""

from __future__ import annotations

import os

from exporter.errors import UserError
from exporter.paths.urls import is_url
from exporter.publishing import others_files
from exporter.publishing import remote_directory


def check_version_is_new(base_path: str, version: int) -> None:
  """Raises UserError where `base_path` has the version, or one that is no number.

  A server that has loaded a version never looks at its files again, so to
  replace one would change nothing, or what a second server serves.
  """
  if version < 1:
    raise UserError(
        f'The serving version {version} is not a positive number; TensorFlow'
        ' Serving serves the greatest one that it finds.')
  versions = _versions(base_path)
  if version in versions:
    raise UserError(
        f'{base_path} has a version {version} already, which a server may have'
        f' loaded; the next free one is {max(versions) + 1}.')


def add_version(saved_model_dir: str, directory: str, version: int) -> None:
  """Adds `directory/version/`, with the files of a SavedModel.

  They are hard links where the file system has them: nothing ever writes into
  an export in place.
  """
  target = os.path.join(directory, str(version))
  # Listed first: the new folder may lie in the SavedModel itself.
  entries = os.listdir(saved_model_dir)
  os.mkdir(target)
  for name in entries:
    source, copy = os.path.join(saved_model_dir, name), os.path.join(target, name)
    if os.path.isdir(source):
      others_files.copy_folder(source, copy)
    else:
      others_files.link(source, copy)


def _versions(base_path: str) -> list[int]:
  if is_url(base_path):
    names = remote_directory.entries(base_path)
  else:
    names = os.listdir(base_path) if os.path.isdir(base_path) else []
  return [int(name) for name in names if name.isascii() and name.isdigit()]
