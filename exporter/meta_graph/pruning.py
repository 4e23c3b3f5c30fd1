"""Prunes the MetaGraphDef of a SavedModel to chosen outputs of its signatures.

Works on the protos alone; no graph is imported and nothing is traced again. The
steps of `prune_meta_graph`:

  1. decide which function calling the loaded object will use;
  2. find what the kept outputs need, and so which variables and tables live;
  3. take the dead ones out of the initialization;
  4. prune the graph and its functions;
  5. write the saver, the signatures and the object graph anew for what is left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from exporter.errors import UserError, did_you_mean
from exporter.graph import pruning as graph_pruning
from exporter.graph.bodies import MAIN_GRAPH, bodies_of
from exporter.graph.function_equality import Application, FunctionDigests, unwrap
from exporter.graph.liveness import Liveness
from exporter.graph.op_effects import OpEffects, stateful_ops
from exporter.graph.result_selection import select_results
from exporter.meta_graph import (
    asset_files,
    initialization,
    object_graph,
    object_rewriting,
    tidying,
    validation,
    variable_collections,
)
from exporter.meta_graph import saver as saver_graph
from exporter.meta_graph.object_graph import ObjectFunction
from exporter.meta_graph.saver import SavedVariable
from exporter.meta_graph.signature_tensors import rename_tensors, tensor_names


@dataclasses.dataclass(frozen=True)
class Pruned:
  """What pruning left beside the MetaGraphDef itself.

  Attributes:
    entries: what stays of the checkpoint, former key by new key.
    dropped_signatures: names of the signatures that went.
    dropped_objects: names of the root's attributes that went.
    is_callable: whether the loaded object can still be called.
  """
  entries: dict[str, str]
  dropped_signatures: list[str]
  dropped_objects: list[str]
  is_callable: bool


@dataclasses.dataclass(frozen=True)
class _Offered:
  """A function with what a caller gets of it.

  Attributes:
    function: described with those outputs alone.
    results: which of the function's results these are, in their order.
  """
  function: ObjectFunction
  results: tuple[int, ...]


def _returning(function: ObjectFunction, keys: Sequence[str]) -> _Offered:
  """A function that returns a dict, with only the outputs of some sorted keys."""
  return _Offered(
      object_graph.with_outputs(function, keys),
      tuple(i for key in keys for i in function.result_positions[key]))


def prune_meta_graph(meta_graph,
                     outputs: Mapping[str, Sequence[str]]) -> Pruned:
  """Reduces `meta_graph`, in place, to the given outputs.

  Args:
    meta_graph: MetaGraphDef of a SavedModel.
    outputs: the output keys to keep, by signature; the first signature is the
      one whose outputs calling the loaded object shall return. Signatures that
      are not named go.

  Raises:
    UserError: there is no such signature or output, or the SavedModel holds
      something that cannot be pruned.
  """
  validation.check(meta_graph)
  _check_outputs(meta_graph.signature_def, outputs)
  return _Pruner(meta_graph, outputs).prune()


def _check_outputs(signatures, outputs: Mapping[str, Sequence[str]]) -> None:
  if not outputs:
    raise UserError('A SavedModel with no signature cannot be served; name one.')
  for name, keys in outputs.items():
    if name not in signatures:
      raise UserError(
          f'There is no signature {name!r}{did_you_mean(name, signatures) or "."}'
          f' The signatures are {", ".join(sorted(signatures)) or "none"}.')
    known = signatures[name].outputs
    if not keys:
      raise UserError(f'The signature {name!r} is left with no output; its outputs'
                      f' are {", ".join(sorted(known)) or "none"}.')
    for key in keys:
      if key not in known:
        raise UserError(
            f'The signature {name!r} has no output {key!r}'
            f'{did_you_mean(key, known) or "."} Its outputs are'
            f' {", ".join(sorted(known)) or "none"}.')


class _Pruner:

  def __init__(self, meta_graph, outputs):
    self._meta_graph = meta_graph
    self._outputs = {name: list(keys) for name, keys in outputs.items()}
    self._primary = next(iter(self._outputs))
    self._bodies = bodies_of(meta_graph.graph_def)
    self._stateful_ops = stateful_ops(meta_graph)
    self._effects = OpEffects(self._bodies, self._stateful_ops)
    self._objects = meta_graph.object_graph_def
    signature_functions = object_graph.signature_functions(self._objects)
    self._has_objects = set(self._outputs) <= set(signature_functions)
    self._signature_functions = {
        signature: object_graph.concrete_function(
            self._objects, signature_functions[signature])
        for signature in self._outputs} if self._has_objects else {}

  def prune(self) -> Pruned:
    dropped_signatures = self._drop_signatures()
    roots = self._signature_roots()
    call = self._choose_call()
    roots = _together(roots, self._call_roots(call))
    live = self._live(roots)
    roots = _together(roots, self._captured_object_roots(call, live))

    initialization.trim(
        self._meta_graph, self._bodies[MAIN_GRAPH], _main_nodes(live))
    roots = _together(roots, graph_pruning.Roots(
        tensors=tuple(initialization.main_ops(self._meta_graph))))
    live = self._live(roots)
    variables = self._live_variables(live)
    ids = self._object_ids(variables)
    self._keep_collections(_main_nodes(live))
    roots = _together(roots, self._variable_roots(variables))
    kept = graph_pruning.prune(
        self._meta_graph.graph_def, roots, self._stateful_ops)

    dropped_objects = object_graph.dropped_children(self._objects)
    self._rename_signature_tensors(kept)
    self._rewrite_objects(kept, call, ids)
    keys = ([object_graph.checkpoint_key(i) for i in range(len(variables))]
            if self._has_objects else [v.key for v in variables])
    saver_graph.write_saver(self._meta_graph, [
        dataclasses.replace(v, key=key) for v, key in zip(variables, keys)])
    asset_files.keep_used(self._meta_graph)
    tidying.tidy(self._meta_graph)
    return Pruned({key: v.key for v, key in zip(variables, keys)},
                  dropped_signatures, dropped_objects, bool(call))

  def _live(self, roots) -> Liveness:
    return graph_pruning.live_parts(
        self._meta_graph.graph_def, roots, self._stateful_ops)

  # Signatures.

  def _drop_signatures(self) -> list[str]:
    signatures = self._meta_graph.signature_def
    dropped = [name for name in signatures
               if name not in self._outputs and name != initialization.SIGNATURE]
    for name in dropped:
      del signatures[name]
    for name, keys in self._outputs.items():
      for key in set(signatures[name].outputs) - set(keys):
        del signatures[name].outputs[key]
    return sorted(dropped)

  def _signature_roots(self) -> graph_pruning.Roots:
    tensors = []
    for name in self._outputs:
      signature = self._meta_graph.signature_def[name]
      for tensor in (*signature.inputs.values(), *signature.outputs.values()):
        tensors += tensor_names(tensor)
    # A caller passes every input, also one that no kept output depends on.
    arguments = [argument for function in self._signature_functions.values()
                 for argument in self._passed_arguments(function)]
    return graph_pruning.Roots(tensors=tuple(tensors), arguments=tuple(arguments))

  def _passed_arguments(self, function: ObjectFunction) -> list[tuple[str, int]]:
    """The arguments that a caller passes; the others are captures."""
    count = (len(self._bodies[function.name].arguments)
             - len(function.bound_inputs))
    return [(function.name, i) for i in range(count)]

  def _rename_signature_tensors(self, kept: graph_pruning.Kept) -> None:
    for name in self._outputs:
      signature = self._meta_graph.signature_def[name]
      for tensor in (*signature.inputs.values(), *signature.outputs.values()):
        rename_tensors(tensor, kept.tensor_name)

  # Calling the loaded object.

  def _choose_call(self) -> list[_Offered]:
    """The functions for `loaded(...)`, with just the primary signature's keys.

    The signature's own body serves where it computes the same, so that the file
    holds it once; otherwise the function stays, reduced to those keys. One that
    does not return them, or has captures of its own, cannot stay.
    """
    if not self._has_objects:
      return []
    keys = sorted(self._outputs[self._primary])
    known = {i for function in self._signature_functions.values()
             for i in function.bound_inputs}
    chosen = []
    for name in object_graph.call_functions(self._objects):
      function = object_graph.concrete_function(self._objects, name)
      # Each trace captures constants of its own, which the graph holds.
      own = {i for i in set(function.bound_inputs) - known
             if object_graph.constant_node(self._objects, i) is None}
      if set(keys) <= set(function.result_positions or ()) and not own:
        chosen.append(self._signature_body_for(function, keys)
                      or _returning(function, keys))
    return chosen

  def _signature_body_for(self, function: ObjectFunction,
                          keys: list[str]) -> _Offered | None:
    """The function inside the primary signature, if it computes the same."""
    inside, wanted = (
        unwrap(Application(f.name, self._labels(f), _returning(f, keys).results),
               self._bodies)
        for f in (self._signature_functions[self._primary], function))
    count = len(self._passed_arguments(function))
    captures = inside.labels[count:]
    takes_the_same = (
        inside.labels[:count] == self._labels(function)[:count]
        and all(label.startswith(_OBJECT) for label in captures))
    if not takes_the_same or (
        inside != wanted and self._digest(inside) != self._digest(wanted)):
      return None
    return _Offered(
        dataclasses.replace(
            object_graph.with_outputs(function, keys), name=inside.function,
            bound_inputs=[int(c.removeprefix(_OBJECT)) for c in captures]),
        inside.results)

  def _labels(self, function: ObjectFunction) -> tuple[str, ...]:
    """What each argument stands for, the same whichever function takes it."""
    passed = len(self._passed_arguments(function))
    names = object_graph.input_names(function.input_signature)
    if len(names) != passed:  # A ragged or sparse tensor is several arguments.
      names = [f'{i} of {function.name}' for i in range(passed)]
    return (*(f'input {name}' for name in names),
            *(f'{_OBJECT}{i}' for i in function.bound_inputs))

  def _digest(self, application: Application) -> str:
    """Digest of a function in which constants of the same value are the same."""
    def meaning(label):
      if not label.startswith(_OBJECT):
        return label
      node = object_graph.constant_node(
          self._objects, int(label.removeprefix(_OBJECT)))
      if node is None:
        return label
      value = self._bodies[MAIN_GRAPH].nodes[node].attr['value']
      return f'constant {value.SerializeToString(deterministic=True)!r}'

    return FunctionDigests(self._bodies, self._effects).of(dataclasses.replace(
        application, labels=tuple(map(meaning, application.labels))))

  def _call_roots(self, call: list[_Offered]) -> graph_pruning.Roots:
    return graph_pruning.Roots(
        results=tuple((c.function.name, i) for c in call for i in c.results),
        arguments=tuple(argument for c in call
                        for argument in self._passed_arguments(c.function)))

  # Captured objects: variables, constants, tables.

  def _captured_object_roots(self, call: list[_Offered],
                             live: Liveness) -> graph_pruning.Roots:
    """Live constants, and functions by which live tables make and fill themselves."""
    captured = object_graph.captured_objects(self._objects, [
        i for function in (*self._signature_functions.values(),
                           *(c.function for c in call))
        for i in self._live_captures(function, live)])
    functions = object_graph.functions_of(self._objects, captured)
    return graph_pruning.Roots(
        tensors=tuple(self._tensors_of(captured)),
        results=tuple((name, i) for name in functions
                      for i in range(len(self._bodies[name].results))),
        arguments=tuple((name, i) for name in functions
                        for i in self._bodies[name].arguments.values()))

  def _tensors_of(self, objects: list[int]) -> Iterator[str]:
    """Tensors of the main graph that hold captured constants and file paths."""
    for i in objects:
      node = object_graph.constant_node(self._objects, i)
      if node is not None:
        yield node
      if self._objects.nodes[i].WhichOneof('kind') == 'asset':
        index = self._objects.nodes[i].asset.asset_file_def_index
        yield self._meta_graph.asset_file_def[index].tensor_info.name

  def _live_captures(self, function: ObjectFunction, live: Liveness) -> list[int]:
    count = len(self._passed_arguments(function))
    return [object_id for i, object_id in enumerate(function.bound_inputs)
            if (function.name, count + i) in live.arguments]

  def _live_variables(self, live: Liveness) -> list[SavedVariable]:
    return [v for v in saver_graph.read_saver(self._meta_graph, self._bodies)
            if (MAIN_GRAPH, v.node) in live.nodes]

  def _variable_roots(self, variables: list[SavedVariable]) -> graph_pruning.Roots:
    """What saves variables, and what TF1 says of them."""
    tensors = ([self._meta_graph.saver_def.filename_tensor_name] if variables
               else [])
    return graph_pruning.Roots(tensors=(
        *tensors, *variable_collections.tensor_names(self._meta_graph)))

  def _object_ids(self, variables: list[SavedVariable]) -> list[int]:
    """The object of each variable, known by what the main graph's calls capture."""
    if not self._has_objects:
      return []
    ids = object_graph.captured_ids(self._objects, self._bodies[MAIN_GRAPH])
    for v in variables:
      if v.node not in ids:
        raise UserError(f'The SavedModel is damaged: no object stands for the'
                        f' variable {v.node!r}, which the outputs need.')
    return [ids[v.node] for v in variables]

  def _rewrite_objects(self, kept: graph_pruning.Kept,
                       call: list[_Offered], variables: list[int]) -> None:
    if not self._has_objects:
      self._meta_graph.ClearField('object_graph_def')
      return

    described = set()

    def as_kept(function, results) -> ObjectFunction:
      count = len(self._passed_arguments(function))
      captures = [function.bound_inputs[i - count]
                  for i in kept.arguments[function.name] if i >= count]
      now = [kept.results[function.name].index(i) for i in results]
      name = function.name
      # Somebody else may take more from it, or know it under another description.
      if now != list(range(len(kept.results[name]))) or name in described:
        name = select_results(self._meta_graph.graph_def.library, name, now)
      described.add(name)
      return dataclasses.replace(function, name=name, bound_inputs=captures)

    signatures = {}
    for name, function in self._signature_functions.items():
      offered = _returning(function, sorted(self._outputs[name]))
      signatures[name] = as_kept(offered.function, offered.results)
    object_rewriting.rewrite(
        self._objects, signatures,
        [as_kept(c.function, c.results) for c in call], variables)

  def _keep_collections(self, live: set[str]) -> None:
    collections = self._meta_graph.collection_def
    variable_collections.keep(self._meta_graph, live)
    for name in set(collections) - {
        *variable_collections.NAMES, *initialization.COLLECTIONS,
        asset_files.COLLECTION}:
      del collections[name]


_OBJECT = 'object '


def _main_nodes(live: Liveness) -> set[str]:
  return {node for body, node in live.nodes if body == MAIN_GRAPH}


def _together(*roots: graph_pruning.Roots) -> graph_pruning.Roots:
  return graph_pruning.Roots(
      tensors=sum((r.tensors for r in roots), ()),
      results=sum((r.results for r in roots), ()),
      arguments=sum((r.arguments for r in roots), ()))
