"""How large a response is, as far as the shapes of its outputs tell."""

from __future__ import annotations

import dataclasses

from exporter.saved_model.signature import Signature
from exporter.serving import payload_sizes


@dataclasses.dataclass(frozen=True)
class ResponseSize:
  """What a response for one image, or for one batch of fixed size, has on gRPC.

  Attributes:
    bytes: of the outputs whose sizes follow from dtypes and shapes.
    unknown: how many other outputs there are.
  """
  bytes: int
  unknown: int

  def __str__(self) -> str:
    text = payload_sizes.format_bytes(self.bytes)
    if not self.unknown:
      return text
    return f'{text} and {self.unknown} output{"s"[self.unknown == 1:]} of unknown size'


def of_response(signature: Signature) -> ResponseSize:
  """The size of a signature's response."""
  sizes = [output.grpc_bytes
           for output in payload_sizes.static_payload('', signature).outputs]
  return ResponseSize(sum(size or 0 for size in sizes), sizes.count(None))


def comparison(before: ResponseSize, after: ResponseSize) -> str:
  """'0.4 MB instead of 191.6 MB', or how large both are."""
  return str(after) if before == after else f'{after} instead of {before}'
