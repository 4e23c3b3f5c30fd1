"""Finds the checkpoint that is exported, and proves that it fits the model."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterable, Iterator

import tensorflow as tf

from exporter.detection import checkpoint_choice
from exporter.errors import UserError
from exporter.paths import plain_paths
from exporter.paths import remote
from exporter.paths.file_systems import is_served
from exporter.paths.urls import is_url


# The entry that the checkpoints of TF2 have, and those of TF1's Saver lack.
OBJECT_GRAPH = '_CHECKPOINTABLE_OBJECT_GRAPH'


def find(trained_checkpoint_dir: str | os.PathLike | None,
         trained_checkpoint_prefix: str | os.PathLike | None = None) -> str:
  """Path prefix of the checkpoint to export, which can be read.

  Args:
    trained_checkpoint_dir: a folder; its latest checkpoint is meant.
    trained_checkpoint_prefix: or the prefix itself; exactly one of the two is given.

  Returns:
    That of a copy on this machine where fsspec serves a URL.

  Raises:
    UserError: there is none, its files are missing or unreadable, or it is one of
      TF1, which names variables in another way.
  """
  checkpoint_choice.check(trained_checkpoint_dir, trained_checkpoint_prefix)
  if trained_checkpoint_prefix is None:
    path = _latest_in(_copied_folder(
        plain_paths.without_parents(os.fspath(trained_checkpoint_dir))))
  else:
    path = _copied_prefix(
        plain_paths.without_parents(os.fspath(trained_checkpoint_prefix)))
  if not tf.io.gfile.exists(f'{path}.index'):
    raise UserError(f'There is no checkpoint {path}: {path}.index is missing.')
  try:
    with plain_paths.of_checkpoint(path) as plain:
      reader = tf.train.load_checkpoint(plain)
  except (tf.errors.OpError, ValueError, RuntimeError) as e:
    raise UserError(f'The checkpoint {path} cannot be read: {e}.') from e
  if not reader.has_tensor(OBJECT_GRAPH):
    raise UserError(
        f'The checkpoint {path} is one of TF1, without the object graph by which TF2'
        ' restores a model; export it with the TF1 exporter, export_inference_graph.py,'
        ' and slim that SavedModel with slim_saved_model, or train the TF2 version of'
        ' the model.')
  return path


def _copied_folder(directory: str) -> str:
  if not _is_copied(directory):
    return directory
  folder = remote.copied(directory, ['checkpoint', '*.index'], 'checkpoint directory')
  state = _state_in(folder)
  if state is not None:
    _copied_prefix(f'{directory.rstrip("/")}/{_base_name(state.model_checkpoint_path)}')
  return folder


def _copied_prefix(prefix: str) -> str:
  if not _is_copied(prefix):
    return prefix
  directory, _, name = prefix.rpartition('/')
  return os.path.join(remote.copied(
      directory, [f'{glob.escape(name)}.*'], 'checkpoint directory'), name)


def _is_copied(path: str) -> bool:
  # Without fsspec it is for TensorFlow, which may have a file system for the URL.
  return is_url(path) and is_served(path)


def _base_name(path: str) -> str:
  # Either system's separators, as a folder may come from the other.
  return re.split(r'[/\\]', path)[-1]


def _latest_in(directory: str) -> str:
  """Prefix of the checkpoint that the file `checkpoint` of a folder calls the latest.

  That file may name the folder in which training ran; where the folder has been moved
  since, the checkpoint lies beside the file.

  Raises:
    UserError: there is no such file, or none of the checkpoint that it names.
  """
  if not tf.io.gfile.isdir(directory):
    raise UserError(
        f'The checkpoint directory {directory} does not exist or is not a folder.')
  state = _state_in(directory)
  found = checkpoint_choice.prefixes_in(tf.io.gfile.listdir(directory))
  if state is None:
    hint = (f" It holds {', '.join(found)}, but no file named 'checkpoint' that says"
            ' which is the latest; name one with trained_checkpoint_prefix.'
            if found else '')
    raise UserError(f'There is no checkpoint in {directory}.{hint}')
  named = state.model_checkpoint_path
  beside = os.path.join(directory, _base_name(named))
  for path in (named, beside):
    if tf.io.gfile.exists(f'{path}.index'):
      return path
  raise UserError(
      f"There is no checkpoint in {directory} that its file 'checkpoint' calls the"
      f' latest: neither {named}.index nor {beside}.index exists. The folder holds'
      f' {", ".join(found) or "no other"}, which trained_checkpoint_prefix can name.')


def _state_in(directory: str):
  """What the file `checkpoint` of a folder says; None where there is none.

  Raises:
    UserError: it says nothing that TensorFlow can read.
  """
  path = os.path.join(directory, 'checkpoint')
  try:
    # Not latest_checkpoint, which takes brackets in the path for a pattern.
    state = tf.train.get_checkpoint_state(directory)
    is_damaged = state is None and tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path)
  except (tf.errors.OpError, ValueError):  # Empty, without a path, or no text.
    is_damaged = True
  if is_damaged:
    raise UserError(
        f'The file {path} cannot be read, which says what checkpoint is the latest; name'
        ' one with trained_checkpoint_prefix.')
  return state


@contextlib.contextmanager
def must_fit(path: str) -> Iterator[None]:
  """Turns what TensorFlow says of an unfitting checkpoint into one sentence.

  Args:
    path: path prefix of the checkpoint that the block restores or asserts.

  Raises:
    UserError: the block met variables that the checkpoint lacks or has in
      another shape, or data that cannot be read.
  """
  unfitting = f'The checkpoint {path} does not fit the model of the pipeline config'
  try:
    yield
  except AssertionError as e:
    raise UserError(f'{unfitting}: {first_sentence(e)}.') from e
  except ValueError as e:
    if 'attempting to restore variable' not in str(e):
      raise
    raise UserError(f'{unfitting}: {str(e).strip()}') from e
  except (tf.errors.OpError, IndexError) as e:
    # Of data that is cut short TensorFlow makes an IndexError.
    if isinstance(e, IndexError) and 'bytes' not in str(e):
      raise
    reason = getattr(e, 'message', None) or e
    raise UserError(f'The checkpoint {path} cannot be read: {reason}.') from e


def assert_declared_shapes(variables: Iterable[tf.Variable]) -> None:
  """Raises AssertionError if a variable was restored in another shape.

  A variable that is made after the restore takes the value of the checkpoint as
  it is, and TensorFlow would notice only when it runs.
  """
  for variable in variables:
    value = variable.read_value()
    if not value.shape.is_compatible_with(variable.shape):
      raise AssertionError(
          f'{variable.name} has the shape {value.shape} in the checkpoint and'
          f' {variable.shape} in the model')


def first_sentence(error: Exception) -> str:
  """The first sentence of an error's text, without its full stop."""
  return str(error).partition('. ')[0].strip().rstrip('.')
