"""Rows as an Arrow table, in the schema that all parts of a run share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from exporter.batch.detector import Detector
from exporter.batch.rows import RowOptions, Row

_MASK_CODE = pa.struct([('size', pa.list_(pa.int32())), ('counts', pa.string())])
# Which Parquet and its readers lack.
_WIDENED = {'float16': 'float32', 'bfloat16': 'float32', 'string': 'binary'}


def schema_of(detector: Detector, options: RowOptions) -> pa.Schema:
  """The columns of a run's rows.

  Nested lists are as deep as the outputs of the signature have dimensions.
  """
  has = {name: options.has(name, detector.signature)
         for name in ('boxes', 'scores', 'classes', 'class_names', 'masks')}
  code = options.masks == 'rle'
  types = {
      'boxes': _lists(pa.float32(), 2), 'scores': _lists(pa.float32(), 1),
      'classes': _lists(pa.int32(), 1), 'class_names': _lists(pa.string(), 1),
      'masks': _lists(_MASK_CODE, 1) if code else _lists(pa.float32(), 3)}
  fields = [('path', pa.string()), ('height', pa.int32()), ('width', pa.int32()),
            ('error', pa.string()),
            *((name, types[name]) for name in types if has[name])]
  for key in options.columns:
    spec = detector.signature.outputs[key]
    value = pa.type_for_alias(_WIDENED.get(spec.dtype, spec.dtype))
    depth = len(spec.shape or ()) - detector.has_batch(key)
    fields.append((key, _lists(value, max(depth, 0))))
  return pa.schema(fields)


def table_of(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
  """Rows as a table; what a row lacks is null."""
  return pa.table([_column([row.get(field.name) for row in rows], field.type)
                   for field in schema], schema=schema)


def _lists(value: pa.DataType, depth: int) -> pa.DataType:
  for _ in range(depth):
    value = pa.list_(value)
  return value


def _column(values: list, type_: pa.DataType) -> pa.Array:
  first = next((value for value in values if value is not None), None)
  if isinstance(first, np.ndarray) and first.ndim and first.dtype != object:
    return _nested(values, type_)
  return pa.array([value.tolist() if isinstance(value, (np.ndarray, np.generic))
                   else value for value in values], type_)


def _nested(values: list[np.ndarray | None], type_: pa.DataType) -> pa.Array:
  """Arrays as lists of lists, without making a Python object of each number."""
  arrays = [value for value in values if value is not None]
  depth = arrays[0].ndim
  leaf = type_
  for _ in range(depth):
    leaf = leaf.value_type
  # Arrow does not know all of TensorFlow's types.
  flat = np.concatenate([array.ravel() for array in arrays])
  column = pa.array(flat.astype(leaf.to_pandas_dtype()), leaf)
  for dimension in range(depth - 1, 0, -1):
    lengths = np.concatenate([
        np.full(int(np.prod(array.shape[:dimension])), array.shape[dimension])
        for array in arrays])
    column = pa.ListArray.from_arrays(_offsets(lengths), column)
  lengths = [0 if value is None else len(value) for value in values]
  return pa.ListArray.from_arrays(
      _offsets(lengths), column,
      mask=pa.array([value is None for value in values]))


def _offsets(lengths) -> pa.Array:
  return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
