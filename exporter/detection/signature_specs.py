"""What each signature of an export takes and returns, as flags and profiles say it.

Pure Python, so that a mistake is told before TensorFlow is imported.

    specs = {'serving_default': SignatureSpec('image_tensor'),
             'from_bytes': SignatureSpec('encoded_image_string_tensor', (1,))}
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence

from exporter import output_keys
from exporter.detection import compact_options, input_shapes, inputs
from exporter.detection.compact_options import CompactOptions
from exporter.detection.input_shapes import InputShape
from exporter.errors import UserError, did_you_mean
from exporter.output_keys import OutputSelection

DEFAULT = 'serving_default'

_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_.-]*')
_FIELDS = ('input_type', 'input_shape', *output_keys.LIST_FIELDS,
           *output_keys.COMPACT_FIELDS)


@dataclasses.dataclass(frozen=True)
class SignatureSpec:
  """One signature of an export.

  Attributes:
    input_type: one of `inputs.INPUT_TYPES`; None in a profile that leaves it out.
    shape: fixed sizes of its first input; None for upstream's.
    selection: which outputs it has; None for all.
    compact: how these are made smaller; None leaves them as they are.
  """
  input_type: str | None
  shape: InputShape | None = None
  selection: OutputSelection | None = None
  compact: CompactOptions | None = None

  def over(self, default: SignatureSpec) -> SignatureSpec:
    """What it says, and where it says nothing, what `default` does.

    Without a shape it takes as many images, so that both can share one body.
    """
    input_type = self.input_type or default.input_type
    shape = self.shape
    if shape is None and input_type == default.input_type:
      shape = default.shape
    elif shape is None:
      batch = input_shapes.batch_of(default.shape, default.input_type)
      shape = input_shapes.of_batch(batch, input_type)
    compact = default.compact or CompactOptions()
    if self.compact is not None:
      compact = compact.replaced_by(self.compact)
    return SignatureSpec(input_type, shape, self.selection or default.selection,
                         compact.or_none())

  def lean(self) -> SignatureSpec:
    """With a selection, be it of all outputs: such an export is lean."""
    return dataclasses.replace(self, selection=self.selection or OutputSelection())

  def check(self, accepted: Sequence[str] = inputs.INPUT_TYPES,
            use_side_inputs: bool = False) -> None:
    """Tells early what does not fit together.

    Args:
      accepted: the input types that there are.
      use_side_inputs: whether the model takes more than an image.

    Raises:
      UserError: the input type is unknown, takes no side inputs, or does not go
        with the compact options.
    """
    inputs.check_type(self.input_type, accepted, use_side_inputs)
    if self.compact is not None:
      self.compact.check_input_type(self.input_type)


def all_of(default: SignatureSpec, entries: Mapping[str, SignatureSpec],
           added: Sequence[str] = ()) -> dict[str, SignatureSpec]:
  """Every signature of an export by name, `serving_default` first.

  Args:
    default: what the flags say; also what `entries` leave open.
    entries: of a profile.
    added: of the flag add_signature, each `NAME:INPUT_TYPE`.

  Raises:
    UserError: an added signature is malformed or has the name of another.
  """
  main = entries.get(DEFAULT)
  specs = {DEFAULT: default if main is None else main.over(default)}
  for name, entry in entries.items():
    if name != DEFAULT:
      specs[name] = entry.over(_in_shape_of(specs[DEFAULT], default))
  for text in added:
    name, spec = _parse_added(text)
    if name in specs:
      raise UserError(f'add_signature is {text!r}, but there is a signature {name!r}'
                      ' already; give another name.')
    specs[name] = spec.over(_in_shape_of(specs[DEFAULT], default))
  return specs


def _in_shape_of(main: SignatureSpec, default: SignatureSpec) -> SignatureSpec:
  """What others leave open: outputs as the flags say, inputs as the main one has."""
  return dataclasses.replace(default, input_type=main.input_type, shape=main.shape)


def _parse_added(text: str) -> tuple[str, SignatureSpec]:
  name, colon, input_type = (part.strip() for part in text.partition(':'))
  if not (name and colon and input_type):
    raise UserError(
        f'add_signature is {text!r}; it must be NAME:INPUT_TYPE, such as'
        ' from_bytes:encoded_image_string_tensor.')
  _check_name(name, f'add_signature is {text!r}')
  _check_type(input_type, f'add_signature is {text!r}')
  return name, SignatureSpec(input_type)


def in_profile(content: Mapping,
               path: str | os.PathLike) -> dict[str, SignatureSpec]:
  """The entry `signatures` of what `output_keys.read_profile` read from `path`.

  Raises:
    UserError: it is malformed.
  """
  entries = content.get('signatures')
  if entries is None:
    return {}
  where = f'signatures in the output profile {path}'
  if not isinstance(entries, dict) or not entries:
    raise UserError(f'{where} is {entries!r}; it must be a mapping of names to what each'
                    ' signature takes and returns.')
  return {name: _entry(name, entry, where) for name, entry in entries.items()}


def _entry(name, entry, where: str) -> SignatureSpec:
  _check_name(name, where)
  where = f'{name} of {where}'
  entry = {} if entry is None else entry
  if not isinstance(entry, dict):
    raise UserError(f'{where} is {entry!r}; it must be a mapping with any of'
                    f' {", ".join(_FIELDS)}.')
  for field in entry:
    if field not in _FIELDS:
      raise UserError(f'{where} has the unknown entry {field!r}'
                      f'{did_you_mean(str(field), _FIELDS) or "."} Accepted are'
                      f' {", ".join(_FIELDS)}.')
  input_type = entry.get('input_type')
  if input_type is None and name != DEFAULT:
    raise UserError(f'{where} has no input_type; it must be one of'
                    f' {", ".join(inputs.INPUT_TYPES)}.')
  if input_type is not None:
    _check_type(input_type, where)
  selection = None
  if any(entry.get(field) is not None for field in output_keys.LIST_FIELDS):
    selection = output_keys.selection_in(entry, where)
  return SignatureSpec(input_type, _shape(entry, input_type, where), selection,
                       compact_options.options_in(entry, where).or_none())


def _shape(entry: Mapping, input_type: str | None, where: str) -> InputShape | None:
  shape = entry.get('input_shape')
  if shape is None:
    return None
  if isinstance(shape, int):  # [4] and 4 alike, for the batch alone.
    shape = [shape]
  if not isinstance(shape, (str, list)):
    raise UserError(f'{where} has the input_shape {shape!r}; it must be a list of sizes.')
  try:
    return input_shapes.parse(shape, input_type or 'image_tensor')
  except UserError as e:
    raise UserError(f'In {where}, {e}') from e


def _check_name(name, where: str) -> None:
  if not isinstance(name, str) or not _NAME.fullmatch(name):
    raise UserError(f'{where}, with the signature name {name!r}; a name begins with a'
                    ' letter and has letters, digits, _, . and -.')


def _check_type(input_type, where: str) -> None:
  try:
    inputs.check_type(input_type)
  except UserError as e:
    raise UserError(f'{where}: {e}') from e
