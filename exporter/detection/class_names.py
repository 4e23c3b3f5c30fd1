"""The output that says in words what was detected, as a part of the graph."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from exporter.errors import UserError

# As AutoML's and Vertex AI's exports name it.
KEY = 'detection_classes_as_text'
_CLASSES = 'detection_classes'


def as_text(detections: Mapping[str, tf.Tensor], names: Mapping[int, str],
            num_classes: int) -> tf.Tensor:
  """The name of each detection's class; `''` where the id has none.

  Args:
    detections: every output of the model; `detection_classes` counts as the label map
      does, from 1.
    names: by id.
    num_classes: of the model, without background.

  Returns:
    string [batch, detections].

  Raises:
    UserError: the model returns no classes.
  """
  if _CLASSES not in detections:
    raise UserError(
        f'A label map needs {_CLASSES}, which this model does not return; its outputs'
        f' are {", ".join(sorted(detections))}.')
  # Ids outside of what the model knows point to the last entry, which is empty.
  by_id = [names.get(i, '') for i in range(num_classes + 1)] + ['']
  ids = tf.cast(detections[_CLASSES], tf.int32)
  known = (ids >= 0) & (ids <= num_classes)
  return tf.gather(tf.constant(by_id), tf.where(known, ids, num_classes + 1))
