"""Finds what stays of a MetaGraphDef when it is pruned to chosen outputs.

Reads alone. What lives grows until nothing new is found: the outputs need tables
and variables, these need what makes and fills them, and that may need more.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.graph.bodies import MAIN_GRAPH, bodies_of, call_of
from exporter.graph.function_equality import Application, Passed, unwrap
from exporter.graph.liveness import Liveness, Roots
from exporter.graph.op_effects import OpEffects, op_kinds
from exporter.graph.resources import Resource, Resources
from exporter.meta_graph import (
    gradients,
    initialization,
    loaded_call,
    object_graph,
    variable_collections,
)
from exporter.meta_graph.loaded_call import Offered
from exporter.meta_graph.object_graph import ObjectFunction, passed_count
from exporter.meta_graph.restored import Restored
from exporter.meta_graph.saved_variables import NO_CHECKPOINT, Checkpoint
from exporter.meta_graph.saver import SavedTable, SavedVariable
from exporter.meta_graph.signature_tensors import tensor_names


@dataclasses.dataclass(frozen=True)
class Plan:
  """What stays of a MetaGraphDef.

  Attributes:
    outputs: the output keys that stay, by signature, the primary one first.
    signatures: the function behind each of these signatures; empty where there
      are no objects, as in TF1.
    call: what calling the loaded object will run; empty if it cannot be called.
    liveness: the nodes, arguments and results that stay.
    initialization: what still fills tables and variables.
    initializers: the objects that fill what lives though no function captures them.
    variables: those that stay in the checkpoint.
    variable_ids: the object of each; empty where there are no objects.
    tables: those whose content stays in the checkpoint.
    table_ids: the object of each; empty where there are no objects.
    gradients: the functions by which ops with a gradient of their own compute it.
  """
  outputs: dict[str, list[str]]
  signatures: dict[str, ObjectFunction]
  call: list[Offered]
  liveness: Liveness
  initialization: initialization.Kept
  initializers: list[int]
  variables: list[SavedVariable]
  variable_ids: list[int]
  tables: list[SavedTable]
  table_ids: list[int]
  gradients: list[ObjectFunction]

  @classmethod
  def of(cls, meta_graph: Any, outputs: Mapping[str, Sequence[str]],
         checkpoint: Checkpoint = NO_CHECKPOINT) -> Plan:
    """Plans, from a MetaGraphDef that hangs together, to keep some outputs.

    Args:
      meta_graph: the MetaGraphDef.
      outputs: the output keys to keep, by signature.
      checkpoint: from which its variables are restored.

    Raises:
      UserError: the SavedModel holds something that cannot be pruned.
    """
    return _Planner(meta_graph, outputs, checkpoint).plan()


class _Planner:

  def __init__(self, meta_graph: Any, outputs: Mapping[str, Sequence[str]],
               checkpoint: Checkpoint):
    self._meta_graph = meta_graph
    self._objects = meta_graph.object_graph_def
    self._outputs = {name: list(keys) for name, keys in outputs.items()}
    self._bodies = bodies_of(meta_graph.graph_def)
    self._resources = Resources(self._bodies)
    self._restored = Restored(meta_graph, self._bodies, checkpoint)
    self._ids = self._restored.ids
    self._live = Liveness(
        self._bodies, OpEffects(self._bodies, op_kinds(meta_graph)))
    self._gradient_uses = gradients.uses(meta_graph, self._bodies)
    self._called_on_loading = initialization.called_by_all(meta_graph, self._bodies)
    self._signatures = object_graph.functions_of_signatures(
        self._objects, self._outputs)
    self._call = loaded_call.choose(
        self._objects, self._signatures, *next(iter(self._outputs.items())),
        self._bodies, self._live.effects)

  def plan(self) -> Plan:
    self._call = self._call if self._call_can_stay() else []
    self._live.mark(self._signature_roots())
    self._live.mark(self._call_roots())
    while self._grow():
      pass
    initializers = self._initializers(self._initialization())
    kept = self._trim_initialization()
    variables, tables = self._live_state()
    self._restored.check_is_whole(self._live_handles() if self._signatures else ())
    return Plan(self._outputs, self._signatures, self._call, self._live, kept,
                initializers, variables, self._object_ids(variables), tables,
                self._object_ids(tables), self._live_gradients())

  def _grow(self) -> bool:
    """Marks what the live objects, tables and variables need for themselves."""
    kept = self._initialization()
    grown = [self._live.mark(Roots(tensors=tuple(sorted(kept.ops)))),
             self._live.mark(self._gradient_roots()),
             self._live.mark(self._captured_object_roots(self._initializers(kept))),
             self._live.mark(self._state_roots())]
    return any(grown)

  def _signature_roots(self) -> Roots:
    tensors = []
    for name, keys in self._outputs.items():
      signature = self._meta_graph.signature_def[name]
      for tensor in (*signature.inputs.values(),
                     *(signature.outputs[key] for key in keys)):
        tensors += tensor_names(tensor)
      if not keys and name in self._signatures:
        # Nothing of it is named but what the main graph passes to it.
        tensors += self._calls_of(self._signatures[name].name)
    # A caller passes every input, also one that no kept output depends on.
    arguments = [argument for function in self._signatures.values()
                 for argument in self._passed_arguments(function)]
    # The main graph may call what such a function hands everything on to.
    results = [(function.name, i) for name, function in self._signatures.items()
               for i in loaded_call.returning(function, self._outputs[name]).results]
    return Roots(tensors=tuple(tensors), arguments=tuple(arguments),
                 results=tuple(results))

  def _calls_of(self, function: str) -> list[str]:
    labels = tuple(map(Passed, range(len(self._bodies[function].arguments))))
    inner = unwrap(Application(function, labels, ()), self._bodies).function
    calls = {name: call_of(node)
             for name, node in self._bodies[MAIN_GRAPH].nodes.items()}
    return [f'^{name}' for name, call in calls.items()
            if call is not None and call.callees[0] in (function, inner)]

  def _call_roots(self) -> Roots:
    return Roots(
        results=tuple((c.function.name, i) for c in self._call for i in c.results),
        arguments=tuple(argument for c in self._call
                        for argument in self._passed_arguments(c.function)))

  def _call_can_stay(self) -> bool:
    restored = self._restored.objects()
    captured = [i for c in self._call for i in c.function.bound_inputs]
    if not loaded_call.can_be_given(captured, self._objects, restored):
      used = Liveness(self._bodies, self._live.effects)
      used.mark(self._call_roots())
      captured = [i for c in self._call
                  for i in loaded_call.live_captures(c.function, used)]
    return loaded_call.can_be_given(captured, self._objects, restored)

  def _passed_arguments(self, function: ObjectFunction) -> list[tuple[str, int]]:
    return [(function.name, i)
            for i in range(passed_count(function, self._bodies))]

  def _gradient_names(self) -> list[str]:
    return sorted({use.gradient for use in self._gradient_uses
                   if (use.body, use.node) in self._live.nodes})

  def _live_gradients(self) -> list[ObjectFunction]:
    return [object_graph.concrete_function(self._objects, name)
            for name in self._gradient_names()
            if name in self._objects.concrete_functions]

  def _gradient_roots(self) -> Roots:
    functions = [self._bodies[name] for name in self._gradient_names()]
    return Roots(
        results=tuple((f.name, i) for f in functions for i in range(len(f.results))),
        arguments=tuple((f.name, i) for f in functions
                        for i in f.arguments.values()))

  def _captured_object_roots(self, initializers: list[int]) -> Roots:
    """Live constants, and functions by which live tables make and fill themselves."""
    _, tables = self._live_state()
    captured = self._captured_objects([*initializers, *self._object_ids(tables)])
    functions = [object_graph.concrete_function(self._objects, name)
                 for name in object_graph.functions_of(self._objects, captured)]
    inner = (gradients.captured_tensor(self._objects.nodes[i], self._bodies)
             for i in captured)
    return Roots(
        tensors=tuple(self._tensors_of(captured)), inner=tuple(filter(None, inner)),
        functions=tuple(function.name for function in functions),
        results=tuple((function.name, i) for function in functions
                      for i in range(len(self._bodies[function.name].results))),
        arguments=tuple(argument for function in functions
                        for argument in self._passed_arguments(function)))

  def _captured_objects(self, others: list[int]) -> list[int]:
    functions = (*self._signatures.values(), *(c.function for c in self._call),
                 *self._live_gradients())
    live_captures = functools.partial(loaded_call.live_captures, live=self._live)
    return object_graph.captured_objects(
        self._objects,
        [*others, *(i for f in functions for i in live_captures(f))],
        live_captures)

  def _tensors_of(self, objects: list[int]) -> Iterator[str]:
    """Nodes of the main graph that stand for what is restored, constants, file paths."""
    nodes = {i: node for node, i in self._ids.items()}
    for i in objects:
      if i in nodes and object_graph.is_restored(self._objects.nodes[i]):
        yield nodes[i]
      node = object_graph.constant_node(self._objects, i)
      if node is not None:
        yield node
      if self._objects.nodes[i].WhichOneof('kind') == 'asset':
        index = self._objects.nodes[i].asset.asset_file_def_index
        yield self._meta_graph.asset_file_def[index].tensor_info.name

  # Initialization, which the loader runs once.

  def _initialization(self) -> initialization.Kept:
    return initialization.kept(
        self._meta_graph, self._bodies, self._live.effects, self._live_resources())

  def _live_resources(self) -> set[Resource]:
    return self._resources.of(self._live.nodes)

  def _initializers(self, kept: initialization.Kept) -> list[int]:
    """Objects that nothing captures by which TF2 runs what sessions run as `kept`."""
    if not self._signatures:
      return []
    captured = self._captured_objects([])
    called = initialization.called_functions(self._bodies, kept.ops)
    return [i for i, names in object_graph.initializers(self._objects).items()
            if i not in captured and self._is_initializer_of(names, called)]

  def _is_initializer_of(self, names: list[str], called: set[str]) -> bool:
    """Whether functions of an object do what some that are called do."""
    if set(names) & self._called_on_loading:
      return bool(set(names) & called)
    # Up to TF 2.8 it is a copy that sessions run, known by what it shares.
    return bool(called & initialization.called_within(self._bodies, names)) or any(
        self._captures_live(name) for name in names)

  def _captures_live(self, name: str) -> bool:
    live = {self._ids[node] for node in self._live_handles() if node in self._ids}
    return bool(live.intersection(self._objects.concrete_functions[name].bound_inputs))

  def _trim_initialization(self) -> initialization.Kept:
    """Marks the groups of what is run, without what fills the dead."""
    kept = self._initialization()
    for name, inputs in kept.groups.items():
      self._bodies[MAIN_GRAPH].narrow(name, inputs)
    self._live.mark(Roots(tensors=(*kept.ops, *kept.groups)))
    return kept

  # Variables and tables whose values are in the checkpoint.

  def _state_roots(self) -> Roots:
    """What restores and saves them, and what TF1 says of variables."""
    variables, tables = self._live_state()
    filename = self._meta_graph.saver_def.filename_tensor_name
    nodes = [*(v.node for v in variables), *(t.node for t in tables)]
    return Roots(tensors=(
        *nodes, *([filename] if filename and nodes else []),
        *variable_collections.tensor_names(self._meta_graph, self._live_handles())))

  def _live_handles(self) -> set[str]:
    """Nodes of the main graph that stand for what any live node stands for."""
    return self._resources.handles(self._live_resources())

  def _live_state(self) -> tuple[list[SavedVariable], list[SavedTable]]:
    live = self._live_handles()
    return ([v for v in self._restored.variables if v.node in live],
            [t for t in self._restored.tables if t.node in live])

  def _object_ids(self, states: Sequence[SavedVariable] | Sequence[SavedTable]) -> list[int]:
    return self._restored.object_ids(states) if self._signatures else []
