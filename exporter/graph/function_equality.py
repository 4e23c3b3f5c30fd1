"""Tells whether two functions of a library compute the same.

TensorFlow often traces a model twice, for its signature and for calling the
loaded object, and saves both traces. They differ in names and in the order of
their captures alone. Here a function is seen as the expressions behind its
results, so that one body can serve both.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Iterable
from typing import Any, Union

from exporter.graph.bodies import Body, Edge
from exporter.graph.op_effects import Effect, OpEffects

_CALLS = frozenset({'PartitionedCall', 'StatefulPartitionedCall'})


@dataclasses.dataclass(frozen=True)
class Passed:
  """An argument that a caller passes, by its name, or by its number in `function`."""
  name: str | int
  function: str = ''


@dataclasses.dataclass(frozen=True)
class Captured:
  """An argument that is an object of the SavedModel."""
  object_id: int


@dataclasses.dataclass(frozen=True)
class Constant:
  """An argument that is a known value, serialized."""
  value: bytes


# What an argument stands for, the same whichever function takes it.
Label = Union[Passed, Captured, Constant]


@dataclasses.dataclass(frozen=True)
class Application:
  """A function of the library with what is passed to it.

  Attributes:
    function: its name.
    labels: what each of its arguments stands for.
    results: which of its results are meant, in the order in which they are.
  """
  function: str
  labels: tuple[Label, ...]
  results: tuple[int, ...]


def unwrap(application: Application, bodies: dict[str, Body]) -> Application:
  """The function behind one that only hands arguments and results on."""
  body = bodies[application.function]
  calls = [node for node in body.nodes.values() if node.op in _CALLS]
  others = {node.op for node in body.nodes.values()} - _CALLS
  if len(calls) != 1 or not others <= {'Identity', 'NoOp'}:
    return application
  call, = calls
  inputs = _all_known(
      body.arguments.get(edge.source) for edge in body.data_edges(call.name))
  outputs = _all_known(
      _handed_on(body, body.results[i], call.name) for i in application.results)
  if inputs is None or outputs is None:
    return application
  return unwrap(
      Application(call.attr['f'].func.name,
                  tuple(application.labels[i] for i in inputs), outputs), bodies)


def _all_known(positions: Iterable[int | None]) -> tuple[int, ...] | None:
  known = []
  for position in positions:
    if position is None:
      return None
    known.append(position)
  return tuple(known)


def _handed_on(body: Body, edge: Edge, call: str) -> int | None:
  """Which output of `call` an edge hands on through identities, if any."""
  while edge.source != call:
    if edge.source not in body.nodes or body.nodes[edge.source].op != 'Identity':
      return None
    taken = body.data_edges(edge.source)
    if len(taken) != 1:
      return None
    edge, = taken
  return edge.index


class NodesByName:
  """Compares functions node by node, which have the same names in both.

  Two traces of one Python function mostly have, and this is quick to see.
  """

  def __init__(self, bodies: dict[str, Body]):
    self._bodies = bodies
    self._callees: dict[tuple[str, str], bool] = {}

  def are_same(self, one: Application, other: Application) -> bool:
    """False says nothing: what has other names may compute the same."""
    body, other_body = self._bodies[one.function], self._bodies[other.function]
    labels, other_labels = _labels_of(one, body), _labels_of(other, other_body)
    if body.nodes.keys() != other_body.nodes.keys() or any(
        labels[name] != other_labels[name]
        for name in labels.keys() & other_labels.keys()):
      return False

    def same_edges(edges: list[Edge], other_edges: list[Edge]) -> bool:
      return len(edges) == len(other_edges) and all(
          a == b or a.source in labels and b.source in other_labels
          and labels[a.source] == other_labels[b.source]
          for a, b in zip(edges, other_edges))

    results = [body.results[i] for i in one.results]
    other_results = [other_body.results[i] for i in other.results]
    return same_edges(results, other_results) and all(
        node == other_body.nodes[name]
        or same_edges(body.edges(name), other_body.edges(name))
        and self._same_but_for_edges(node, other_body.nodes[name])
        for name, node in body.nodes.items())

  def _same_but_for_edges(self, node: Any, other: Any) -> bool:
    # Attributes with _ compute nothing.
    keys = {key for key in (*node.attr, *other.attr) if not key.startswith('_')}
    return (node.op, node.device) == (other.op, other.device) and all(
        key in node.attr and key in other.attr
        and self._same_attribute(node.attr[key], other.attr[key]) for key in keys)

  def _same_attribute(self, value: Any, other: Any) -> bool:
    names, other_names = _functions_in(value), _functions_in(other)
    if not names or len(names) != len(other_names):
      same: bool = value == other
      return same
    return all(map(self._same_callee, names, other_names))

  def _same_callee(self, name: str, other_name: str) -> bool:
    pair = name, other_name
    if name == other_name:
      return True
    if not (name in self._bodies and other_name in self._bodies):
      return False
    if pair not in self._callees:
      one, other = (_all_of(self._bodies[callee]) for callee in pair)
      self._callees[pair] = (
          one.labels == other.labels and one.results == other.results
          and self.are_same(one, other))
    return self._callees[pair]


def _labels_of(application: Application, body: Body) -> dict[str, Label]:
  return {name: application.labels[i] for name, i in body.arguments.items()}


def _functions_in(value: Any) -> list[str]:
  kind = value.WhichOneof('value')
  return [f.name for f in ([value.func] if kind == 'func' else value.list.func)]


def _all_of(body: Body) -> Application:
  """A function as one that is called, where all its arguments are passed."""
  return Application(
      body.name, tuple(Passed(i, 'it') for i in body.arguments.values()),
      tuple(range(len(body.results))))


class FunctionDigests:
  """Digests of what functions compute, equal where they compute the same."""

  def __init__(self, bodies: dict[str, Body], effects: OpEffects):
    self._bodies = bodies
    self._effects = effects
    self._digests: dict[Application, str] = {}

  def of(self, application: Application) -> str:
    """Digest of the meant results, and of all else that calling it does."""
    if application not in self._digests:
      self._digests[application] = self._of(application)
    return self._digests[application]

  def _of(self, application: Application) -> str:
    body = self._bodies[application.function]
    order = _in_order(body)
    if order is None:
      return _digest(application)
    digests = {name: _digest(application.labels[position])
               for name, position in body.arguments.items()}
    has_order = self._effects.of_function(body.name) is Effect.CHANGES
    times: collections.Counter[str] = collections.Counter()
    for name in order:
      digest = self._of_node(body, name, digests, has_order)
      if self._effects.is_stateful(body.nodes[name]):
        # Two draws of random numbers, or two reads, need not give the same.
        times[digest] += 1
        digest = _digest(digest, times[digest])
      digests[name] = digest
    effects = sorted(
        digests[name] for name, node in body.nodes.items()
        if self._effects.of(node) is not Effect.NONE)
    results = [_of_edge(edge, digests)
               for edge in map(body.results.__getitem__, application.results)]
    return _digest(results, effects)

  def _of_node(self, body: Body, name: str, digests: dict[str, str],
               has_order: bool) -> str:
    node = body.nodes[name]
    attributes = [
        (key, self._of_attribute(node.attr[key])) for key in sorted(node.attr)
        if not key.startswith('_')]
    inputs = [_of_edge(edge, digests) for edge in body.data_edges(name)]
    # Where something changes, it matters what runs before and what after.
    waits_for = sorted(digests[edge.source] for edge in body.control_edges(name)
                       if has_order)
    return _digest(node.op, node.device, attributes, inputs, waits_for)

  def _of_attribute(self, value: Any) -> str | bytes:
    names = _functions_in(value)
    if names and all(name in self._bodies for name in names):
      return _digest([self.of(_all_of(self._bodies[name])) for name in names])
    serialized: bytes = value.SerializeToString(deterministic=True)
    return serialized


def _of_edge(edge: Edge, digests: dict[str, str]) -> tuple[str, str, int]:
  return digests[edge.source], edge.output, edge.index


def _in_order(body: Body) -> list[str] | None:
  """Node names, each after the nodes that it takes from or waits for.

  None where there is no such order, which is so in the loops of TF1.
  """
  order, done, entered, stack = [], set(body.arguments), set(), list(body.nodes)
  while stack:
    name = stack[-1]
    missing = [] if name in done else [
        edge.source for edge in body.edges(name) if edge.source not in done]
    if missing and name in entered:
      return None
    if missing:
      entered.add(name)
      stack.extend(missing)
      continue
    stack.pop()
    if name not in done:
      done.add(name)
      order.append(name)
  return order


def _digest(*parts: object) -> str:
  return hashlib.sha256(repr(parts).encode()).hexdigest()
