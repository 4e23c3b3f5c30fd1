"""Reads `--input_shape`: the sizes that an exported model takes, where they are fixed.

Pure Python, so that a shape that no model takes is told before TensorFlow is imported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Optional

from exporter.errors import UserError

# Sizes of the first input's dimensions, None where unknown.
InputShape = tuple[Optional[int], ...]

_CHANNELS = 3
# These take one file an image, so that their shape is the batch alone.
_OF_STRINGS = ('encoded_image_string_tensor', 'tf_example')
_UNKNOWN = ('-1', 'none', '?')
_SIZE = re.compile('[0-9]{1,19}')
# Of an image, to the ops that resize it.
_LARGEST = 2**31 - 1

# What upstream's modules take whose batch is unknown, so that a model may refuse it.
_UNKNOWN_BATCH = {'float_image_tensor': (None, None, None, _CHANNELS),
                  'encoded_image_string_tensor': (None,), 'tf_example': (None,)}


def refusable(shape: InputShape | None, input_type: str) -> InputShape | None:
  """The shape that a model may refuse: the given one, or one of an unknown batch.

  None for one image of any size, which every model takes.
  """
  return shape or _UNKNOWN_BATCH.get(input_type)


def batch_of(shape: InputShape | None, input_type: str) -> int | None:
  """How many images an input takes, None where any number; upstream's if no shape."""
  if shape is None:
    shape = _UNKNOWN_BATCH.get(input_type, (1,))
  return shape[0]


def of_batch(batch: int | None, input_type: str) -> InputShape | None:
  """The shape for so many images of any size; None where it is upstream's."""
  if batch == batch_of(None, input_type):
    return None
  return (batch,) if input_type in _OF_STRINGS else (batch, None, None, _CHANNELS)


def parse(shape: str | Sequence[int | None], input_type: str) -> InputShape:
  """The shape that a flag or a keyword means.

    >>> parse('4,640,640,3', 'image_tensor')
    (4, 640, 640, 3)
    >>> parse([None, -1, -1, 3], 'float_image_tensor')
    (None, None, None, 3)
    >>> parse('8', 'tf_example')
    (8,)

  Args:
    shape: whole numbers, as a text separated by commas; -1 or None where unknown.
      `[batch, height, width, 3]`, or `[batch]` where the model takes strings.
    input_type: one of `inputs.INPUT_TYPES`.

  Raises:
    UserError: a model of that type takes no such shape.
  """
  sizes = _sizes(shape)
  if input_type in _OF_STRINGS:
    if len(sizes) != 1:
      raise UserError(
          f'input_shape is {_text(shape)}, which has {_dimensions(sizes)}; the input'
          f' type {input_type} takes a string for each image, so give the batch alone,'
          ' such as 4.')
    return sizes
  if len(sizes) != 4:
    raise UserError(
        f'input_shape is {_text(shape)}, which has {_dimensions(sizes)}; the input type'
        f' {input_type} takes batch,height,width,channels, such as 4,640,640,3.')
  if sizes[-1] != _CHANNELS:
    raise UserError(
        f'input_shape is {_text(shape)}, with {sizes[-1] or "unknown"} channels; models'
        f' take images of {_CHANNELS} channels.')
  return sizes


def _sizes(shape) -> InputShape:
  entries = shape.split(',') if isinstance(shape, str) else list(shape)
  return tuple(_size(entry, shape) for entry in entries)


def _size(entry, shape) -> int | None:
  text = str(entry).strip()
  if text.lower() in _UNKNOWN:
    return None
  # Not int(), which takes 1_0, +1 and digits of other scripts.
  if _SIZE.fullmatch(text) and 1 <= int(text) <= _LARGEST:
    return int(text)
  raise UserError(
      f'input_shape is {_text(shape)}, and {text!r} is no size; sizes are whole'
      f' numbers of 1 or more, up to {_LARGEST}, -1 where unknown.')


def _dimensions(sizes: InputShape) -> str:
  return '1 dimension' if len(sizes) == 1 else f'{len(sizes)} dimensions'


def _text(shape) -> str:
  return repr(shape) if isinstance(shape, str) else repr(','.join(map(str, shape)))
