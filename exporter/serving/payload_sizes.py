"""What each output of a signature costs in one response, on gRPC and on REST.

`static_payload` knows shapes only: gRPC sizes are exact then, and the length of
a number in JSON is a typical one. `measured_payload` knows the values as well
and is exact throughout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np

from exporter.saved_model.signature import Signature, TensorSpec
from exporter.serving import grpc_size
from exporter.serving import rest_json

Shape = Optional[tuple[Optional[int], ...]]

# Characters that a value takes in JSON, for the types of which a signature does
# not say more: a float32 with all its digits is 0.12345678, seldom shorter.
TYPICAL_CHARACTERS = {
    'float32': 11, 'float64': 19, 'bool': 5, 'int8': 2, 'uint8': 2, 'int16': 3,
    'int32': 3, 'uint32': 3, 'int64': 3, 'uint64': 3,
}


@dataclasses.dataclass(frozen=True)
class OutputPayload:
  """What one output adds to a response; bytes are None where unknown.

  JSON is estimated where the payload is static.

  Attributes:
    key: its name in the signature.
    dtype: TensorFlow's name of its type.
    shape: its dimensions for one image; as in the signature where not measured.
    grpc_bytes: in a `PredictResponse`, as `tensor_content`.
    grpc_field_bytes: the same as `float_val`, `int_val` and so on.
    row_bytes: in JSON in rows; None also where the server refuses the response.
    columnar_bytes: in JSON in columns; likewise.
  """
  key: str
  dtype: str
  shape: Shape
  grpc_bytes: int | None
  grpc_field_bytes: int | None
  row_bytes: int | None
  columnar_bytes: int | None

  def rest_bytes(self, form: rest_json.Form | None) -> int | None:
    """Bytes in JSON in `form`; None for None."""
    return _in_form(self, form)


@dataclasses.dataclass(frozen=True)
class Payload:
  """What one response of a signature costs.

  A sum is None where that of an output is. Sums of JSON count the braces around
  the outputs too.

  Attributes:
    saved_model_dir: as the user gave it.
    signature: its name.
    measured_on: the image file of which the sizes are; None where they are
      static.
    outputs: largest first, those of unknown size before all others.
    row_refusal: why the server does not answer in rows; None where it does.
    json_refusal: why it cannot answer in JSON at all; None where it can.
    grpc_bytes: bytes of the `PredictResponse`, with `tensor_content`.
    grpc_field_bytes: the same with `float_val`, `int_val` and so on.
    row_bytes: bytes of the JSON in rows, which a request with `instances` gets.
    columnar_bytes: bytes of the JSON in columns, for a request with `inputs`.
  """
  saved_model_dir: str
  signature: str
  measured_on: str | None
  outputs: tuple[OutputPayload, ...]
  row_refusal: str | None
  json_refusal: str | None
  grpc_bytes: int | None
  grpc_field_bytes: int | None
  row_bytes: int | None
  columnar_bytes: int | None

  @property
  def rest_form(self) -> rest_json.Form | None:
    """The shorter form that the server gives; None where it gives no JSON."""
    if self.json_refusal:
      return None
    return 'columnar' if self.row_refusal else 'row'

  def rest_bytes(self, form: rest_json.Form | None) -> int | None:
    """Bytes of the JSON in `form`; None for None."""
    return _in_form(self, form)

  def output(self, key: str) -> OutputPayload | None:
    """The output `key`; None where there is none."""
    return next((output for output in self.outputs if output.key == key), None)


@dataclasses.dataclass(frozen=True)
class _Tensor:
  """What the size of an output depends on; None where unknown."""
  spec: TensorSpec
  shape: Shape
  content_bytes: int | None
  field_bytes: int | None
  json_bytes: int | None


def static_payload(saved_model_dir: str, signature: Signature) -> Payload:
  """Sizes for one image, from the dtypes and shapes of the signature alone.

  An unknown first dimension is a batch, and 1 here, where every input has one.
  """
  batched = _is_batched(signature)
  tensors = [_static_tensor(spec, batched) for spec in signature.outputs.values()]
  return _payload(saved_model_dir, signature, None, tensors)


def measured_payload(saved_model_dir: str, signature: Signature,
                     outputs: Mapping[str, np.ndarray], image: str) -> Payload:
  """Sizes of the response that holds `outputs`.

  Args:
    saved_model_dir: as the user gave it.
    signature: what `read_signature` says of it.
    outputs: tensors by key; strings as object arrays of `bytes`.
    image: the file they come from.
  """
  tensors = [_measured_tensor(spec, outputs[spec.key])
             for spec in signature.outputs.values()]
  return _payload(saved_model_dir, signature, image, tensors)


def format_bytes(size: float | None, unit: str = 'B') -> str:
  """'191.6 MB' for 191,600,000; '?' for None.

  Args:
    size: how many of `unit`.
    unit: what follows k, M or G.
  """
  if size is None:
    return '?'
  if size < 999.5:
    return f'{size:.0f} {unit}'
  for prefix in 'kM':
    size /= 1000
    # What would round to 1000.0 belongs to the next prefix.
    if size < 999.95:
      return f'{size:,.1f} {prefix}{unit}'
  return f'{size / 1000:,.1f} G{unit}'


def _in_form(sizes: OutputPayload | Payload,
             form: rest_json.Form | None) -> int | None:
  return {'row': sizes.row_bytes, 'columnar': sizes.columnar_bytes}.get(form)


def _is_batched(signature: Signature) -> bool:
  shapes = [spec.shape for spec in signature.inputs.values()]
  return bool(shapes) and all(shape and shape[0] is None for shape in shapes)


def _static_tensor(spec: TensorSpec, batched: bool) -> _Tensor:
  shape = spec.shape
  if batched and shape and shape[0] is None:
    shape = (1, *shape[1:])
  if shape is None or None in shape:
    return _Tensor(spec, shape, None, None, None)
  content = grpc_size.content_bytes(spec.dtype, shape)
  count = int(np.prod(shape, dtype=np.int64))
  typical = TYPICAL_CHARACTERS.get(spec.dtype)
  return _Tensor(
      spec, shape, content,
      # Only floats are as long as fields, whatever they are.
      grpc_size.output_bytes(spec.key, shape, content)
      if spec.dtype in ('float32', 'float64') else None,
      None if typical is None else typical * count)


def _measured_tensor(spec: TensorSpec, values: np.ndarray) -> _Tensor:
  values = np.asarray(values)
  if spec.dtype == 'string':
    content = grpc_size.string_content_bytes(values.ravel())
  else:
    content = grpc_size.content_bytes(spec.dtype, values.shape)
  writable = spec.dtype in rest_json.WRITABLE_DTYPES
  return _Tensor(
      spec, values.shape, content,
      grpc_size.output_bytes_as_fields(spec.key, spec.dtype, values),
      rest_json.values_bytes(spec.key, values) if writable else None)


def _payload(saved_model_dir: str, signature: Signature, image: str | None,
             tensors: Sequence[_Tensor]) -> Payload:
  alone = len(tensors) == 1
  shapes = {t.spec.key: t.shape for t in tensors}
  row_refusal = _row_refusal(shapes)
  json_refusal = _json_refusal(tensors)
  forms = () if json_refusal else ('columnar',) if row_refusal else ('row', 'columnar')
  outputs = [_output(tensor, alone, forms) for tensor in tensors]
  batch = 1 if row_refusal else _first_dimension(shapes) or 1
  return Payload(
      saved_model_dir, signature.name, image,
      tuple(sorted(outputs, key=_size_order)), row_refusal,
      json_refusal,
      _sum(o.grpc_bytes for o in outputs),
      _sum(o.grpc_field_bytes for o in outputs),
      _sum((rest_json.frame_bytes('row', len(outputs), batch),
            *(o.row_bytes for o in outputs))),
      _sum((rest_json.frame_bytes('columnar', len(outputs)),
            *(o.columnar_bytes for o in outputs))))


def _output(tensor: _Tensor, alone: bool,
            forms: Sequence[rest_json.Form]) -> OutputPayload:
  spec, shape = tensor.spec, tensor.shape

  def in_json(form: rest_json.Form) -> int | None:
    if form not in forms or tensor.json_bytes is None:
      return None
    return rest_json.output_bytes(
        spec.key, spec.dtype, shape, tensor.json_bytes, form, alone)

  return OutputPayload(
      spec.key, spec.dtype, shape,
      None if tensor.content_bytes is None else grpc_size.output_bytes(
          spec.key, shape, tensor.content_bytes),
      tensor.field_bytes, in_json('row'), in_json('columnar'))


def _row_refusal(shapes: Mapping[str, Shape]) -> str | None:
  """As `rest_json.row_refusal`, of what is known of the shapes."""
  return rest_json.row_refusal({
      key: shape for key, shape in shapes.items()
      if shape is not None and shape[:1] != (None,)
  })


def _first_dimension(shapes: Mapping[str, Shape]) -> int | None:
  return next((shape[0] for shape in shapes.values() if shape and shape[0]), None)


def _json_refusal(tensors: Sequence[_Tensor]) -> str | None:
  for tensor in tensors:
    if tensor.spec.dtype not in rest_json.WRITABLE_DTYPES:
      return f'{tensor.spec.key} is {tensor.spec.dtype}'
  return None


def _size_order(output: OutputPayload) -> tuple:
  size = output.grpc_bytes
  return (size is not None, -(size or 0), output.key)


def _sum(sizes) -> int | None:
  sizes = list(sizes)
  return None if None in sizes else sum(sizes)
