"""The gradients of their own that ops have, which TF2 saves as functions.

An op names its gradient by a type; the library tells the function of each type.
The function takes the op's inputs and gradients, and captures what else it needs:
variables, constants, and tensors of the function that holds the op.

TF1 differentiates its loops by what a collection tells of them, which is not kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from exporter.graph.bodies import Body

_ATTRIBUTE = '_gradient_op_type'

# A loop stands in that of its outermost context.
_CONTEXTS = ('cond_context', 'while_context')


@dataclasses.dataclass(frozen=True)
class GradientUse:
  """A node, and the function that is its gradient."""
  body: str
  node: str
  gradient: str


def uses(meta_graph: Any, bodies: Mapping[str, Body]) -> list[GradientUse]:
  """Every node whose gradient has been saved."""
  functions = {gradient.registered_op_type.encode(): gradient.gradient_func
               for gradient in meta_graph.graph_def.library.registered_gradients
               if gradient.gradient_func in bodies}
  if not functions:
    return []
  return [GradientUse(body.name, name, functions[node.attr[_ATTRIBUTE].s])
          for body in bodies.values() for name, node in body.nodes.items()
          if _ATTRIBUTE in node.attr and node.attr[_ATTRIBUTE].s in functions]


def captured_tensor(object_node: Any, bodies: Mapping[str, Body]) -> tuple[str, str] | None:
  """The function and the tensor in it that an object stands for; None for others."""
  if object_node.WhichOneof('kind') != 'captured_tensor':
    return None
  captured = object_node.captured_tensor
  body = bodies.get(captured.concrete_function)
  name = captured.name.partition(':')[0]
  if body is None or name not in body.nodes and name not in body.arguments:
    return None
  return captured.concrete_function, captured.name


def given_up(meta_graph: Any, nodes: Collection[str]) -> list[str]:
  """Frames of TF1's loops that can be differentiated before pruning, and not after.

  Args:
    meta_graph: as it was.
    nodes: names of the main graph's nodes that stay.
  """
  if not any(name in meta_graph.collection_def for name in _CONTEXTS):
    return []
  return sorted({node.attr['frame_name'].s.decode()
                 for node in meta_graph.graph_def.node
                 if node.op in ('Enter', 'RefEnter') and node.name in nodes})
