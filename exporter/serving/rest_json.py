r"""JSON of a predict response, as TensorFlow Serving's REST API writes it.

The server has two forms. A request with `instances` is answered in rows, one
object for each element of the batch; a request with `inputs` is answered in
columns, one entry for each output. It writes with rapidjson's pretty writer:
rows keep every tensor on one line, columns put every number on a line of its
own, indented by its depth, so columns are two to three times as long.

`render` writes the text. The size of a large response is told without it, from the
length of its values (`values_bytes`) and the rest (`output_bytes`, `frame_bytes`).

    render({'scores': np.float32([[0.5, 0.25]])}, 'row')
    # b'{\n    "predictions": [[0.5, 0.25]\n    ]\n}'
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from exporter.errors import UserError

Form = Literal['row', 'columnar']

_ROOT_KEYS = {'row': 'predictions', 'columnar': 'outputs'}

# Significant digits with which a decimal always reads back as the same number.
_FULL_DIGITS = {'float32': 9, 'float64': 17}
_INTEGERS = ('int8', 'int16', 'int32', 'int64', 'uint8', 'uint32', 'uint64')

# Types of which the server can write values; it answers any other, float16 and
# uint16 among them, with an error.
WRITABLE_DTYPES = frozenset([*_FULL_DIGITS, *_INTEGERS, 'bool', 'string'])

_INDENT = 4
_CHUNK = 1 << 14

_ESCAPES = {
    **{code: b'\\u%04X' % code for code in range(0x20)},
    0x08: b'\\b', 0x09: b'\\t', 0x0A: b'\\n', 0x0C: b'\\f', 0x0D: b'\\r',
    0x22: b'\\"', 0x5C: b'\\\\',
}
_MUST_ESCAPE = bytes(_ESCAPES)


def row_refusal(shapes: Mapping[str, Sequence[int]]) -> str | None:
  """Why the server refuses to answer in rows; None where it does not.

  All outputs must have the same first dimension, the batch, of at least 1.

  Args:
    shapes: shape of each output by key.
  """
  scalars = [key for key, shape in shapes.items() if not shape]
  if scalars:
    return f'{scalars[0]} is a scalar'
  batches = {key: shape[0] for key, shape in shapes.items()}
  empty = [key for key, batch in batches.items() if batch < 1]
  if empty:
    return f'the first dimension of {empty[0]} is 0'
  if len(set(batches.values())) <= 1:
    return None
  first, other = min(batches, key=batches.get), max(batches, key=batches.get)
  return (f'the first dimension of {first} is {batches[first]} and of {other}'
          f' {batches[other]}')


def render(outputs: Mapping[str, np.ndarray], form: Form) -> bytes:
  """The JSON text of a response, UTF-8.

  Outputs are written in the order given; the server's order is that of a hash
  map. Floats that are not finite are written as NaN, Infinity and -Infinity.

  Args:
    outputs: tensors by key; strings as object arrays of `bytes`. A key that
      ends in `_bytes` has its strings written as `{"b64": ...}`.
    form: 'row' or 'columnar'.

  Raises:
    UserError: the server would refuse to write this response.
  """
  for key, array in outputs.items():
    if dtype_name(array) not in WRITABLE_DTYPES:
      raise UserError(
          f'TensorFlow Serving cannot write {key} as JSON: it is'
          f' {dtype_name(array)}.')
  if form == 'columnar':
    return _render_columns(outputs)
  refusal = row_refusal({key: array.shape for key, array in outputs.items()})
  if refusal:
    raise UserError(f'TensorFlow Serving refuses to answer in rows: {refusal}.')
  return _render_rows(outputs)


def values_bytes(key: str, array: np.ndarray) -> int:
  """Length of the text of all values, without what stands around them."""
  dtype = dtype_name(array)
  as_base64 = is_base64(key, dtype)
  return sum(len(text) for text in _value_texts(array, as_base64))


def output_bytes(key: str, dtype: str, shape: Sequence[int], values: int,
                 form: Form, alone: bool) -> int:
  """Bytes that an output adds to the text.

  Args:
    key: its name in the signature.
    dtype: TensorFlow's name of its type.
    shape: its dimensions, all known.
    values: what `values_bytes` says of it.
    form: 'row' or 'columnar'; for 'row' the first dimension is the batch.
    alone: whether it is the only output, which is written without its key.
  """
  depth = _value_depth(form, alone)
  name = 0 if alone else 1 + depth * _INDENT + len(_string(key.encode())) + 2
  if form == 'columnar':
    return name + values + _layout_bytes(shape, depth, False, is_base64(key, dtype))
  row = name + _layout_bytes(shape[1:], depth, True, is_base64(key, dtype))
  return shape[0] * row + values


def frame_bytes(form: Form, outputs: int, batch: int = 1) -> int:
  """Bytes of the text that belong to no output.

  Args:
    form: 'row' or 'columnar'.
    outputs: how many outputs there are.
    batch: their first dimension; only 'row' asks for it.
  """
  root = len('{\n    "": \n}') + len(_ROOT_KEYS[form])
  if form == 'columnar':
    return root + (len('{\n    }') + outputs - 1 if outputs > 1 else 0)
  if outputs == 1:
    return root + len('[\n    ]') + 2 * (batch - 1)
  item = len('\n        {\n        }') + outputs - 1
  return root + len('[\n    ]') + batch * item + batch - 1


def is_base64(key: str, dtype: str) -> bool:
  """Whether strings of this output are bytes to the server, not text."""
  return dtype == 'string' and key.endswith('_bytes')


def dtype_name(array: np.ndarray) -> str:
  """TensorFlow's name of the type of an array; objects and text are strings."""
  return 'string' if array.dtype.kind in 'OSU' else array.dtype.name


