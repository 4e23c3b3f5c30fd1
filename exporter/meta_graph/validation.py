"""Tells whether a MetaGraphDef hangs together, before anything is made of it.

A file can be a proto and damaged all the same: an edge from no node, a call of no
function. Everything that pruning follows is followed here once, so that the rest
of the package may rely on it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from google.protobuf import message

from exporter.errors import UserError
from exporter.graph.bodies import MAIN_GRAPH, Call, call_of
from exporter.meta_graph import (
    asset_files,
    initialization,
    object_graph,
    signature_tensors,
    variable_collections,
)

_EDGE = re.compile(r'\^?[^:^]+|[^:^]+(:[^:]+)?:[0-9]+')


def check(meta_graph: Any) -> None:
  """Raises a UserError that names the first thing that is amiss."""
  graph_def = meta_graph.graph_def
  functions = {f.signature.name: f for f in graph_def.library.function}
  if len(functions) < len(graph_def.library.function) or MAIN_GRAPH in functions:
    raise _damaged('two of its functions have the same name')
  arities = {name: (len(f.signature.input_arg), len(f.signature.output_arg))
             for name, f in functions.items()}
  main = _Nodes('the graph', graph_def.node, (), arities)
  for name, function in functions.items():
    signature = function.signature
    nodes = _Nodes(f'the function {name!r}', function.node_def,
                   [argument.name for argument in signature.input_arg], arities)
    nodes.check_tensors(function.ret[output.name] for output in signature.output_arg)
    nodes.check_tensors(function.control_ret.values())
    if '_input_shapes' in function.attr:
      shapes = function.attr['_input_shapes'].list.shape
      if len(shapes) not in (0, len(signature.input_arg)):
        raise _damaged(f'the function {name!r} tells shapes of arguments that it'
                       ' has not')
  _check_no_function_calls_itself(functions)
  _check_main_graph_names(meta_graph, main)
  if meta_graph.object_graph_def.nodes:
    _check_objects(meta_graph, functions, main)


def _damaged(what: str) -> UserError:
  return UserError(f'The SavedModel is damaged: {what}.')


class _Nodes:
  """The nodes of one body, whose edges and calls are checked on the way."""

  def __init__(self, place: str, node_defs: Collection[Any], arguments: Iterable[str],
               arities: dict[str, tuple[int, int]]):
    self._place = place
    self._arities = arities
    self._arguments = frozenset(arguments)
    self._nodes = {node.name: node for node in node_defs}
    if len(self._nodes) < len(node_defs):
      raise _damaged(f'two nodes of {place} have the same name')
    self._calls = {node.name: call for node in node_defs
                   if (call := self._call_of(node)) is not None}
    for node in node_defs:
      self.check_tensors(node.input)
    for name, call in self._calls.items():
      self._check_call(self._nodes[name], call)

  def __getitem__(self, name: str) -> Any:
    return self._nodes[name]

  def check_tensors(self, names: Iterable[str]) -> None:
    """Checks that `node`, `node:0`, `node:output:0` and `^node` are there."""
    for name in names:
      source, *rest = name.removeprefix('^').split(':')
      if source in self._arguments:
        continue
      if not _EDGE.fullmatch(name) or source not in self._nodes:
        raise _damaged(f'{self._place} names a tensor {name!r} of no node')
      call = self._calls.get(source)
      if call and rest and int(rest[-1]) >= self._arities[call.callees[0]][1]:
        raise _damaged(f'{self._place} names an output {name!r} that no function'
                       ' has')

  def _call_of(self, node: Any) -> Call | None:
    call = call_of(node)
    if call is None:
      return None
    if not call.callees:
      raise _damaged(f'the node {node.name!r} of {self._place} calls no function')
    for function in (*call.callees, *([call.condition] if call.is_loop else ())):
      if function not in self._arities:
        raise _damaged(f'the node {node.name!r} of {self._place} calls a function'
                       f' {function!r} that is not there')
    return call

  def _check_call(self, node: Any, call: Call) -> None:
    passed = sum(not text.startswith('^') for text in node.input) - call.first_input
    taken = {self._arities[function][0] for function in call.functions}
    results = {self._arities[callee][1] for callee in call.callees}
    if call.is_loop:
      results.add(passed)
    if taken != {passed} or len(results) > 1 or (
        call.condition is not None and self._arities[call.condition][1] != 1):
      raise self._does_not_fit(node)
    outputs = results.pop()
    counts = {'Tin': passed, 'Tout': outputs, 'output_shapes': outputs}
    if call.is_loop:
      counts['T'] = passed
    for name, count in counts.items():
      if name in node.attr:
        values = node.attr[name].list
        if (len(values.type) or len(values.shape) or count) != count:
          raise self._does_not_fit(node)

  def _does_not_fit(self, node: Any) -> UserError:
    return _damaged(f'the node {node.name!r} of {self._place} does not fit the'
                    ' functions that it calls')


def _check_no_function_calls_itself(functions: Any) -> None:
  calls = {name: {callee for node in function.node_def
                  for callee in (call_of(node) or Call(())).functions}
           for name, function in functions.items()}
  done, above, stack = set(), set(), list(calls)
  while stack:
    name = stack[-1]
    if name in done or name in above:
      done.add(stack.pop())
      above.discard(name)
      continue
    above.add(name)
    if calls[name] & above:
      raise _damaged(f'the function {name!r} calls itself')
    stack.extend(calls[name] - done)


def _check_main_graph_names(meta_graph: Any, main: _Nodes) -> None:
  for signature in meta_graph.signature_def.values():
    for tensor in (*signature.inputs.values(), *signature.outputs.values()):
      main.check_tensors(signature_tensors.tensor_names(tensor))
  saver = meta_graph.saver_def
  main.check_tensors(filter(None, (
      saver.filename_tensor_name, saver.restore_op_name)))
  if saver.restore_op_name and not saver.filename_tensor_name:
    raise _damaged('it restores variables from no file')
  main.check_tensors(initialization.main_ops(meta_graph))
  try:
    main.check_tensors(variable_collections.tensor_names(meta_graph))
    main.check_tensors(asset_files.tensor_names(meta_graph))
  except message.DecodeError as e:
    raise _damaged('an entry of a collection cannot be read') from e


def _check_objects(meta_graph: Any, functions: Any, main: _Nodes) -> None:
  """Checks what the objects of TF2 say of functions, files and one another."""
  objects = meta_graph.object_graph_def
  for node in objects.nodes:
    kind = node.WhichOneof('kind')
    if any(not 0 <= child.node_id < len(objects.nodes) for child in node.children):
      raise _damaged('an object has a child that is not there')
    functions_of_table = list(object_graph.saving_functions(node))
    if any(not 0 <= i < len(objects.nodes) or not object_graph.concrete_names(
        objects.nodes[i]) for i in functions_of_table):
      raise _damaged('a table is saved or restored by a function that is not there')
    if kind == 'constant':
      main.check_tensors([node.constant.operation])
    if kind == 'asset' and not (0 <= node.asset.asset_file_def_index
                                < len(meta_graph.asset_file_def)):
      raise _damaged('an object names a file that is not there')
    for name in object_graph.concrete_names(node):
      if name not in objects.concrete_functions or name not in functions:
        raise _damaged(f'an object has a function {name!r} that is not there')
  for name, described in objects.concrete_functions.items():
    if any(not 0 <= i < len(objects.nodes) for i in described.bound_inputs) or (
        name in functions and len(described.bound_inputs)
        > len(functions[name].signature.input_arg)):
      raise _damaged(f'the function {name!r} captures objects that are not there')
  for name, function in object_graph.signature_functions(objects).items():
    _check_signature(name, object_graph.concrete_function(objects, function),
                     meta_graph.signature_def, functions[function])


def _check_signature(name: str, described: Any, signatures: Any, function: Any) -> None:
  """Checks that SignatureDef, object and function tell the same outputs."""
  outputs = {key: len(signature_tensors.tensor_names(tensor))
             for key, tensor in signatures[name].outputs.items()
             } if name in signatures else {}
  positions = described.result_positions or {}
  if (outputs != {key: len(at) for key, at in positions.items()}
      or sum(outputs.values()) != len(function.signature.output_arg)):
    raise _damaged(f'its objects and its graph tell different outputs of the'
                   f' signature {name!r}')
