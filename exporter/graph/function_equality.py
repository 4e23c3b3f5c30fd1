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
    kind = value.WhichOneof('value')
    functions = ([value.func] if kind == 'func' else value.list.func)
    if functions and all(f.name in self._bodies for f in functions):
      return _digest([self.of(self._all_of(f.name)) for f in functions])
    serialized: bytes = value.SerializeToString(deterministic=True)
    return serialized

  def _all_of(self, function: str) -> Application:
    body = self._bodies[function]
    return Application(
        function, tuple(Passed(i, 'it') for i in body.arguments.values()),
        tuple(range(len(body.results))))


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
