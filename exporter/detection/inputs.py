"""What an exported model takes: one of the input types, and side inputs.

Side inputs are such as those of Context R-CNN. Pure Python; dtypes are names here,
and nothing that was typed is evaluated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
from collections.abc import Collection, Iterator, Sequence

from exporter.errors import UserError, did_you_mean

# Upstream's input types; `exporter_lib_v2.DETECTION_MODULE_MAP` has a module for each.
INPUT_TYPES = ('image_tensor', 'encoded_image_string_tensor', 'tf_example',
               'float_image_tensor', 'image_and_boxes_tensor')

# What upstream's flag promises, beside TensorFlow's own names.
_TYPE_WORDS = {'float': 'float32', 'integer': 'int32', 'string': 'string'}

_TYPES = ('bfloat16', 'bool', 'float16', 'float32', 'float64', 'int16', 'int32',
          'int64', 'int8', 'string', 'uint16', 'uint32', 'uint64', 'uint8')


# The most that a dimension of a tensor can have.
_LARGEST_SIZE = 2**63 - 1


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


def check_type(input_type: str, accepted: Collection[str] = INPUT_TYPES,
               use_side_inputs: bool = False) -> None:
  """Tells early of an input type that no module takes.

  Args:
    input_type: what was asked for.
    accepted: what there is.
    use_side_inputs: whether side inputs are to come along.

  Raises:
    UserError: it is unknown, or takes no side inputs.
  """
  if input_type not in accepted:
    raise UserError(
        f'The input type {input_type!r} is unknown'
        f'{did_you_mean(input_type, accepted) or "."} Accepted are'
        f' {", ".join(accepted)}.')
  if use_side_inputs and input_type != 'image_tensor':
    raise UserError(
        f'Side inputs need the input type image_tensor; it is {input_type!r}.')


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
  for name in all_names:
    if not name.isidentifier():
      raise SideInputError(
          f'side_input_names holds {name!r}, which is no argument of a model; a name is'
          ' made of letters, digits and _.')
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
  if numbers is None or len(numbers) != len(sizes) or not all(
      -1 <= number <= _LARGEST_SIZE for number in numbers):
    raise SideInputError(
        f'side_input_shapes holds {text!r}; a shape is whole numbers separated by'
        f' commas, up to {_LARGEST_SIZE}, -1 for an unknown size, and / stands between shapes.')
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


def check_side_input_names(model, names: Sequence[str]) -> None:
  """Tells before the trace of a side input that a model does not take.

  Raises:
    UserError: its `predict` has no parameter of that name.
  """
  parameters = inspect.signature(model.predict).parameters
  if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
    return
  for name in names:
    if name not in parameters:
      raise UserError(
          f'The model {type(model).__name__} takes no side input {name!r}'
          f'{did_you_mean(name, parameters) or "."}')


# What Python says of arguments that a method wants, or does not know.
_UNFITTING_ARGUMENTS = re.compile(
    r'(missing \d+ required \S+ arguments?|unexpected keyword argument)[^\n]*')


@contextlib.contextmanager
def side_inputs_must_fit(model, names: Sequence[str]) -> Iterator[None]:
  """Turns what Python says of unfitting side inputs into one sentence.

  A model may pass them on to a method that alone knows their names, as Context
  R-CNN does, so that only the trace, which is the block, tells.

  Raises:
    UserError: the model lacks one, or does not know one.
  """
  try:
    yield
  except TypeError as e:
    unfitting = _UNFITTING_ARGUMENTS.search(str(e))
    if unfitting is None:
      raise
    raise UserError(
        f'The side inputs ({", ".join(names) or "none"}) do not fit the model'
        f' {type(model).__name__}, which takes'
        f' {", ".join(_side_input_names(model)) or "none"}: {unfitting[0]}; see'
        ' --use_side_inputs, --side_input_shapes, --side_input_types and'
        ' --side_input_names.') from e


def _side_input_names(model) -> list[str]:
  """The names that the model's methods give to what they take beside an image."""
  accepted = []
  for method, own in (('predict', 2), ('_compute_second_stage_input_feature_maps', 4)):
    parameters = list(inspect.signature(
        getattr(model, method, lambda: None)).parameters.values())
    accepted += [p.name for p in parameters[own:] if p.kind is not p.VAR_KEYWORD]
  return accepted
