"""What both exporters do around their work: check, make a new folder, finish it.

An export owns the files that it writes, by name, and so may replace them. Everything
else in the folder is somebody else's and stays, also in `checkpoint/` and
`saved_model/`: other checkpoints, notes, label maps, `assets.extra/`.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence

from exporter.errors import UserError
from exporter.paths import remote
from exporter.publishing import atomic_directory
from exporter.publishing.serving_version import add_version, check_version_is_new
from exporter.serving import warmup_requests

# What the system says of a disk or a share of it that is full, and of a file that is
# larger than it may be, as 4 GB on FAT.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

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


@contextlib.contextmanager
def new_export(target: str, owned: Collection[str], saved_model: str = '',
               warmup_images: Sequence[str] = (), serving_version: int | None = None,
               signatures: Sequence[str] = (warmup_requests.DEFAULT_SIGNATURE,)
               ) -> Iterator[str]:
  """Gives a folder to fill, which becomes `target`, finished, when the block ends well.

  Args:
    target: see `atomic_directory.new_directory`.
    owned: the same.
    saved_model: where in the folder the block puts the SavedModel; `''`: it is one.
    warmup_images: image files with which TensorFlow Serving will warm it up.
    serving_version: the number under which `target` has the SavedModel once more,
      for TensorFlow Serving; None for none.
    signatures: of the SavedModel, which the warm-up requests call.

  Yields:
    Path of an empty folder.

  Raises:
    UserError: see `check`, or the disk is full, or an image is none.
  """
  check(target, owned, warmup_images, serving_version)
  with _disk_may_be_full(target), atomic_directory.new_directory(
      target, owned) as directory:
    yield directory
    saved_model_dir = os.path.join(directory, saved_model)
    if warmup_images:
      warmup_requests.write(saved_model_dir, warmup_images, signatures)
    if serving_version is not None:
      add_version(saved_model_dir, directory, serving_version)


def check(target: str, owned: Collection[str], warmup_images: Sequence[str] = (),
          serving_version: int | None = None) -> None:
  """Tells early, without TensorFlow, what would keep `new_export` from succeeding.

  Raises:
    UserError: the folder cannot be written, an image cannot be read, or a server may
      have loaded that version.
  """
  atomic_directory.check_writable(
      target, {path.partition('/')[0] for path in owned if '/' in path})
  warmup_requests.check_images(warmup_images)
  if serving_version is not None:
    check_version_is_new(target, serving_version)


@contextlib.contextmanager
def _disk_may_be_full(target: str) -> Iterator[None]:
  """Turns what TensorFlow says of a full disk into one sentence."""
  try:
    yield
  except UserError:
    raise
  except Exception as e:  # TensorFlow's type is also that of too little memory.
    message = getattr(e, 'message', None)
    if message is None or not any(os.strerror(code) in message for code in _FULL):
      raise
    raise UserError(
        f'The output directory {target} cannot be written: {message}.') from e


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
  checkpoint_path = remote.as_urls(checkpoint_path)
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
