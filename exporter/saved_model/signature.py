"""Reads the signatures of a SavedModel without importing TensorFlow.

Only the few fields of `saved_model.pb` that describe signatures are declared
here, by their numbers in the format; protobuf skips the graph and the rest.

    signature = read_signature('/models/mask_rcnn')
    signature.outputs['detection_boxes']
    # TensorSpec(key='detection_boxes', dtype='float32', shape=(1, 100, 4))
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable
from typing import Any

from exporter.errors import UserError, did_you_mean
from exporter.protos.declared import message_class
from exporter.saved_model.files import SavedModelFiles

DEFAULT_SIGNATURE = 'serving_default'

_DTYPES = {
    1: 'float32', 2: 'float64', 3: 'int32', 4: 'uint8', 5: 'int16', 6: 'int8',
    7: 'string', 8: 'complex64', 9: 'int64', 10: 'bool', 11: 'qint8',
    12: 'quint8', 13: 'qint32', 14: 'bfloat16', 15: 'qint16', 16: 'quint16',
    17: 'uint16', 18: 'complex128', 19: 'float16', 20: 'resource',
    21: 'variant', 22: 'uint32', 23: 'uint64', 24: 'float8_e5m2',
    25: 'float8_e4m3fn', 29: 'int4', 30: 'uint4',
}

# Message -> field -> (number, type); a star marks a repeated field. A map is a
# repeated entry of key and value on the wire.
_SCHEMA = {
    'SavedModel': {'meta_graphs': (2, 'MetaGraph*')},
    'MetaGraph': {'meta_info_def': (1, 'MetaInfo'),
                  'signature_def': (5, 'SignatureEntry*')},
    'MetaInfo': {'tags': (4, 'string*')},
    'SignatureEntry': {'key': (1, 'string'), 'value': (2, 'Signature')},
    'Signature': {'inputs': (1, 'TensorEntry*'), 'outputs': (2, 'TensorEntry*')},
    'TensorEntry': {'key': (1, 'string'), 'value': (2, 'TensorInfo')},
    'TensorInfo': {'dtype': (2, 'int64'), 'shape': (3, 'Shape')},
    'Shape': {'dims': (2, 'Dim*'), 'unknown_rank': (3, 'bool')},
    'Dim': {'size': (1, 'int64')},
}


@dataclasses.dataclass(frozen=True)
class TensorSpec:
  """One input or output of a signature.

  Attributes:
    key: its name in the signature.
    dtype: TensorFlow's name of the type, such as 'float32' or 'string'.
    shape: its dimensions, None where a dimension is unknown; None altogether
      where the rank is.
  """
  key: str
  dtype: str
  shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class Signature:
  """A signature: `inputs` and `outputs` by key, in alphabetical order.

  `tags` are those of the graph that holds it, for `tf.saved_model.load`.
  """
  name: str
  tags: tuple[str, ...]
  inputs: dict[str, TensorSpec]
  outputs: dict[str, TensorSpec]


def shape_text(shape: tuple[int | None, ...] | None) -> str:
  """'[1, ?, 4]' for (1, None, 4); '?' for None."""
  if shape is None:
    return '?'
  return '[' + ', '.join('?' if size is None else str(size) for size in shape) + ']'


def read_signatures(directory: str | os.PathLike[str],
                    tag_set: Iterable[str] | None = None) -> dict[str, Signature]:
  """Every signature of the SavedModel in (or below) `directory`, by name.

  Args:
    directory: see `files.find_saved_model`.
    tag_set: of the MetaGraph that is meant, see `SavedModelFiles.open`.

  Raises:
    UserError: see `SavedModelFiles.open`.
  """
  meta_graph = SavedModelFiles.open(
      directory, tag_set, _saved_model_class()).serving_graph
  tags = tuple(meta_graph.meta_info_def.tags)
  return {
      entry.key: Signature(entry.key, tags, _specs(entry.value.inputs),
                           _specs(entry.value.outputs))
      for entry in sorted(meta_graph.signature_def, key=lambda e: e.key)
  }


def read_signature(directory: str | os.PathLike[str], name: str = DEFAULT_SIGNATURE,
                   tag_set: Iterable[str] | None = None) -> Signature:
  """The signature `name` of the SavedModel in (or below) `directory`.

  Raises:
    UserError: as `read_signatures`, or there is no signature `name` in it, or
      that signature has no outputs.
  """
  signatures = read_signatures(directory, tag_set)
  # What loaders run before serving is kept as a signature, and is none.
  served = [key for key in signatures if key != '__saved_model_init_op']
  if name not in signatures:
    raise UserError(
        f'{directory} has no signature {name!r}{did_you_mean(name, served)};'
        f' its signatures are {", ".join(served) or "none"}.')
  signature = signatures[name]
  if not signature.outputs:
    raise UserError(f'The signature {name!r} of {directory} has no outputs.')
  return signature


def _specs(entries: Iterable[Any]) -> dict[str, TensorSpec]:
  return {
      entry.key: TensorSpec(entry.key, _dtype_name(entry.value.dtype),
                            _shape(entry.value))
      for entry in sorted(entries, key=lambda e: e.key)
  }


def _dtype_name(number: int) -> str:
  return _DTYPES.get(number, f'dtype {number}')


def _shape(tensor_info: Any) -> tuple[int | None, ...] | None:
  if not tensor_info.HasField('shape') or tensor_info.shape.unknown_rank:
    return None
  return tuple(None if dim.size < 0 else dim.size for dim in tensor_info.shape.dims)


@functools.cache
def _saved_model_class() -> Any:
  return message_class('exporter.saved_model.signature', _SCHEMA, 'SavedModel')
