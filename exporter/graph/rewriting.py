"""Rewrites one body to its live nodes, arguments and results.

Names stay as they are; a node that waited for a node that has gone waits for the
live checks and changes that stood behind it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable
from typing import Any

from exporter.errors import UserError
from exporter.graph.bodies import MAIN_GRAPH, Body, Call, Edge, call_of, parse_edge
from exporter.graph.checks import is_bookkeeping
from exporter.graph.liveness import Liveness
from exporter.graph.op_effects import Effect
from exporter.graph.walk import reached

# Attributes that hold one entry for each input or for each output of a call.
_PER_INPUT = ('Tin',)
_PER_OUTPUT = ('Tout', 'output_shapes')

# Nobody can wait for what is behind them, from outside of a function.
_STARTS_CONDITIONAL = frozenset({'Enter', 'RefEnter', 'RefSwitch', 'Switch', '_SwitchN'})


@dataclasses.dataclass(frozen=True)
class Kept:
  """Where the arguments and results of the remaining functions came from.

  Attributes:
    arguments: for each function, the former positions of its arguments.
    results: for each function, the former positions of its results.
    outputs: for each live call, by body and node, the former positions of its
      outputs.
  """
  arguments: dict[str, list[int]]
  results: dict[str, list[int]]
  outputs: dict[tuple[str, str], list[int]]

  def tensor_name(self, name: str, body: str = MAIN_GRAPH) -> str:
    """The name that a tensor `node:0` of a body has after pruning."""
    edge = parse_edge(name)
    outputs = self.outputs.get((body, edge.source))
    return (name if outputs is None
            else f'{edge.source}:{outputs.index(edge.index)}')


class BodyRewriter:
  """Reduces one body, in place, to its live nodes."""

  def __init__(self, body: Body, liveness: Liveness, kept: Kept):
    self._body = body
    self._liveness = liveness
    self._effects = liveness.effects
    self._kept = kept
    self._anything_changes = any(
        self._effects.of_function(name) is Effect.CHANGES
        for name in liveness.functions)
    self._live_behind: dict[str, frozenset[str]] = {}
    # What may have lost all that waited for it, and would not run by itself.
    self._unseen = [name for name, node in body.nodes.items()
                    if self._is_live(name) and self._effects.changes_unseen(node)]
    self._before_unseen = body.all_behind(self._unseen)

  def rewrite_graph(self, graph_def: Any) -> None:
    _replace(graph_def.node, self._live_nodes(graph_def.node))

  def rewrite_function(self, function: Any) -> None:
    name = function.signature.name
    nodes = self._live_nodes(function.node_def)
    results = {
        function.signature.output_arg[i].name:
            self._reference(self._body.results[i],
                            function.ret[function.signature.output_arg[i].name])
        for i in self._kept.results[name]}
    _replace(function.node_def, nodes)
    _keep_positions(function.signature.output_arg, self._kept.results[name])
    function.ret.clear()
    function.ret.update(results)
    _keep_arguments(function, self._kept.arguments[name])
    self._keep_control_results(function)

  def _keep_control_results(self, function: Any) -> None:
    """What is dead will not run, and what nobody could tell needs no promise.

    A group that is dead promised what it waits for.
    """
    promised = {}
    for output, node_name in list(function.control_ret.items()):
      if self._is_live(node_name) and self._has_place_in_time(node_name):
        promised[output] = node_name
    further = [name for node_name in function.control_ret.values()
               for name in sorted(self._promised_behind(node_name))]
    conditional = self._conditional()
    for name in dict.fromkeys((*further, *self._unseen)):
      if name in promised.values():
        continue
      if name not in conditional:
        promised[_free(name, promised)] = name
      elif name in self._unseen and not _is_taken(name, function.node_def):
        raise UserError(
            f'The node {name!r} of the function {self._body.name!r} writes within a loop'
            ' or branch of TF1, and no kept output waits for it; nothing can promise that'
            ' it still runs.')
    order = [o for o in function.signature.control_output if o in promised]
    function.control_ret.clear()
    function.control_ret.update(promised)
    del function.signature.control_output[:]
    function.signature.control_output.extend(dict.fromkeys([*order, *promised]))

  def _conditional(self) -> set[str]:
    """What TF1's loops and branches run several times, or not at all."""
    starts = [name for name, node in self._body.nodes.items()
              if node.op in _STARTS_CONDITIONAL]
    return set(reached(starts, self._body.consumers.__getitem__))

  def _promised_behind(self, node_name: str) -> list[str]:
    """Live nodes that a group waits for and that have a place in time."""
    if self._body.nodes[node_name].op != 'NoOp':
      return []
    return self._first_behind(
        node_name, lambda name: self._is_live(name) and self._has_place_in_time(name))

  def _first_behind(self, node_name: str, is_meant: Callable[[str], bool]) -> list[str]:
    """The nodes that are meant, going back from a node and not past them."""
    return [name for name in reached([node_name], lambda name: (
        () if is_meant(name) else self._body.sources(name))) if is_meant(name)]

  def _live_nodes(self, node_defs: Iterable[Any]) -> list[Any]:
    nodes = [node for node in node_defs if self._is_live(node.name)]
    for node in nodes:
      self._rewrite_node(node)
    return nodes

  def _rewrite_node(self, node: Any) -> None:
    data = [(edge, text)
            for edge, text in zip(self._body.edges(node.name), node.input)
            if not edge.is_control]
    call = call_of(node)
    if call is not None:
      data = data[:call.first_input] + [
          data[call.first_input + i]
          for i in self._kept.arguments[call.functions[0]]]
      _keep_call_attributes(node, call, self._kept)
      if '_output_shapes' in node.attr:
        callee = self._liveness.bodies[call.callees[0]]
        _keep_described_shapes(
            node, len(callee.results), self._kept.results[callee.name])
    inputs = [self._reference(edge, text) for edge, text in data]
    inputs += [f'^{name}' for name in self._waits_for(node)]
    del node.input[:]
    node.input.extend(inputs)
    self._drop_colocation_with_dead(node)

  def _reference(self, edge: Edge, text: str) -> str:
    """`text`, which names `edge`, with the position that its output has now."""
    source = self._body.nodes.get(edge.source)
    call = call_of(source) if source is not None else None
    if call is None:
      return text
    position = self._kept.results[call.callees[0]].index(edge.index)
    if self._body.name == MAIN_GRAPH:
      return f'{edge.source}:{position}' if position else edge.source
    return f'{text.rpartition(":")[0]}:{position}'

  def _waits_for(self, node: Any) -> list[str]:
    waits: dict[str, None] = {}
    for edge in self._body.control_edges(node.name):
      if edge.source in self._body.arguments:
        continue
      if self._is_live(edge.source):
        waits[edge.source] = None
      else:
        behind: Iterable[str] = self._live_nodes_behind(edge.source)
        if is_bookkeeping(self._body, node, self._effects):
          behind = filter(self._has_place_in_time, behind)
        waits.update(dict.fromkeys(sorted(behind)))
    if (node.op == 'Identity' and node.name in self._body.result_nodes
        and node.name not in self._before_unseen):
      waits.update(dict.fromkeys(self._unseen))
    return list(waits)

  def _live_nodes_behind(self, dead: str) -> frozenset[str]:
    """The nearest live nodes that a dead node would have waited for."""
    if dead not in self._live_behind:
      self._live_behind[dead] = frozenset(self._first_behind(dead, self._is_live))
    return self._live_behind[dead]

  def _drop_colocation_with_dead(self, node: Any) -> None:
    if '_class' not in node.attr:
      return
    classes = [
        c for c in node.attr['_class'].list.s if not c.startswith(b'loc:@')
        or self._is_live(c[5:].decode(errors='replace'))]
    del node.attr['_class']
    if classes:
      node.attr['_class'].list.s.extend(classes)

  def _is_live(self, node_name: str) -> bool:
    return (self._body.name, node_name) in self._liveness.nodes

  def _has_place_in_time(self, node_name: str) -> bool:
    """Whether it matters when a node runs: that of a read does if others write.

    The next call, or the next turn of a loop, may write what this one reads.
    """
    node = self._body.nodes[node_name]
    return (self._effects.of(node) is not Effect.NONE
            or self._anything_changes and self._effects.is_stateful(node))


