"""Options that make kept outputs smaller: fewer detections, narrower dtypes.

Pure Python, as `output_keys`: a typing mistake is told before TensorFlow is
imported. `compact_outputs` applies them inside the graph.

    CompactOptions(min_score=0.3, dtypes=parse_dtypes('detection_masks=uint8'))
"""

from __future__ import annotations

import dataclasses
import fnmatch
import os
from collections.abc import Collection, Mapping

from exporter import output_keys
from exporter.errors import UserError, did_you_mean

DTYPES = ('float16', 'float32', 'int32', 'uint8')

MASKS = 'detection_masks'
COUNTS = 'num_detections'

# Up to this number float16 has every whole number; its largest is 65504.
_FLOAT16_WHOLE = 2048
_UINT8_MOST = 255

# What upstream's models put into an output decides which dtypes can hold it. An
# output in no table may hold anything: logits, features, pixels, other people's.
#
# From 0 to 1: scores behind a sigmoid or softmax, and boxes in units of the image
# that were clipped to it; keypoints are not clipped. float16 is exact to 0.0005.
_FROM_0_TO_1 = frozenset([
    'detection_boxes', 'detection_keypoint_scores', MASKS,
    'detection_multiclass_scores', 'detection_scores', 'proposal_boxes_normalized',
    'raw_detection_scores'])
# Whole numbers, of which only these two have a bound that is known here; anchor
# indices run into the hundreds of thousands.
_CLASSES = 'detection_classes'
_WHOLE = frozenset([_CLASSES, COUNTS, 'detection_anchor_indices', 'image_shape',
                    'num_proposals'])


class CompactOptionError(UserError):
  """A compact option that is malformed or does not fit the model."""


@dataclasses.dataclass(frozen=True)
class CompactOptions:
  """How kept outputs are made smaller.

  Attributes:
    min_score: detections with a lower score are cut off; None keeps all.
    max_detections: at most so many detections of an image stay; None keeps all.
    mask_threshold: `detection_masks` become 1 where the probability is at least
      this and 0 elsewhere, as uint8 unless `dtypes` says otherwise.
    dtypes: (pattern, dtype) pairs; a pattern is an output key or a shell glob, a
      dtype one of `DTYPES`. Of several that match a key the last one counts.

  Raises:
    CompactOptionError: a value is out of range.
  """
  min_score: float | None = None
  max_detections: int | None = None
  mask_threshold: float | None = None
  dtypes: tuple[tuple[str, str], ...] = ()

  def __post_init__(self):
    for name in ('min_score', 'mask_threshold'):
      value = getattr(self, name)
      if value is not None and not (_is_number(value) and 0 <= value <= 1):
        raise CompactOptionError(
            f'{name} is {value!r}; it must be a number from 0 to 1.')
    most = self.max_detections
    if most is not None and not (
        isinstance(most, int) and _is_number(most) and most >= 1):
      raise CompactOptionError(
          f'max_detections is {most!r}; it must be a whole number of 1 or more.')
    for pattern, dtype in self.dtypes:
      _check_dtype(pattern, dtype)

  @property
  def cuts_detections(self) -> bool:
    return self.min_score is not None or self.max_detections is not None

  def or_none(self) -> CompactOptions | None:
    """Itself; None where no option is given."""
    return None if self == CompactOptions() else self

  def replaced_by(self, other: CompactOptions) -> CompactOptions:
    """With the values of `other` where it has any; its dtypes are added."""
    return CompactOptions(
        *(getattr(self if getattr(other, name) is None else other, name)
          for name in ('min_score', 'max_detections', 'mask_threshold')),
        dtypes=self.dtypes + other.dtypes)

  def check_input_type(self, input_type: str) -> None:
    """Raises CompactOptionError where detections may not be cut."""
    if self.cuts_detections and input_type == 'image_and_boxes_tensor':
      raise CompactOptionError(
          'min_score and max_detections do not go with input type'
          ' image_and_boxes_tensor: its masks follow the given boxes, not the'
          ' detections.')

  def dtypes_of(self, keys: Collection[str], num_classes: int,
                most_detections: int | None) -> dict[str, str]:
    """The dtype of each output, `float32` where nothing else was asked for.

    Args:
      keys: the outputs that stay.
      num_classes: of the model, without background.
      most_detections: of one image, None where unknown.

    Raises:
      CompactOptionError: a pattern or `mask_threshold` meets no output, or a
        dtype cannot hold what an output may contain.
    """
    if self.mask_threshold is not None and MASKS not in keys:
      raise CompactOptionError(
          f'mask_threshold needs {MASKS}, which is not among the outputs that'
          f' stay: {", ".join(sorted(keys))}.')
    for pattern, _ in self.dtypes:
      if not fnmatch.filter(keys, pattern):
        raise CompactOptionError(
            f'dtypes has {pattern!r}, which is none of the outputs that stay'
            f'{did_you_mean(pattern, keys) or "."} They are'
            f' {", ".join(sorted(keys))}.')
    most = {_CLASSES: num_classes}
    if most_detections is not None:
      most[COUNTS] = most_detections
    found = {}
    for key in keys:
      found[key] = self._dtype_of(key)
      _check_holds(found[key], key, most.get(key))
    return found

  def _dtype_of(self, key):
    for pattern, dtype in reversed(self.dtypes):
      if fnmatch.fnmatchcase(key, pattern):
        return dtype
    if key == MASKS and self.mask_threshold is not None:
      return 'uint8'
    return 'float32'


