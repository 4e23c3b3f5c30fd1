"""Finds what the kept results of a graph need, through calls and loops.

A mark-and-sweep over nodes, function arguments and function results. Data that
a kept result depends on is live. Of the ops that nothing depends on:

* what changes state is live in every function that is called;
* a check (`Assert`) is live when a live op was told to wait for it, or when it
  looks at live tensors alone: it then speaks about something that is kept;
* all else is dead. TensorFlow makes each result of a traced function wait for
  every variable read and every check of the body; that bookkeeping keeps
  nothing alive.
"""

from __future__ import annotations

import dataclasses

from exporter.graph.bodies import (
    MAIN_GRAPH, Body, Call, Edge, call_of, functions_alike, functions_named_in,
    parse_edge)
from exporter.graph.checks import (
    is_bookkeeping, is_check, looks_at_live_tensors_alone)
from exporter.graph.op_effects import Effect, OpEffects
from exporter.graph.op_table import MAKES_PRIVATE
from exporter.graph.walk import reached

# Ops that only hand on: `tf.group` and the identity that stands for an assert.
_ECHOES = frozenset({'Identity', 'NoOp'})


@dataclasses.dataclass(frozen=True)
class Roots:
  """What must stay, with all that it needs.

  Attributes:
    tensors: names in the main graph, of tensors (`node:0`) or of nodes.
    results: (function, position) of results that somebody outside calls for.
    arguments: (function, position) of arguments that somebody outside passes,
      used or not.
    inner: (function, tensor in it) that somebody outside looks at.
    functions: that somebody outside calls for what they do.
  """
  tensors: tuple[str, ...] = ()
  results: tuple[tuple[str, int], ...] = ()
  arguments: tuple[tuple[str, int], ...] = ()
  inner: tuple[tuple[str, str], ...] = ()
  functions: tuple[str, ...] = ()


