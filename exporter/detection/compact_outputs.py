"""Makes the outputs of a model smaller, as a part of its graph.

Three steps, each left out where no option asks for it: masks become 0 and 1,
detections that do not count are cut off, dtypes are changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from absl import logging
import tensorflow as tf

from exporter.detection.compact_options import (
    COUNTS, MASKS, CompactOptionError, CompactOptions)

_SCORES = 'detection_scores'
_PER_DETECTION = 'detection_'  # What their keys begin with.


def compact(detections: Mapping[str, tf.Tensor], kept: Sequence[str],
            options: CompactOptions, num_classes: int) -> dict[str, tf.Tensor]:
  """The kept outputs, made smaller as `options` say.

  Cutting keeps the order of detections. The batch is then as long as its longest
  image; rows behind an image's `num_detections` are zeros.

  Args:
    detections: every output of the model: [batch, detections, ...] where the key
      begins with `detection_`, [batch] for num_detections.
    kept: keys of those that are returned.
    options: how.
    num_classes: of the model, without background.

  Returns:
    The outputs by key, float32 where the options say nothing else.

  Raises:
    CompactOptionError: the options do not fit the outputs.
  """
  outputs = {key: as_number(detections[key]) for key in kept}
  most = _most_detections(detections, options)
  numbers = [key for key in kept if detections[key].dtype != tf.string]
  dtypes = options.dtypes_of(numbers, num_classes, most)
  # Before the cut, whose padding a threshold of 0 would turn into ones.
  if options.mask_threshold is not None:
    outputs[MASKS] = tf.cast(
        outputs[MASKS] >= options.mask_threshold, tf.float32)
  if options.cuts_detections:
    outputs = _cut(outputs, detections, options)
  _warn_of_float16(dtypes)
  are_probabilities = (options.mask_threshold is None and MASKS in kept
                       and detections[MASKS].dtype.is_floating)
  return {key: output if key not in dtypes else _as_dtype(
      output, dtypes[key], key == MASKS and are_probabilities)
          for key, output in outputs.items()}


def as_number(output: tf.Tensor) -> tf.Tensor:
  """As upstream returns every output, in float32; names of classes stay strings."""
  return output if output.dtype == tf.string else tf.cast(output, tf.float32)


def _cut(outputs, detections, options):
  if _SCORES not in detections or COUNTS not in detections:
    raise CompactOptionError(
        f'min_score and max_detections need {_SCORES} and {COUNTS}, and the model'
        f' returns only {", ".join(sorted(detections))}.')
  scores = tf.cast(detections[_SCORES], tf.float32)
  order, counts = _rows_to_keep(
      scores, tf.cast(detections[COUNTS], tf.int32), options)
  cut = {}
  for key, output in outputs.items():
    if key.startswith(_PER_DETECTION):
      _check_has_rows(key, output, scores)
      cut[key] = _take_rows(output, order, counts)
    else:
      cut[key] = output
  if COUNTS in cut:
    cut[COUNTS] = tf.cast(counts, tf.float32)
  return cut


def _rows_to_keep(scores, num_detections, options):
  """int32 [batch, longest] indices of rows, the kept ones first, and [batch] counts.

  Args:
    scores: float32 [batch, detections].
    num_detections: int32 [batch].
    options: min_score and max_detections.
  """
  keep = tf.sequence_mask(num_detections, tf.shape(scores)[1])
  if options.min_score is not None:
    keep &= scores >= options.min_score
  if options.max_detections is not None:
    keep &= tf.cumsum(tf.cast(keep, tf.int32), axis=1) <= options.max_detections
  counts = tf.reduce_sum(tf.cast(keep, tf.int32), axis=1)
  # Of an empty batch the maximum is not 0 but the smallest int32.
  longest = tf.maximum(tf.reduce_max(counts), 0)
  order = tf.argsort(tf.cast(~keep, tf.int32), axis=1, stable=True)
  return order[:, :longest], counts


def _take_rows(output, order, counts):
  """Rows of [batch, detections, ...] by index, zeros behind each image's count."""
  rows = tf.gather(output, order, batch_dims=1)
  is_row = tf.sequence_mask(counts, tf.shape(order)[1])
  is_row = is_row[(..., *[tf.newaxis] * (rows.shape.rank - 2))]
  return tf.where(is_row, rows, tf.zeros([], rows.dtype))


def _check_has_rows(key, output, scores):
  rank = output.shape.rank
  if (rank is None or rank < 2
      or not output.shape[:2].is_compatible_with(scores.shape[:2])):
    raise CompactOptionError(
        f'{key} has the shape {output.shape}, which is not one row for each of'
        f' the detections in {_SCORES}, {scores.shape}; min_score and'
        ' max_detections cannot cut it, so leave it out.')


def _most_detections(detections, options) -> int | None:
  """The largest num_detections that there can be; None where unknown."""
  rows = None
  if _SCORES in detections and detections[_SCORES].shape.rank == 2:
    rows = detections[_SCORES].shape[1]
  return min((most for most in (rows, options.max_detections) if most is not None),
             default=None)


def _as_dtype(output, dtype, is_probability):
  if dtype == 'uint8' and is_probability:
    # Saturated, as a fork's masks may leave 0 to 1; a plain cast would wrap.
    return tf.saturate_cast(tf.round(output * 255), tf.uint8)
  return tf.cast(output, dtype)


def _warn_of_float16(dtypes):
  halves = sorted(key for key, dtype in dtypes.items() if dtype == 'float16')
  if halves:
    logging.warning(
        'float16 (%s) goes over gRPC only: TensorFlow Serving cannot write it as'
        ' JSON and answers REST requests with an error.', ', '.join(halves))
