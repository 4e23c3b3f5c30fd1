"""Fits warm-up requests that were copied with a SavedModel to what is left of it.

TensorFlow Serving refuses a model that cannot answer one of them: one that calls a
signature that went, sends an input by its former name or asks for an output that went.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping
from typing import Any

from exporter.errors import UserError
from exporter.protos.declared import message_class
from exporter.saved_model.signature import DEFAULT_SIGNATURE
from exporter.serving import warmup_requests

# The fields that name something, of those with a request for one signature.
_LOGS = ('classify_log', 'regress_log', 'predict_log')
_SCHEMA = {
    'PredictionLog': {'classify_log': (2, 'Log'), 'regress_log': (3, 'Log'),
                      'predict_log': (6, 'Log')},
    'Log': {'request': (1, 'Request')},
    'Request': {'model_spec': (1, 'ModelSpec'), 'inputs': (2, 'bytes*'),
                'output_filter': (3, 'string*')},
    'ModelSpec': {'signature_name': (3, 'string')},
    'InputEntry': {'key': (1, 'string'), 'value': (2, 'bytes')},
}


def fit(saved_model_dir: str, outputs: Mapping[str, Collection[str]],
        renamed: Mapping[str, str], renamed_signatures: Mapping[str, str]) -> int:
  """Rewrites the requests in a SavedModel, if there are any.

  Args:
    saved_model_dir: the SavedModel.
    outputs: the output keys that it has, by signature, by their former names.
    renamed: what inputs and outputs are called now, by their former names.
    renamed_signatures: the same of signatures.

  Returns:
    How many requests went, as they call a signature that is not in `outputs`.

  Raises:
    UserError: the file is damaged.
  """
  path = os.path.join(saved_model_dir, warmup_requests.FILE)
  if not os.path.exists(path):
    return 0
  before = _read(path)
  after = []
  for record in before:
    log = _log_class().FromString(record)
    name = next((field for field in _LOGS if log.HasField(field)), None)
    if name is None:  # Of several signatures, or of none.
      after.append(record)
    elif _fit(getattr(log, name).request, name == 'predict_log', outputs, renamed,
              renamed_signatures):
      is_the_same = log == _log_class().FromString(record)
      after.append(record if is_the_same else log.SerializeToString(deterministic=True))
  if after != before:
    _write(path, after)
  return len(before) - len(after)


def _fit(request: Any, is_predict: bool, outputs: Mapping[str, Collection[str]],
         renamed: Mapping[str, str], renamed_signatures: Mapping[str, str]) -> bool:
  """Whether the request can be answered, by the names that it has then."""
  signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
  if signature not in outputs:
    return False
  if signature in renamed_signatures:
    request.model_spec.signature_name = renamed_signatures[signature]
  if is_predict:
    asked = [key for key in request.output_filter if key in outputs[signature]]
    request.output_filter[:] = [renamed.get(key, key) for key in asked]
    request.inputs[:] = [_renamed_entry(entry, renamed) for entry in request.inputs]
  return True


def _renamed_entry(serialized: bytes, renamed: Mapping[str, str]) -> bytes:
  entry = _entry_class().FromString(serialized)
  if entry.key not in renamed:
    return serialized
  entry.key = renamed[entry.key]
  return entry.SerializeToString(deterministic=True)


def _read(path: str) -> list[bytes]:
  import tensorflow as tf
  try:
    return [record.numpy() for record in tf.data.TFRecordDataset(path)]
  except tf.errors.OpError as e:
    raise UserError(f'The warm-up requests {warmup_requests.FILE} are damaged; delete'
                    ' them or give new ones with --warmup_image.') from e


def _write(path: str, records: list[bytes]) -> None:
  import tensorflow as tf
  with tf.io.TFRecordWriter(path) as writer:
    for record in records:
      writer.write(record)


@functools.cache
def _log_class() -> Any:
  return message_class('exporter.serving.copied_requests.log', _SCHEMA, 'PredictionLog')


@functools.cache
def _entry_class() -> Any:
  return message_class('exporter.serving.copied_requests.entry', _SCHEMA, 'InputEntry')