def _render_rows(outputs: Mapping[str, np.ndarray]) -> bytes:
  alone = len(outputs) == 1
  depth = _value_depth('row', alone)
  values = {key: _placed_texts(key, array, depth + array.ndim - 1)
            for key, array in outputs.items()}
  rows = []
  for _ in range(next(iter(outputs.values())).shape[0]):
    tensors = {key: _tensor_text(array.shape[1:], values[key], depth, True)
               for key, array in outputs.items()}
    rows.append(tensors.popitem()[1] if alone else _object_text(tensors, depth - 1))
  if alone:
    # One output is begun on the line of the bracket, as the single-line option
    # is already set then, and ended on the next, as it is not any more.
    body = b'[' + b', '.join(rows) + _newline(1) + b']'
  else:
    body = _lines(b'[', rows, b']', 1)
  return _object_text({_ROOT_KEYS['row']: body}, 0)


def _render_columns(outputs: Mapping[str, np.ndarray]) -> bytes:
  alone = len(outputs) == 1
  depth = _value_depth('columnar', alone)
  tensors = {
      key: _tensor_text(array.shape, _placed_texts(key, array, depth + array.ndim),
                        depth, False)
      for key, array in outputs.items()
  }
  body = tensors.popitem()[1] if alone else _object_text(tensors, depth - 1)
  return _object_text({_ROOT_KEYS['columnar']: body}, 0)


def _value_depth(form: Form, alone: bool) -> int:
  """How many arrays and objects are open where an output's value begins."""
  return {'row': 2, 'columnar': 1}[form] + (0 if alone else 1)


def _newline(depth: int) -> bytes:
  return b'\n' + b' ' * (_INDENT * depth)


def _lines(begin: bytes, items: Sequence[bytes], end: bytes, depth: int) -> bytes:
  """Items on a line each, in brackets that were opened at `depth`."""
  if not items:
    return begin + end
  inner = _newline(depth + 1)
  return begin + inner + (b',' + inner).join(items) + _newline(depth) + end


def _object_text(members: Mapping[str, bytes], depth: int) -> bytes:
  items = [_string(key.encode()) + b': ' + text for key, text in members.items()]
  return _lines(b'{', items, b'}', depth)


