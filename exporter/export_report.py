"""What an export has written, and what its modules met while they were traced.

In a module of its own, as Python 3.9 makes no dataclass in a module that is loaded by
its path without a place in `sys.modules`, as some load `exporter_lib_v2`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from exporter.saved_model.files import file_bytes
from exporter.saved_model.signature import TensorSpec, read_signature
from exporter.serving import response_size
from exporter.serving.response_size import ResponseSize


@dataclasses.dataclass
class Traced:
  """What a module met when it was traced.

  Attributes:
    outputs: all of the model, also those that were dropped, as they would be.
    names: inputs and kept outputs of one that was renamed, as they were called.
    predictions: keys of what `predict` returned, for the message about unknown keys.
  """
  outputs: dict[str, TensorSpec] | None = None
  names: frozenset[str] = frozenset()
  predictions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ExportReport:
  """What an export has written.

  Attributes:
    outputs: output keys of its signature.
    all_outputs: those of the model.
    response: the size of a response.
    full_response: the same with all outputs, as upstream returns them.
    saved_model_bytes: of `saved_model.pb`.
    variable_bytes: of the files in `variables/`.
  """
  outputs: tuple[str, ...]
  all_outputs: tuple[str, ...]
  response: ResponseSize
  full_response: ResponseSize
  saved_model_bytes: int
  variable_bytes: int


def spec_of(key: str, tensor: Any) -> TensorSpec:
  """An output of the model as a signature describes it: strings, or float32."""
  is_text = tensor.dtype.name == 'string'
  return TensorSpec(key, 'string' if is_text else 'float32',
                    None if tensor.shape.rank is None else tuple(tensor.shape.as_list()))


def of(saved_model_dir: str, signature_name: str, traced: Traced) -> ExportReport:
  """Reads what has been written; the sizes of responses follow from the shapes."""
  signature = read_signature(saved_model_dir, signature_name)
  # A module of the user's own may drop outputs in another way.
  full = dataclasses.replace(signature, outputs=traced.outputs or signature.outputs)
  return ExportReport(
      tuple(signature.outputs), tuple(sorted(full.outputs)),
      response_size.of_response(signature), response_size.of_response(full),
      *file_bytes(saved_model_dir))
