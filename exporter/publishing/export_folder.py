"""Which files of an output folder an export writes, and so may replace.

Everything else in the folder is somebody else's and stays, also in `checkpoint/` and
`saved_model/`: other checkpoints, notes, label maps, `assets.extra/`.
"""

from __future__ import annotations

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


def of_saved_model(assets: Iterable[str] = ()) -> tuple[str, ...]:
  """Shell globs of a SavedModel's own files, from its folder.

  Args:
    assets: the files in `assets/` that it names.
  """
  return (*_OF_SAVED_MODEL, *(f'assets/{glob.escape(name)}' for name in assets))


def check_checkpoint_stays(checkpoint_path: str, output_directory: str) -> None:
  """Refuses to put a new checkpoint where the one that is exported lies.

  Args:
    checkpoint_path: path prefix of the checkpoint to export.
    output_directory: the folder of the export.

  Raises:
    UserError: it lies there.
  """
  new = os.path.join(output_directory, 'checkpoint', _CHECKPOINT_NAME)
  if os.path.realpath(f'{checkpoint_path}.index') == os.path.realpath(f'{new}.index'):
    raise UserError(
        f'The checkpoint {checkpoint_path} lies where the export writes its own'
        f' {_CHECKPOINT_NAME}, in the output directory {output_directory}; give another'
        ' output directory.')
