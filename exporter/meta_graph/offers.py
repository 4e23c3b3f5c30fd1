"""All that a SavedModel offers to those who load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.graph.bodies import Body
from exporter.graph.liveness import Roots
from exporter.meta_graph import gradients, initialization, variable_collections
from exporter.meta_graph.signature_tensors import tensor_names


def roots_of(meta_graph: Any, bodies: Mapping[str, Body]) -> Roots:
  """Signatures, functions of objects, saver, initialization and collections."""
  saver = meta_graph.saver_def
  tensors = [name for name in (
      saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name)
             if name]
  for signature in meta_graph.signature_def.values():
    for tensor in (*signature.inputs.values(), *signature.outputs.values()):
      tensors += tensor_names(tensor)
  tensors += initialization.main_ops(meta_graph)
  tensors += variable_collections.tensor_names(meta_graph)
  objects = meta_graph.object_graph_def.nodes
  inner = (gradients.captured_tensor(node, bodies) for node in objects)
  functions = [
      bodies[name] for name in meta_graph.object_graph_def.concrete_functions
      if name in bodies]
  return Roots(
      tensors=tuple(tensors), inner=tuple(filter(None, inner)),
      functions=tuple(body.name for body in functions),
      results=tuple((body.name, i) for body in functions
                    for i in range(len(body.results))),
      arguments=tuple((body.name, i) for body in functions
                      for i in body.arguments.values()))
