"""Reads the flags that describe side inputs, such as those of Context R-CNN.

Pure Python; dtypes are names here, and nothing that was typed is evaluated.
"""

from __future__ import annotations

import dataclasses

from exporter.errors import UserError, did_you_mean

# What upstream's flag promises, beside TensorFlow's own names.
_TYPE_WORDS = {'float': 'float32', 'integer': 'int32', 'string': 'string'}

_TYPES = ('bfloat16', 'bool', 'float16', 'float32', 'float64', 'int16', 'int32',
          'int64', 'int8', 'string', 'uint16', 'uint32', 'uint64', 'uint8')


class SideInputError(UserError):
  """The side input flags are malformed or do not fit together."""


@dataclasses.dataclass(frozen=True)
class SideInput:
  """One further input of the exported model.

  Attributes:
    shape: sizes of its dimensions, None where unknown.
    dtype: name of a TensorFlow dtype.
    name: of the input in the signature, and of `predict`'s argument.
  """
  shape: tuple[int | None, ...]
  dtype: str
  name: str


def parse_side_inputs(shapes: str, types: str, names: str) -> list[SideInput]:
  """Reads the three flags, e.g. `1,2000,2057/1`, `float,integer`, `a,b`.

  Args:
    shapes: comma-separated sizes, -1 for an unknown one; `/` between inputs.
    types: comma-separated: `float`, `integer`, `string`, or TensorFlow's names
      with or without `tf.`.
    names: comma-separated.

  Raises:
    SideInputError: one of them is malformed, or they differ in number.
  """
  all_shapes = [_parse_shape(text) for text in shapes.split('/')]
  all_types = [_parse_type(text) for text in types.split(',')]
  all_names = [name.strip() for name in names.split(',')]
  if '' in all_names:
    raise SideInputError(
        f'side_input_names is {names!r}; each side input needs a name.')
  if len(set(all_names)) < len(all_names):
    raise SideInputError(
        f'side_input_names is {names!r}, which names an input twice.')
  if not len(all_shapes) == len(all_types) == len(all_names):
    raise SideInputError(
        f'The side inputs have {len(all_shapes)} shapes ({shapes!r}),'
        f' {len(all_types)} types ({types!r}) and {len(all_names)} names'
        f' ({names!r}); give one of each for every input.')
  return [SideInput(*one) for one in zip(all_shapes, all_types, all_names)]


def _parse_shape(text: str) -> tuple[int | None, ...]:
  sizes = [size.strip() for size in text.split(',')] if text.strip() else []
  try:
    numbers = [int(size) for size in sizes if size]
  except ValueError:
    numbers = None
  if numbers is None or len(numbers) != len(sizes) or min(numbers, default=0) < -1:
    raise SideInputError(
        f'side_input_shapes holds {text!r}; a shape is whole numbers separated by'
        ' commas, -1 for an unknown size, and / stands between shapes.')
  return tuple(None if number == -1 else number for number in numbers)


def _parse_type(text: str) -> str:
  name = text.strip().removeprefix('tf.')
  name = _TYPE_WORDS.get(name, name)
  if name not in _TYPES:
    raise SideInputError(
        f'side_input_types holds {text.strip()!r}'
        f'{did_you_mean(name, (*_TYPE_WORDS, *_TYPES)) or "."} Accepted are'
        f' {", ".join(_TYPE_WORDS)} and the names {", ".join(_TYPES)}.')
  return name
