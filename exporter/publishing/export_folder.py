"""Which files of an output folder an export writes, and so may replace.

Everything else in the folder is somebody else's and stays, also in `checkpoint/` and
`saved_model/`: other checkpoints, notes, label maps, `assets.extra/`.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable

from exporter.errors import UserError

# What TensorFlow and Keras write in a SavedModel beside its assets.
_OF_SAVED_MODEL = (
    'saved_model.pb', 'fingerprint.pb', 'keras_metadata.pb',
    'debug/saved_model_debug_info.pb', 'variables/variables.index',
    'variables/variables.data-?????-of-?????')
# The one checkpoint of an export, as upstream numbers it.
_CHECKPOINT_NAME = 'ckpt-0'

OF_EXPORT = (
    'pipeline.config', 'checkpoint/checkpoint',
    f'checkpoint/{_CHECKPOINT_NAME}.index',
    f'checkpoint/{_CHECKPOINT_NAME}.data-?????-of-?????',
    *(f'saved_model/{name}' for name in _OF_SAVED_MODEL))


def of_export(assets: Iterable[str] = ()) -> tuple[str, ...]:
  """Shell globs of an export's own files, from its folder.

  Args:
    assets: the files in `saved_model/assets/` that it writes.
  """
  return (*OF_EXPORT, *(f'saved_model/assets/{glob.escape(name)}' for name in assets))


def of_saved_model(assets: Iterable[str] = ()) -> tuple[str, ...]:
  """Shell globs of a SavedModel's own files, from its folder.

  Args:
    assets: the files in `assets/` that it names.
  """
  return (*_OF_SAVED_MODEL, *(f'assets/{glob.escape(name)}' for name in assets))


def check_checkpoint_stays(checkpoint_path: str, output_directory: str) -> None:
  """Refuses to write over a file of the checkpoint that is exported.

  Args:
    checkpoint_path: path prefix of the checkpoint to export.
    output_directory: the folder of the export.

  Raises:
    UserError: a file of it lies where the export writes one of its own.
  """
  files = glob.glob(f'{glob.escape(checkpoint_path)}.*')
  for file in files or [f'{checkpoint_path}.index']:  # Of a URL, none.
    for path in (file, os.path.realpath(file)):
      if _is_written(path, output_directory):
        raise UserError(
            f'The checkpoint {checkpoint_path} lies where the export writes its own'
            f' {os.path.basename(path)}, in the output directory {output_directory};'
            ' give another output directory.')


def _is_written(path: str, output_directory: str) -> bool:
  """Whether an export into a folder, or what is linked there, writes a file."""
  folder, name = os.path.split(path)
  return any(
      fnmatch.fnmatchcase(name, os.path.basename(pattern)) and os.path.realpath(folder)
      == os.path.realpath(os.path.join(output_directory, os.path.dirname(pattern)))
      for pattern in OF_EXPORT)
