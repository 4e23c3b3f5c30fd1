"""Chooses what calling the loaded object of a TF2 SavedModel will run."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from exporter.graph.bodies import MAIN_GRAPH, Body
from exporter.graph.function_equality import (
    Application,
    Captured,
    Constant,
    FunctionDigests,
    Label,
    NodesByName,
    Passed,
    unwrap,
)
from exporter.graph.liveness import Liveness
from exporter.graph.op_effects import OpEffects
from exporter.meta_graph import object_graph
from exporter.meta_graph.object_graph import ObjectFunction, passed_count


@dataclasses.dataclass(frozen=True)
class Offered:
  """A function with what a caller gets of it.

  Attributes:
    function: described with those outputs alone.
    results: which of the function's results these are, in their order.
  """
  function: ObjectFunction
  results: tuple[int, ...]


def returning(function: ObjectFunction, keys: Sequence[str]) -> Offered:
  """A function that returns a dict, with only the outputs of some sorted keys."""
  positions = function.result_positions or {}
  return Offered(object_graph.with_outputs(function, keys),
                 tuple(i for key in keys for i in positions[key]))


def choose(objects: Any, signatures: Mapping[str, ObjectFunction], primary: str,
           keys: Sequence[str], bodies: dict[str, Body],
           effects: OpEffects) -> list[Offered]:
  """The functions for `loaded(...)`, with just some keys of the primary signature.

  The signature's own body serves where it computes the same, so that the file
  holds it once; otherwise the function stays, reduced to those keys. Where one of
  several does not return them, a call that is meant for it would reach another:
  none can stay.

  Args:
    objects: the SavedObjectGraph.
    signatures: the function behind each signature that stays; empty where a
      SavedModel has no objects, as in TF1.
    primary: the signature whose outputs a call shall return.
    keys: which of them.
    bodies: of the graph.
    effects: of its ops.
  """
  if not signatures:
    return []
  return _Chooser(objects, signatures, primary, sorted(keys), bodies,
                  effects).choose()


def live_captures(function: ObjectFunction, live: Liveness) -> list[int]:
  """The objects that a function captures and uses."""
  count = passed_count(function, live.bodies)
  return [object_id for i, object_id in enumerate(function.bound_inputs)
          if (function.name, count + i) in live.arguments]


def can_be_given(captured: Sequence[int], objects: Any, restored: Collection[int]) -> bool:
  """Whether functions can be given all that they capture.

  What nothing restores is not kept.

  Args:
    captured: the objects.
    objects: the SavedObjectGraph.
    restored: the variables and tables that the checkpoint has a value of, and the graph
      a node.
  """
  everything = object_graph.captured_objects(
      objects, list(captured), lambda function: function.bound_inputs)
  return all(
      (object_graph.can_be_kept(objects.nodes[i])
       or object_graph.concrete_names(objects.nodes[i]))
      and (not object_graph.is_restored(objects.nodes[i]) or i in restored)
      for i in everything)


class _Chooser:

  def __init__(self, objects: Any, signatures: Mapping[str, ObjectFunction],
               primary: str, keys: list[str], bodies: dict[str, Body],
               effects: OpEffects):
    self._objects = objects
    self._primary = signatures[primary]
    self._keys = keys
    self._bodies = bodies
    self._by_name = NodesByName(bodies)
    self._digests = FunctionDigests(bodies, effects)

  def choose(self) -> list[Offered]:
    functions = [object_graph.concrete_function(self._objects, name)
                 for name in object_graph.call_functions(self._objects)]
    if not all(set(self._keys) <= set(function.result_positions or ())
               for function in functions):
      return []
    return [self._signature_body_for(function) or returning(function, self._keys)
            for function in functions]

  def _signature_body_for(self, function: ObjectFunction) -> Offered | None:
    """The function inside the primary signature, if it computes the same."""
    inside, wanted = map(self._unwrap, (self._primary, function))
    count = passed_count(function, self._bodies)
    captures = [label.object_id for label in inside.labels[count:]
                if isinstance(label, Captured)]
    takes_the_same = (
        inside.labels[:count] == self._labels(function)[:count]
        and len(captures) == len(inside.labels[count:])
        and self._specs(inside.function, count) == self._specs(function.name, count))
    if not takes_the_same or not self._compute_the_same(inside, wanted):
      return None
    return Offered(
        dataclasses.replace(
            object_graph.with_outputs(function, self._keys), name=inside.function,
            bound_inputs=captures),
        inside.results)

  def _specs(self, function: str, count: int) -> list[tuple[int, bytes]]:
    """What loaders compare the first arguments of a call with."""
    return self._bodies[function].argument_specs[:count]

  def _unwrap(self, function: ObjectFunction) -> Application:
    results = returning(function, self._keys).results
    return unwrap(Application(function.name, self._labels(function), results),
                  self._bodies)

  def _labels(self, function: ObjectFunction) -> tuple[Label, ...]:
    """What each argument stands for, the same whichever function takes it."""
    count = passed_count(function, self._bodies)
    names = object_graph.input_names(function.input_signature)
    # A ragged or sparse tensor is several arguments.
    passed = ([Passed(name) for name in names] if len(names) == count else
              [Passed(i, function.name) for i in range(count)])
    return (*passed, *map(Captured, function.bound_inputs))

  def _compute_the_same(self, one: Application, other: Application) -> bool:
    """Whether two functions do, where constants of the same value are the same."""
    one, other = (
        dataclasses.replace(a, labels=tuple(map(self._meaning, a.labels)))
        for a in (one, other))
    return (one == other or self._by_name.are_same(one, other)
            or self._digests.of(one) == self._digests.of(other))

  def _meaning(self, label: Label) -> Label:
    node = (object_graph.constant_node(self._objects, label.object_id)
            if isinstance(label, Captured) else None)
    if node is None:
      return label
    value = self._bodies[MAIN_GRAPH].nodes[node].attr['value']
    return Constant(value.SerializeToString(deterministic=True))
