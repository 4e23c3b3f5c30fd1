"""Drops what only describes a graph."""

from typing import Any

from exporter.graph.bodies import call_of, parse_edge

_DT_RESOURCE = 20  # of tensorflow.DataType


def tidy(meta_graph: Any) -> None:
  """Drops what only describes: nothing that is computed changes.

  Shapes that were inferred are inferred again on loading; those of results and
  calls stay, since a `set_shape` may have told more than inference can.
  """
  graph_def = meta_graph.graph_def
  for node in graph_def.node:
    node.ClearField('experimental_debug_info')
    if node.op == 'VarHandleOp':
      node.attr.pop('_output_shapes', None)
  for function in graph_def.library.function:
    for i, argument in enumerate(function.signature.input_arg):
      # Callers name their inputs by it; captures are passed by position.
      if argument.type == _DT_RESOURCE and i in function.arg_attr:
        function.arg_attr[i].attr.pop('_user_specified_name', None)
    results = {parse_edge(text).source for text in function.ret.values()}
    for node in function.node_def:
      node.ClearField('experimental_debug_info')
      if node.name not in results and call_of(node) is None:
        node.attr.pop('_output_shapes', None)
  _keep_used_ops(meta_graph)


def _keep_used_ops(meta_graph: Any) -> None:
  graph_def = meta_graph.graph_def
  used = {node.op for node in graph_def.node}
  for function in graph_def.library.function:
    used.update(node.op for node in function.node_def)
  ops = meta_graph.meta_info_def.stripped_op_list.op
  kept = [op for op in ops if op.name in used]
  del ops[:]
  ops.extend(kept)
  names = {f.signature.name for f in graph_def.library.function}
  aliases = meta_graph.meta_info_def.function_aliases
  for name in set(aliases) - names:
    del aliases[name]
