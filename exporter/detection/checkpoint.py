"""Finds the checkpoint that is exported, and proves that it fits the model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import tensorflow as tf

from exporter.errors import UserError
from exporter.paths import plain_paths


def find(trained_checkpoint_dir: str) -> str:
  """Path prefix of the latest checkpoint in a folder.

  Raises:
    UserError: there is none, or its files are missing or unreadable.
  """
  if not tf.io.gfile.isdir(trained_checkpoint_dir):
    raise UserError(
        f'The checkpoint directory {trained_checkpoint_dir} does not exist or is'
        ' not a folder.')
  # Not latest_checkpoint, which takes brackets in the path for a pattern.
  state = tf.train.get_checkpoint_state(trained_checkpoint_dir)
  path = state.model_checkpoint_path if state is not None else None
  if path is None or not tf.io.gfile.exists(f'{path}.index'):
    found = [name[:-len('.index')] for name in
             tf.io.gfile.listdir(trained_checkpoint_dir) if name.endswith('.index')]
    hint = (f" It holds {', '.join(sorted(found))}, but no file named"
            " 'checkpoint' that says which is the latest and has all its files."
            if found else '')
    raise UserError(
        f'There is no checkpoint in {trained_checkpoint_dir}.{hint}')
  try:
    with plain_paths.of_checkpoint(path) as plain:
      tf.train.load_checkpoint(plain)
  except (tf.errors.OpError, ValueError, RuntimeError) as e:
    raise UserError(f'The checkpoint {path} cannot be read: {e}.') from e
  return path


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