def _is_taken(name: str, nodes: Iterable[Any]) -> bool:
  return any(parse_edge(text).source == name for node in nodes for text in node.input)


def _free(name: str, taken: Collection[str]) -> str:
  return next(n for n in (name, *map(f'{name}_{{}}'.format, range(len(taken))))
              if n not in taken)


def _keep_call_attributes(node: Any, call: Call, kept: Kept) -> None:
  inputs = kept.arguments[call.functions[0]]
  outputs = kept.results[call.callees[0]]
  for name in _PER_INPUT + (('T',) if call.is_loop else ()):
    _keep_attribute(node, name, inputs)
  for name in _PER_OUTPUT:
    _keep_attribute(node, name, outputs)
  # Positions among the inputs, in a list that only speeds up ordering.
  node.attr.pop('_read_only_resource_inputs', None)
  # How many of the outputs, the first ones, were there before a gradient was made.
  if '_num_original_outputs' in node.attr:
    count = node.attr['_num_original_outputs'].i
    node.attr['_num_original_outputs'].i = sum(i < count for i in outputs)


def _keep_described_shapes(node: Any, count: int, outputs: list[int]) -> None:
  """Reduces what describes `count` outputs; what does not fit in number goes."""
  if len(node.attr['_output_shapes'].list.shape) == count:
    _keep_attribute(node, '_output_shapes', outputs)
  else:
    del node.attr['_output_shapes']


def _keep_attribute(node: Any, name: str, positions: list[int]) -> None:
  if name not in node.attr:
    return
  values = node.attr[name].list
  for field in ('type', 'shape'):
    if len(getattr(values, field)):
      _keep_positions(getattr(values, field), positions)


def _keep_arguments(function: Any, positions: list[int]) -> None:
  """Reduces what a FunctionDef says of its arguments, renumbering the maps."""
  _keep_positions(function.signature.input_arg, positions)
  attributes = {new: _copy(function.arg_attr[old])
                for new, old in enumerate(positions) if old in function.arg_attr}
  function.arg_attr.clear()
  for new, value in attributes.items():
    function.arg_attr[new].CopyFrom(value)
  unique_ids = {new: function.resource_arg_unique_id[old]
                for new, old in enumerate(positions)
                if old in function.resource_arg_unique_id}
  function.resource_arg_unique_id.clear()
  function.resource_arg_unique_id.update(unique_ids)
  if '_input_shapes' in function.attr:
    shapes = function.attr['_input_shapes'].list.shape
    if len(shapes):
      _keep_positions(shapes, positions)


def _copy(message: Any) -> Any:
  copy = type(message)()
  copy.CopyFrom(message)
  return copy


def _keep_positions(repeated: Any, positions: list[int]) -> None:
  kept = [repeated[i] for i in positions]
  _replace(repeated, kept)


def _replace(repeated: Any, values: list[Any]) -> None:
  values = [_copy(v) if hasattr(v, 'CopyFrom') else v for v in values]
  del repeated[:]
  repeated.extend(values)
