"""The detections of one image, whatever form a response came in.

    detections = from_rest(json.load(f))   # or from_grpc(stub.Predict(request))

Whatever a model returns is a row or an array an image; the batch is taken off.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping

import numpy as np

from exporter.errors import UserError
from exporter.paths.reading import read_bytes
from exporter.protos.declared import message_class

# One image's outputs by key: arrays without the batch dimension.
Detections = dict[str, np.ndarray]

BOXES, SCORES, CLASSES = 'detection_boxes', 'detection_scores', 'detection_classes'
MASKS, COUNT = 'detection_masks', 'num_detections'
KEYPOINTS, KEYPOINT_SCORES = 'detection_keypoints', 'detection_keypoint_scores'

# The shape of each for N detections.
_SHAPES = {BOXES: ('N', 4), SCORES: ('N',), CLASSES: ('N',),
           MASKS: ('N', 'rows', 'columns'), KEYPOINTS: ('N', 'keypoints', 2),
           KEYPOINT_SCORES: ('N', 'keypoints'), COUNT: ()}


def from_outputs(outputs: Mapping[str, np.ndarray], index: int = 0) -> Detections:
  """The detections of image `index`, of arrays with the batch first.

  Raises:
    UserError: the batch has no such image.
  """
  found = {}
  for key, values in outputs.items():
    values = np.asarray(values)
    if not values.ndim:
      continue  # Not of an image.
    if not 0 <= index < len(values):
      raise UserError(f'The response has {len(values)} images and no image {index};'
                      ' the first is 0.')
    found[key] = values[index]
  return found


def from_grpc(response, index: int = 0) -> Detections:
  """The detections of one image in a `PredictResponse`; imports TensorFlow."""
  import tensorflow as tf
  return from_outputs({key: tf.make_ndarray(tensor)
                       for key, tensor in response.outputs.items()}, index)


def from_rest(response: Mapping, index: int = 0) -> Detections:
  """The detections of one image in a REST response, in rows or in columns.

  Raises:
    UserError: it is an error, no answer to a predict request, or has no such image.
  """
  try:
    if 'predictions' in response:  # To a request with `instances`: by image.
      rows = response['predictions']
      if not 0 <= index < len(rows):
        raise UserError(f'The response has {len(rows)} images and no image {index};'
                        ' the first is 0.')
      return {key: np.asarray(values) for key, values in rows[index].items()}
    if 'outputs' in response:  # To a request with `inputs`: by output.
      return from_outputs(response['outputs'], index)
  except UserError:
    raise
  except (TypeError, AttributeError, ValueError) as e:  # Other JSON, ragged lists.
    raise UserError('The response is not one of a detection model:'
                    f' {str(e).rstrip(".")}.') from e
  said = response.get('error') if isinstance(response, Mapping) else None
  raise UserError('The response has neither predictions nor outputs'
                  + (f': {said!r}.' if said else '.'))


def read_response(path: str | os.PathLike, index: int = 0) -> Detections:
  """The detections of one image in a file: REST's JSON or a `PredictResponse`.

  A file of the latter is what `response.SerializeToString()` gave; it imports
  TensorFlow.

  Raises:
    UserError: it cannot be read, or is neither.
  """
  content = read_bytes(path, 'response')
  start = content.removeprefix(b'\xef\xbb\xbf').lstrip()[:1]
  if start not in (b'{', b'['):  # A PredictResponse begins with a field's tag.
    return from_outputs(_parse_grpc(content, path), index)
  try:
    response = json.loads(content)
  except (ValueError, RecursionError) as e:
    raise UserError(f'The response {path} is not valid JSON: {e}.') from e
  return from_rest(response, index)


def check_drawable(detections: Detections) -> None:
  """Raises UserError where there is nothing to draw, or a shape does not fit."""
  if BOXES not in detections and KEYPOINTS not in detections:
    raise UserError(
        f'The response has neither {BOXES} nor {KEYPOINTS}, only'
        f' {", ".join(sorted(detections)) or "nothing"}.')
  if MASKS in detections and BOXES not in detections:
    raise UserError(f'The response has {MASKS} and no {BOXES}, which say where they'
                    ' lie.')
  count = count_of(detections)
  for key, names in _SHAPES.items():
    # JSON has lost the shapes of what is empty.
    if key not in detections or not count:
      continue
    array = detections[key]
    if not np.issubdtype(array.dtype, np.number) or array.ndim != len(names) or any(
        isinstance(name, int) and name != size for name, size in zip(names, array.shape)
        ) or (names and len(array) < count):
      raise UserError(
          f'{key} is {array.dtype} {list(array.shape)}; for {count} detections it'
          f' must be numbers of the shape [{", ".join(map(str, names))}].')
  if count:  # Else nothing is drawn.
    _check_values(detections, count)


def _check_values(detections: Detections, count: int) -> None:
  classes = np.asarray(detections.get(CLASSES, ()))[:count]
  if not np.isfinite(classes).all():
    raise UserError(f'{CLASSES} holds {classes[~np.isfinite(classes)][0]}, which is no'
                    ' class.')
  if KEYPOINTS in detections and KEYPOINT_SCORES in detections:
    of_points, of_scores = (
        detections[key].shape[1] for key in (KEYPOINTS, KEYPOINT_SCORES))
    if of_points != of_scores:
      raise UserError(f'{KEYPOINTS} has {of_points} points for each detection and'
                      f' {KEYPOINT_SCORES} {of_scores} scores.')


def count_of(detections: Detections) -> int:
  """How many detections there are: `num_detections`, or all rows."""
  if COUNT in detections:
    count = np.asarray(detections[COUNT])
    if (count.size != 1 or not np.issubdtype(count.dtype, np.number)
        or not np.isfinite(count) or count < 0):
      raise UserError(f'{COUNT} is {count.tolist()}; it must be one number.')
    return int(count.reshape([]))
  return min((len(detections[key]) for key in (BOXES, SCORES, KEYPOINTS)
              if key in detections), default=0)


def _parse_grpc(content: bytes, path) -> dict[str, np.ndarray]:
  from google.protobuf.message import DecodeError
  problem = None
  try:
    entries = _response_class().FromString(content).outputs
  except DecodeError as e:
    entries, problem = [], e
  if not entries:
    raise UserError(f'The response {path} is neither JSON nor a serialized'
                    f' PredictResponse.') from problem
  import tensorflow as tf
  from tensorflow.core.framework import tensor_pb2
  try:
    return {entry.key: tf.make_ndarray(tensor_pb2.TensorProto.FromString(entry.value))
            for entry in entries}
  except (DecodeError, TypeError, ValueError) as e:
    raise UserError(f'The response {path} is damaged: {e}.') from e


@functools.cache
def _response_class():
  """`PredictResponse`, its tensors unparsed, without tensorflow_serving."""
  return message_class('exporter.serving.detections', {
      'Entry': {'key': (1, 'string'), 'value': (2, 'bytes')},
      'Response': {'outputs': (1, 'Entry*')}}, 'Response')
