"""Which checkpoint is exported: a folder's latest one, or the one of a path prefix.

Pure Python, so that a mistake is told before TensorFlow is imported; what lies behind
a URL is told later, by `checkpoint.find`.
"""

from __future__ import annotations

import os
import re

from exporter.errors import UserError, did_you_mean
from exporter.paths.plain_paths import check_is_utf8
from exporter.paths.urls import is_url

_FILE_OF_CHECKPOINT = re.compile(r'(.+)\.(index|meta|data-\d{5}-of-\d{5})')


def check(directory: str | os.PathLike | None,
          prefix: str | os.PathLike | None) -> None:
  """Tells what cannot be the checkpoint to export.

  Args:
    directory: the folder of the checkpoint, or None.
    prefix: its path without `.index`, or None; exactly one of the two is given.

  Raises:
    UserError: none or both are given, one is what the other takes, or there is no
      such folder or checkpoint.
  """
  if (directory is None) == (prefix is None):
    raise UserError(
        'Give either trained_checkpoint_dir, a folder whose latest checkpoint is'
        ' exported, or trained_checkpoint_prefix, such as training/ckpt-12;'
        f' {"neither" if prefix is None else "each"} is given.')
  if directory is not None:
    _check_directory(os.fspath(directory))
  else:
    _check_prefix(os.fspath(prefix))


def _check_directory(directory: str) -> None:
  if not directory.strip():
    raise UserError(f'trained_checkpoint_dir is {directory!r}, which names no folder.')
  check_is_utf8(directory, 'checkpoint directory')
  if is_url(directory) or os.path.isdir(directory):
    return
  prefix = prefix_of(directory)
  if prefix is not None:
    raise UserError(
        f'The checkpoint directory {directory} is no folder but a checkpoint in one;'
        f' give it as trained_checkpoint_prefix={prefix}.')
  raise UserError(f'The checkpoint directory {directory} does not exist or is'
                  ' not a folder.')


def _check_prefix(prefix: str) -> None:
  if not prefix.strip():
    raise UserError(f'trained_checkpoint_prefix is {prefix!r}, which names no checkpoint;'
                    ' give a path such as training/ckpt-12.')
  check_is_utf8(prefix, 'checkpoint prefix')
  if is_url(prefix) or os.path.isfile(f'{prefix}.index'):
    return
  if os.path.isdir(prefix):
    raise UserError(
        f'The checkpoint prefix {prefix} is a folder; give it as'
        ' trained_checkpoint_dir, or name a checkpoint in it, such as'
        f' {os.path.join(prefix, "ckpt-12")}.')
  of_file = prefix_of(prefix)
  if of_file is not None:
    raise UserError(
        f'The checkpoint prefix {prefix} is one file of a checkpoint; give'
        f' trained_checkpoint_prefix={of_file}.')
  if os.path.isfile(prefix):
    raise UserError(
        f'The checkpoint prefix {prefix} is a file; a prefix is the path of a'
        ' checkpoint without .index, which must lie there.')
  raise UserError(_not_found(prefix))


def prefix_of(path: str) -> str | None:
  """The prefix of the checkpoint that a path is, or is a file of; else None."""
  match = _FILE_OF_CHECKPOINT.fullmatch(path)
  for prefix in (path, match and match[1]):
    if prefix and os.path.isfile(f'{prefix}.index'):
      return prefix
  return None


def _not_found(prefix: str) -> str:
  folder, name = os.path.split(prefix)
  try:
    found = prefixes_in(os.listdir(folder or os.curdir))
  except OSError:
    return f'There is no checkpoint {prefix}, as there is no folder {folder}.'
  return (f'There is no checkpoint {prefix}: {name}.index is missing'
          f'{did_you_mean(name, found) or "."} {folder or "The working directory"}'
          f' holds {", ".join(found) or "no checkpoint"}.')


def prefixes_in(names: list[str]) -> list[str]:
  """The checkpoints among the names of files, by their names without `.index`."""
  return sorted(name[:-len('.index')] for name in names if name.endswith('.index'))
