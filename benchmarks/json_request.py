"""Reads the JSON of a predict request as TensorFlow Serving's REST API does.

    {"signature_name": "...", "instances": [row, ...]}    answered in rows
    {"signature_name": "...", "inputs": ...}              answered in columns

A row, or `inputs`, is an object with a value for each input, or the value itself
where the signature has a single input. Bytes are `{"b64": "..."}`. The answer's
JSON is `exporter.serving.rest_json`'s.
"""

import base64
import binascii
import dataclasses
import json
from collections.abc import Mapping

import grpc
import numpy as np

from benchmarks.served_models import ServingError
from exporter.saved_model.signature import DEFAULT_SIGNATURE, Signature, TensorSpec
from exporter.serving.rest_json import WRITABLE_DTYPES, Form

# Kinds of NumPy types that JSON values may come as, by the kind of the input.
_ACCEPTED_KINDS = {'f': 'iuf', 'i': 'iu', 'u': 'iu', 'b': 'b'}


@dataclasses.dataclass(frozen=True)
class JsonRequest:
  """A predict request.

  Attributes:
    signature: its name.
    inputs: arrays by input key, of the signature's types.
    form: in which the answer is to be written.
  """
  signature: str
  inputs: dict[str, np.ndarray]
  form: Form


def parse(body: bytes, signatures: Mapping[str, Signature]) -> JsonRequest:
  """Reads the body of a request.

  Args:
    body: JSON, UTF-8.
    signatures: of the model.

  Raises:
    ServingError: it is no predict request for one of the signatures.
  """
  request = _load(body)
  name = request.get('signature_name', DEFAULT_SIGNATURE)
  if not isinstance(name, str):
    raise _invalid("'signature_name' key must be a string value.")
  if name not in signatures:
    raise _invalid(f'Serving signature name: "{name}" not found in signature def')
  specs = signatures[name].inputs
  if 'instances' in request and 'inputs' in request:
    raise _invalid('Not formatted correctly expecting only one of'
                   " 'inputs' or 'instances' keys to exist")
  if 'instances' in request:
    return JsonRequest(name, _from_rows(request['instances'], specs), 'row')
  if 'inputs' in request:
    return JsonRequest(name, _from_columns(request['inputs'], specs), 'columnar')
  raise _invalid("Missing 'inputs' or 'instances' key")


def _load(body: bytes) -> dict:
  if not body:
    raise _invalid('JSON Parse error: The document is empty')
  try:
    request = json.loads(body)
  except (ValueError, RecursionError) as e:
    raise _invalid(f'JSON Parse error: {e}') from e
  if not isinstance(request, dict):
    raise _invalid('JSON Value: Is not object')
  return request


def _from_rows(rows, specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
  if not isinstance(rows, list):
    raise _invalid("Excepting 'instances' to be an list/array")
  if not rows:
    raise _invalid("No values in 'instances' array")
  if not _is_object(rows[0]):
    return _only_array(rows, specs, 'instances')
  for i, row in enumerate(rows):
    if not _is_object(row) or set(row) != set(specs):
      raise _invalid(f"Failed to process element: {i} of 'instances' list. Keys must"
                     f' be equal to: {",".join(sorted(specs))}')
  return {key: _array([row[key] for row in rows], spec)
          for key, spec in specs.items()}


def _from_columns(columns, specs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
  if not _is_object(columns):
    return _only_array(columns, specs, 'inputs')
  missing = sorted(set(specs) - set(columns))
  if missing:
    raise _invalid(f"Missing named input: {missing[0]} in 'inputs' object.")
  return {key: _array(columns[key], spec) for key, spec in specs.items()}


def _is_object(value) -> bool:
  return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value) -> bool:
  return (isinstance(value, dict) and set(value) == {'b64'}
          and isinstance(value['b64'], str))


def _only_array(value, specs: Mapping[str, TensorSpec],
                what: str) -> dict[str, np.ndarray]:
  if len(specs) != 1:
    raise _invalid(f'{what} is a plain list, but expecting objects as the signature'
                   f' has the inputs {",".join(sorted(specs))}')
  (spec,) = specs.values()
  return {spec.key: _array(value, spec)}


def _array(value, spec: TensorSpec) -> np.ndarray:
  if spec.dtype not in WRITABLE_DTYPES:
    raise ServingError(grpc.StatusCode.UNIMPLEMENTED,
                       f'Conversion of JSON Value to type: {spec.dtype}')
  read = _string_array if spec.dtype == 'string' else _number_array
  return read(value, spec)


def _number_array(value, spec: TensorSpec) -> np.ndarray:
  try:
    array = np.array(value)
  except ValueError as e:  # Lists of unequal lengths.
    raise _invalid(f'Encountered list at unexpected size in {spec.key}') from e
  dtype = np.dtype(spec.dtype)
  if array.size and array.dtype.kind not in _ACCEPTED_KINDS[dtype.kind]:
    raise _invalid(
        f'JSON Value of {spec.key} is not of expected type: {spec.dtype}')
  return array.astype(dtype)


def _string_array(value, spec: TensorSpec) -> np.ndarray:
  strings = _decoded(value, spec)
  array = np.array(strings, dtype=object)
  if any(isinstance(item, list) for item in array.ravel()):
    raise _invalid(f'Encountered list at unexpected size in {spec.key}')
  return array


def _decoded(value, spec: TensorSpec):
  """The strings of nested lists as bytes."""
  if isinstance(value, list):
    return [_decoded(item, spec) for item in value]
  if isinstance(value, str):
    return value.encode()
  if not _is_base64(value):
    raise _invalid(f'JSON Value of {spec.key} is not of expected type: string')
  try:
    return base64.b64decode(value['b64'], validate=True)
  except (binascii.Error, ValueError) as e:
    raise _invalid('Unable to base64 decode') from e


def _invalid(message: str) -> ServingError:
  return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
