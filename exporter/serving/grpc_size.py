"""Bytes of a gRPC `PredictResponse`, from shapes and values alone.

Arithmetic on protobuf's wire format, so that nothing has to be installed or
built to know a size: a length is a varint of 7 bits a byte, and the tag of a
field is one byte up to field 15 and two bytes up to 2047.

The response is `map<string, TensorProto> outputs = 1`; the server adds a
`model_spec` of some 30 bytes that depend on the name it gives the model, and
gRPC a frame of 5 bytes. Neither is counted here.

    n = output_bytes('detection_boxes', (1, 100, 4), 1600)   # 1642
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

# What a gRPC client takes in one message unless told otherwise
# (`grpc.max_receive_message_length`).
DEFAULT_LIMIT_BYTES = 4 * 1024 * 1024

_ITEM_BYTES = {
    'float16': 2, 'bfloat16': 2, 'float32': 4, 'float64': 8, 'complex64': 8,
    'complex128': 16, 'bool': 1, 'int8': 1, 'int16': 2, 'int32': 4, 'int64': 8,
    'uint8': 1, 'uint16': 2, 'uint32': 4, 'uint64': 8, 'qint8': 1, 'quint8': 1,
    'qint16': 2, 'quint16': 2, 'qint32': 4, 'float8_e5m2': 1,
    'float8_e4m3fn': 1, 'int4': 1, 'uint4': 1,
}

# The repeated fields of TensorProto that hold values as varints, by number.
_VARINT_FIELDS = {
    'int32': 7, 'int16': 7, 'int8': 7, 'uint8': 7, 'uint16': 7, 'int64': 10,
    'bool': 11, 'float16': 13, 'bfloat16': 13, 'uint32': 16, 'uint64': 17,
}
_FIXED_FIELDS = {'float32': 5, 'float64': 6}
_STRING_FIELD = 8


def content_bytes(dtype: str, shape: Sequence[int]) -> int | None:
  """Bytes of `tensor_content`; None for strings and other unsized types."""
  item = _ITEM_BYTES.get(dtype)
  return None if item is None else item * math.prod(shape)


def string_content_bytes(strings: Iterable[bytes]) -> int:
  """Bytes of the `tensor_content` of strings: all lengths, then all strings."""
  return sum(_varint_bytes(len(s)) + len(s) for s in strings)


def output_bytes(key: str, shape: Sequence[int], content: int) -> int:
  """Bytes that an output adds to the response as `tensor_content`.

  Args:
    key: its name in the signature.
    shape: its dimensions, all known.
    content: bytes of its `tensor_content`.
  """
  return _entry_bytes(key, shape, _field_bytes(4, content) if content else 0)


def output_bytes_as_fields(key: str, dtype: str, values: np.ndarray) -> int | None:
  """Bytes that an output adds to the response as `float_val`, `int_val` and so on.

  It is how `tensorflow_model_server` answers unless it is started with
  `--enable_serialization_as_tensor_content`. Floats take the same room;
  integers are varints there, and a float16 is the varint of its 16 bits.

  Args:
    key: its name in the signature.
    dtype: TensorFlow's name of its type.
    values: the tensor; strings as an object array of `bytes`.

  Returns:
    The bytes; None for types that are not numbers, booleans or strings.
  """
  if dtype == 'string':
    body = sum(_field_bytes(_STRING_FIELD, len(s)) for s in values.ravel())
  elif dtype in _FIXED_FIELDS:
    body = _packed_bytes(_FIXED_FIELDS[dtype], values.nbytes)
  elif dtype in _VARINT_FIELDS:
    body = _packed_bytes(_VARINT_FIELDS[dtype], _varints_bytes(dtype, values))
  else:
    return None
  return _entry_bytes(key, values.shape, body)


def _entry_bytes(key: str, shape: Sequence[int], values_field: int) -> int:
  """A map entry of `key` and a TensorProto whose values take `values_field`."""
  dims = sum(_field_bytes(2, 1 + _varint_bytes(d) if d else 0) for d in shape)
  tensor = 2 + _field_bytes(2, dims) + values_field  # 2: dtype, a small enum.
  entry = _field_bytes(1, len(key.encode())) + _field_bytes(2, tensor)
  return _field_bytes(1, entry)


def _packed_bytes(number: int, payload: int) -> int:
  return _field_bytes(number, payload) if payload else 0


def _field_bytes(number: int, payload: int) -> int:
  """Bytes of a length-delimited field that holds `payload` bytes."""
  return (1 if number < 16 else 2) + _varint_bytes(payload) + payload


def _varint_bytes(n: int) -> int:
  return max(1, -(-n.bit_length() // 7))


def _varints_bytes(dtype: str, values: np.ndarray) -> int:
  if dtype in ('float16', 'bfloat16'):
    values = np.ascontiguousarray(values).view(np.uint16)
  # A negative number is written as the 64 bits of its two's complement.
  signed = np.issubdtype(values.dtype, np.signedinteger)
  bits = values.astype(np.int64).view(np.uint64) if signed else values.astype(np.uint64)
  limits = np.array([1 << 7 * k for k in range(1, 10)], dtype=np.uint64)
  return int(bits.size + np.searchsorted(limits, bits.ravel(), side='right').sum())