def parse_dtypes(text: str) -> tuple[tuple[str, str], ...]:
  """Pairs of a text such as `detection_*=float16,detection_masks=uint8`.

  Raises:
    CompactOptionError: it is not of that form.
  """
  entries = [part.strip() for part in text.split(',') if part.strip()]
  if not entries:
    raise CompactOptionError(
        f'output_dtypes is {text!r}, which names no output; give'
        ' OUTPUT_KEY=DTYPE pairs separated by commas, or leave it out.')
  pairs = []
  for entry in entries:
    pattern, equals, dtype = (part.strip() for part in entry.partition('='))
    if not (pattern and equals and dtype):
      raise CompactOptionError(
          f'output_dtypes has {entry!r}; it must be OUTPUT_KEY=DTYPE, with the'
          f' dtype one of {", ".join(DTYPES)}.')
    pairs.append((pattern, dtype))
  return tuple(pairs)


def options_in(content: Mapping, path: str | os.PathLike) -> CompactOptions:
  """The options in what `output_keys.read_profile` read from `path`.

  Raises:
    CompactOptionError: one of them is malformed.
  """
  values = {name: content.get(name) for name in output_keys.COMPACT_FIELDS}
  dtypes = {} if values['dtypes'] is None else values['dtypes']
  if not isinstance(dtypes, dict) or not all(isinstance(k, str) for k in dtypes):
    raise CompactOptionError(
        f'dtypes in the output profile {path} is {dtypes!r}; it must be a mapping'
        f' of output keys or globs to {", ".join(DTYPES)}.')
  try:
    return CompactOptions(**{**values, 'dtypes': tuple(dtypes.items())})
  except CompactOptionError as e:
    raise CompactOptionError(f'In the output profile {path}, {e}') from e


def _is_number(value) -> bool:
  return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_dtype(pattern, dtype):
  if dtype not in DTYPES:
    raise CompactOptionError(
        f'the dtype of {pattern!r} is {dtype!r}'
        f'{did_you_mean(str(dtype), DTYPES) or "."} Accepted are'
        f' {", ".join(DTYPES)}.')


def _check_holds(dtype: str, key: str, most: int | None):
  reason = _why_not(dtype, key, most)
  if reason:
    raise CompactOptionError(
        f'{key} cannot be {dtype}: {reason}. Leave it out of dtypes, or add'
        f' {key}=float32 behind a glob that it must not follow.')


def _why_not(dtype: str, key: str, most: int | None) -> str | None:
  """Why a dtype cannot hold an output whose values are at most `most`."""
  whole = key in _WHOLE
  if dtype == 'float32' or (dtype, key) == ('uint8', MASKS):
    return None
  if dtype == 'float16':
    if key in _FROM_0_TO_1:
      return None
    if not whole:
      return 'its values are not known to stay in the range of float16, 65504'
    return _beyond(most, _FLOAT16_WHOLE, 'float16 is exact')
  if not whole:
    return 'its values are not whole numbers, and their fractions would be lost'
  return None if dtype == 'int32' else _beyond(most, _UINT8_MOST, 'uint8 goes')


def _beyond(most: int | None, limit: int, what: str) -> str | None:
  if most is None:
    return f'its largest value is not known, and {what} only up to {limit}'
  return f'it can be {most}, and {what} only up to {limit}' if most > limit else None
