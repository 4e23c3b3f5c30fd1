"""Finds the outputs that stay and whose tensors get other names."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef


@dataclasses.dataclass(frozen=True)
class MovedTensor:
  """An output that stays, and the name of its tensor before and after.

  Attributes:
    signature: the signature that it belongs to.
    key: its key there, which is as it was.
    before: such as `StatefulPartitionedCall:4`; several names, separated by blanks,
      for an output of several tensors.
    after: the same, as it is now.
  """
  signature: str
  key: str
  before: str
  after: str


def between(before: MetaGraphDef, after: MetaGraphDef) -> tuple[MovedTensor, ...]:
  """The outputs whose tensors two MetaGraphDefs name differently."""
  from exporter.meta_graph import signature_tensors  # Imports TensorFlow.
  moved = []
  for name, definition in sorted(after.signature_def.items()):
    if name.startswith('__'):  # What loaders run, and no client calls.
      continue
    for key, info in sorted(definition.outputs.items()):
      old, new = (' '.join(signature_tensors.tensor_names(i)) for i in (
          before.signature_def[name].outputs[key], info))
      if old != new:
        moved.append(MovedTensor(name, key, old, new))
  return tuple(moved)