def _tensor_text(shape: Sequence[int], values: Iterator[bytes], depth: int,
                 one_line: bool) -> bytes:
  if not shape:
    return next(values)
  items = [_tensor_text(shape[1:], values, depth + 1, one_line)
           for _ in range(shape[0])]
  if one_line:
    return b'[' + b', '.join(items) + b']'
  return _lines(b'[', items, b']', depth)


def _layout_bytes(shape: Sequence[int], depth: int, one_line: bool,
                  as_base64: bool) -> int:
  """Length of `_tensor_text` with the values taken out."""
  if not shape:
    return len(_base64_text(b'', depth)) if as_base64 else 0
  size = shape[0]
  if size == 0:
    return 2
  inner = size * _layout_bytes(shape[1:], depth + 1, one_line, as_base64)
  if one_line:
    return 2 + 2 * (size - 1) + inner
  lines = size * len(_newline(depth + 1)) + len(_newline(depth))
  return 2 + (size - 1) + lines + inner


def _placed_texts(key: str, array: np.ndarray, depth: int) -> Iterator[bytes]:
  """Texts of all values in order, each as it stands at `depth`."""
  if is_base64(key, dtype_name(array)):
    return (_base64_text(text, depth) for text in _value_texts(array, True))
  return iter(_value_texts(array, False))


def _base64_text(quoted: bytes, depth: int) -> bytes:
  return _object_text({'b64': quoted}, depth)


def _value_texts(array: np.ndarray, as_base64: bool) -> Iterable[bytes]:
  flat = array.ravel()
  dtype = dtype_name(array)
  # By chunks: a response may hold tens of millions of values.
  for start in range(0, flat.size, _CHUNK):
    chunk = flat[start:start + _CHUNK]
    if as_base64:
      yield from (b'"' + base64.b64encode(_as_bytes(s)) + b'"' for s in chunk)
    elif dtype == 'string':
      yield from (_string(_as_bytes(s)) for s in chunk)
    elif dtype == 'bool':
      yield from (b'true' if value else b'false' for value in chunk)
    elif dtype in _FULL_DIGITS:
      yield from _decimals(chunk)
    else:
      yield from (b'%d' % value for value in chunk.tolist())


def _decimals(values: np.ndarray) -> list[bytes]:
  """Decimals as the server writes them: six digits where these are enough.

  Otherwise as many as always are. `.0` marks whole numbers as floats, unless
  there is an exponent. NumPy reads a float32 through a float64; for no decimal
  of six digits does that differ from reading it directly.
  """
  numbers = values.tolist()
  text = '%.6g ' * len(numbers) % tuple(numbers)
  texts = text.encode().split()
  finite = np.isfinite(values)
  with np.errstate(over='ignore'):
    read_back = np.fromstring(text, np.float64, sep=' ').astype(values.dtype)
  digits = _FULL_DIGITS[values.dtype.name]
  for i in np.flatnonzero(finite & (read_back != values)).tolist():
    texts[i] = b'%.*g' % (digits, numbers[i])
  for i in np.flatnonzero(~finite).tolist():
    texts[i] = _not_finite(numbers[i])
  whole = finite & (values == np.trunc(values))
  for i in np.flatnonzero(whole).tolist():
    if b'.' not in texts[i] and b'e' not in texts[i]:
      texts[i] += b'.0'
  return texts


def _not_finite(number: float) -> bytes:
  if math.isnan(number):
    return b'NaN'
  return b'Infinity' if number > 0 else b'-Infinity'


def _as_bytes(string: bytes | str) -> bytes:
  return string.encode() if isinstance(string, str) else bytes(string)


def _string(text: bytes) -> bytes:
  """A JSON string; bytes from 0x80 on are passed on as they are."""
  if any(byte in _MUST_ESCAPE for byte in text):
    text = b''.join(_ESCAPES.get(byte) or bytes([byte]) for byte in text)
  return b'"' + text + b'"'