class Liveness:
  """Grows by marking roots, and holds what is live so far.

  Attributes:
    bodies: of the graph, as `bodies.bodies_of` gives them.
    effects: of its ops.
    nodes: (body, node) pairs.
    arguments: (function, position) pairs of the arguments that stay.
    results: (function, position) pairs of the results that stay.
    functions: the functions that are called, or are roots.
    for_effect: (body, node) pairs of the nodes that stay for what they do.
    whole_functions: called in a way that cannot be narrowed (by a dataset, say):
      all their arguments and results stay.
  """

  def __init__(self, bodies: dict[str, Body], effects: OpEffects):
    self.bodies = bodies
    self.effects = effects
    self._alike = functions_alike(bodies)
    self._calls_of_nodes: dict[tuple[str, str], Call | None] = {}
    self._calls: dict[str, dict[tuple[str, str], Call]] = {}
    self._pending: list[tuple[str, str]] = []
    self.nodes: set[tuple[str, str]] = set()
    self.arguments: set[tuple[str, int]] = set()
    self.results: set[tuple[str, int]] = set()
    self.functions: set[str] = set()
    self.whole_functions: set[str] = set()
    self.for_effect: set[tuple[str, str]] = set()

  def mark(self, roots: Roots) -> bool:
    """Marks roots with all that they need; tells whether anything was new."""
    before = self._size()
    for name in roots.tensors:
      self._mark_edge(MAIN_GRAPH, parse_edge(name))
    for function in roots.functions:
      self._mark_function(function)
    for function, position in roots.results:
      self._mark_function(function)
      self._mark_result(function, position)
    for function, position in roots.arguments:
      self._mark_function(function)
      self._mark_argument(function, position)
    for function, name in roots.inner:
      self._mark_function(function)
      self._mark_edge(function, parse_edge(name))
    self._follow()
    while self._mark_checks_of_live_tensors():
      self._follow()
    return self._size() > before

  def main_nodes(self) -> set[str]:
    """Names of the live nodes of the main graph."""
    return {node for body, node in self.nodes if body == MAIN_GRAPH}

  def _size(self) -> int:
    return (len(self.nodes) + len(self.arguments) + len(self.results)
            + len(self.functions))

  def _follow(self) -> None:
    while self._pending:
      body_name, node_name = self._pending.pop()
      node = self.bodies[body_name].nodes[node_name]
      call = self._call(body_name, node_name)
      if call is None:
        for function in (node.op, *functions_named_in(node)):
          self._mark_whole_function(function)
        for edge in self.bodies[body_name].data_edges(node_name):
          self._mark_edge(body_name, edge)
      else:
        self._enter_call(body_name, node_name, call)
      self._mark_what_node_waits_for(body_name, node_name)
      if node.op in MAKES_PRIVATE:
        for name, maker in self.effects.private(self.bodies[body_name]).items():
          if maker == node_name:
            self._mark_node(body_name, name)

  def _mark_edge(self, body_name: str, edge: Edge) -> None:
    body = self.bodies[body_name]
    if edge.source in body.arguments:
      self._mark_argument(body_name, body.arguments[edge.source])
      return
    self._mark_node(body_name, edge.source)
    call = self._call(body_name, edge.source)
    if call is not None and not edge.is_control:
      self._need_output(body_name, edge.source, call, edge.index)

  def _mark_node(self, body_name: str, node_name: str) -> None:
    if (body_name, node_name) not in self.nodes:
      self.nodes.add((body_name, node_name))
      self._pending.append((body_name, node_name))

  def _mark_what_node_waits_for(self, body_name: str, node_name: str) -> None:
    body = self.bodies[body_name]
    if body.obeys_control_edges:
      for edge in body.control_edges(node_name):
        if edge.source not in body.arguments:
          self._mark_node(body_name, edge.source)
      return
    if not is_bookkeeping(body, body.nodes[node_name], self.effects):
      for edge in body.control_edges(node_name):
        self._mark_effects_behind(body, edge.source)

  def _mark_effects_behind(self, body: Body, node_name: str) -> None:
    """Marks a check or change that a control edge names, also through echoes."""
    def echoed(name: str) -> list[str]:
      return body.sources(name) if body.nodes[name].op in _ECHOES else []

    for name in reached([node_name] if node_name in body.nodes else [], echoed):
      if self.effects.of(body.nodes[name]) is not Effect.NONE:
        self._mark_for_its_effect(body.name, name)

  def _mark_for_its_effect(self, body_name: str, node_name: str) -> None:
    """Marks a check or change, with the checks inside what it calls or names."""
    self._mark_node(body_name, node_name)
    node = self.bodies[body_name].nodes[node_name]
    call = self._call(body_name, node_name)
    for function in call.functions if call else (node.op, *functions_named_in(node)):
      if function in self.bodies:
        for name, inner in self.bodies[function].nodes.items():
          if self.effects.of(inner) is Effect.CHECKS:
            self._mark_for_its_effect(function, name)

  def _call(self, body_name: str, node_name: str) -> Call | None:
    """The call that a node makes, of all functions that it may be turned to."""
    key = body_name, node_name
    if key not in self._calls_of_nodes:
      call = call_of(self.bodies[body_name].nodes[node_name])
      if call is not None and self._alike:
        others = [other for callee in call.callees
                  for other in self._alike.get(callee, ())]
        call = dataclasses.replace(
            call, callees=tuple(dict.fromkeys((*call.callees, *others))))
      self._calls_of_nodes[key] = call
    return self._calls_of_nodes[key]

  # Calls: an input of the node, an argument of each callee; an output of the
  # node, a result of each callee. Whichever becomes live makes the others live.

  def _enter_call(self, body_name: str, node_name: str, call: Call) -> None:
    edges = self.bodies[body_name].data_edges(node_name)
    for edge in edges[:call.first_input]:
      self._mark_edge(body_name, edge)
    for function in call.functions:
      self._calls.setdefault(function, {})[body_name, node_name] = call
      self._mark_function(function)
    if call.condition is not None:
      self._mark_result(call.condition, 0)
      for position in call.counters:  # The loop's gradient looks for them there.
        self._need_input(body_name, node_name, call, position)
    for position in range(len(edges) - call.first_input):
      if any((f, position) in self.arguments for f in call.functions):
        self._need_input(body_name, node_name, call, position)
    for callee in call.callees:
      for position in range(len(self.bodies[callee].results)):
        if (callee, position) in self.results:
          self._need_output(body_name, node_name, call, position)

  def _calls_of(self, function: str) -> list[tuple[tuple[str, str], Call]]:
    """The live nodes that call a function so far; marking may add to them."""
    return list(self._calls.get(function, {}).items())

  def _need_input(self, body_name: str, node_name: str, call: Call, position: int) -> None:
    edges = self.bodies[body_name].data_edges(node_name)
    self._mark_edge(body_name, edges[call.first_input + position])
    for function in call.functions:
      self._mark_argument(function, position)
    if call.is_loop:
      self._mark_result(call.callees[0], position)

  def _need_output(self, body_name: str, node_name: str, call: Call, position: int) -> None:
    for callee in call.callees:
      self._mark_result(callee, position)
    if call.is_loop:
      self._need_input(body_name, node_name, call, position)

  def _mark_argument(self, function: str, position: int) -> None:
    if (function, position) in self.arguments:
      return
    self.arguments.add((function, position))
    for (body_name, node_name), call in self._calls_of(function):
      self._need_input(body_name, node_name, call, position)

  def _mark_result(self, function: str, position: int) -> None:
    if (function, position) in self.results:
      return
    self.results.add((function, position))
    self._mark_edge(function, self.bodies[function].results[position])
    for (body_name, node_name), call in self._calls_of(function):
      if function in call.callees:
        self._need_output(body_name, node_name, call, position)

  def _mark_function(self, name: str) -> None:
    if name in self.functions:
      return
    self.functions.add(name)
    for gradient in self.bodies[name].gradients:
      # It takes what the function takes and gives.
      self._mark_whole_function(name)
      self._mark_whole_function(gradient)
    body = self.bodies[name]
    private = self.effects.private(body)
    changes = [node_name for node_name, node in body.nodes.items()
               if node_name not in private and self.effects.of(node) is Effect.CHANGES]
    unseen = {node_name for node_name in changes
              if self.effects.changes_unseen(body.nodes[node_name])}
    if unseen:
      unseen -= self._nodes_that_run(body)
    for node_name in changes:
      if node_name not in unseen:
        self.for_effect.add((name, node_name))
        self._mark_node(name, node_name)

  def _nodes_that_run(self, body: Body) -> set[str]:
    """What TensorFlow runs of a function: all behind results and stateful ops."""
    return body.all_behind([
        *body.result_nodes, *body.control_results,
        *(name for name, node in body.nodes.items()
          if self.effects.is_stateful(node))])

  def _mark_whole_function(self, name: str) -> None:
    if name in self.whole_functions or name not in self.bodies:
      return
    self.whole_functions.add(name)
    self._mark_function(name)
    body = self.bodies[name]
    for position in body.arguments.values():
      self._mark_argument(name, position)
    for position in range(len(body.results)):
      self._mark_result(name, position)

  def _mark_checks_of_live_tensors(self) -> bool:
    """Marks checks that no live op waits for; whether there were any."""
    found = False
    for name in tuple(self.functions):
      body = self.bodies[name]
      for node_name in body.nodes:
        if ((name, node_name) not in self.nodes
            and is_check(body, node_name, self.effects)
            and looks_at_live_tensors_alone(
                body, node_name, self.effects, self.nodes, self.arguments)):
          self._mark_for_its_effect(name, node_name)
          found = True
    return found
