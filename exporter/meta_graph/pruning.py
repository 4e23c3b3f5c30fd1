"""Prunes the MetaGraphDef of a SavedModel to chosen outputs of its signatures.

Works on the protos alone; no graph is imported and nothing is traced again.
`Plan.of` finds what stays, `apply` takes the rest out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from exporter.errors import UserError, did_you_mean
from exporter.graph import pruning as graph_pruning
from exporter.graph.acting_ops import acting_ops
from exporter.graph.bodies import Body, bodies_of
from exporter.graph.result_selection import select_results
from exporter.graph.rewriting import Kept
from exporter.meta_graph import (
    asset_files,
    asset_reads,
    gradients,
    initialization,
    object_checkpoint,
    object_graph,
    object_rewriting,
    saver,
    tidying,
    validation,
    variable_collections,
)
from exporter.meta_graph.loaded_call import Offered, returning
from exporter.meta_graph.object_graph import ObjectFunction, passed_count
from exporter.meta_graph.plan import Plan
from exporter.meta_graph.saved_variables import NO_CHECKPOINT, Checkpoint
from exporter.meta_graph.signature_tensors import rename_tensors


@dataclasses.dataclass(frozen=True)
class Pruned:
  """What pruning left beside the MetaGraphDef itself.

  Attributes:
    entries: what stays of the checkpoint, former key by new key.
    dropped_signatures: names of the signatures that went.
    dropped_objects: names of the root's attributes that went.
    is_callable: whether the loaded object can still be called.
    unused_assets: the files beside the graph that nothing reads any more.
    acting_ops: the ops that stay because they may change state, by type.
    given_up_gradients: names of the loops that stay and that nobody can differentiate
      any more.
  """
  entries: dict[str, str]
  dropped_signatures: list[str]
  dropped_objects: list[str]
  is_callable: bool
  unused_assets: list[str]
  acting_ops: list[str]
  given_up_gradients: list[str]


def prune_meta_graph(meta_graph: Any, outputs: Mapping[str, Sequence[str]],
                     checkpoint: Checkpoint = NO_CHECKPOINT) -> Pruned:
  """Reduces `meta_graph`, in place, to the given outputs.

  Args:
    meta_graph: MetaGraphDef of a SavedModel.
    outputs: the output keys to keep, by signature; the first signature is the
      one whose outputs calling the loaded object shall return. Signatures that
      are not named go.
    checkpoint: from which variables are restored; without its objects, the saver in
      the graph alone tells which.

  Raises:
    UserError: there is no such signature or output, or the SavedModel holds
      something that cannot be pruned.
  """
  validation.check(meta_graph)
  _check_outputs(meta_graph.signature_def, outputs)
  plan = Plan.of(meta_graph, outputs, checkpoint)
  return apply(meta_graph, plan)


def apply(meta_graph: Any, plan: Plan) -> Pruned:
  """Reduces `meta_graph`, in place, to what `plan`, which was made of it, keeps."""
  acting = _acting_ops(plan)
  given_up = gradients.given_up(meta_graph, plan.liveness.main_nodes())
  dropped_objects = object_graph.dropped_children(meta_graph.object_graph_def)
  dropped_signatures = _keep_signatures(meta_graph.signature_def, plan.outputs)
  initialization.keep(meta_graph, plan.initialization)
  kept = graph_pruning.keep_live(meta_graph.graph_def, plan.liveness)
  _keep_collections(meta_graph, plan, kept)
  _rename_signature_tensors(meta_graph.signature_def, plan.outputs, kept)
  _rewrite_objects(meta_graph, plan, kept)
  entries = _rewrite_saver(meta_graph, plan)
  unused_assets = _keep_used_assets(meta_graph)
  tidying.tidy(meta_graph)
  dropped_objects = [
      name for name in dropped_objects
      if object_graph.child_id(meta_graph.object_graph_def, 0, name) is None]
  return Pruned(entries, dropped_signatures, dropped_objects, bool(plan.call),
                unused_assets, acting, given_up)


def _check_outputs(signatures: Any, outputs: Mapping[str, Sequence[str]]) -> None:
  if not outputs:
    raise UserError('A SavedModel with no signature cannot be served; name one.')
  for name, keys in outputs.items():
    if name not in signatures:
      raise UserError(
          f'There is no signature {name!r}{did_you_mean(name, signatures) or "."}'
          f' The signatures are {", ".join(sorted(signatures)) or "none"}.')
    known = signatures[name].outputs
    if not keys and known:
      raise UserError(f'The signature {name!r} is left with no output; its outputs'
                      f' are {", ".join(sorted(known))}.')
    for key in keys:
      if key not in known:
        raise UserError(
            f'The signature {name!r} has no output {key!r}'
            f'{did_you_mean(key, known) or "."} Its outputs are'
            f' {", ".join(sorted(known)) or "none"}.')


def _keep_signatures(signatures: Any, outputs: Mapping[str, Sequence[str]]) -> list[str]:
  """Drops signatures and outputs; the names of the signatures that went."""
  dropped = sorted(
      set(signatures) - set(outputs) - {initialization.SIGNATURE})
  for name in dropped:
    del signatures[name]
  for name, keys in outputs.items():
    for key in set(signatures[name].outputs) - set(keys):
      del signatures[name].outputs[key]
  return dropped


def _acting_ops(plan: Plan) -> list[str]:
  bodies = plan.liveness.bodies
  roots = {function.name for function in (
      *plan.signatures.values(), *(offered.function for offered in plan.call))}
  return acting_ops(
      plan.liveness, roots | initialization.called_within(bodies, roots))


def _keep_collections(meta_graph: Any, plan: Plan, kept: Kept) -> None:
  variable_collections.keep(
      meta_graph, plan.liveness.main_nodes(), kept.tensor_name)
  for name in set(meta_graph.collection_def) - {
      *variable_collections.NAMES, *initialization.COLLECTIONS,
      asset_files.COLLECTION}:
    del meta_graph.collection_def[name]


def _rename_signature_tensors(signatures: Any, outputs: Mapping[str, Sequence[str]],
                              kept: Kept) -> None:
  for name in outputs:
    for tensor in (*signatures[name].inputs.values(),
                   *signatures[name].outputs.values()):
      rename_tensors(tensor, kept.tensor_name)


def _rewrite_objects(meta_graph: Any, plan: Plan, kept: Kept) -> None:
  if not plan.signatures:
    meta_graph.ClearField('object_graph_def')
    return
  selection = _ResultSelection(
      meta_graph.graph_def.library, plan.liveness.bodies, kept)
  signatures = {
      name: selection.as_kept(returning(function, sorted(plan.outputs[name])))
      for name, function in plan.signatures.items()}
  call = [selection.as_kept(offered) for offered in plan.call]
  of_ops = [selection.as_kept(Offered(f, tuple(kept.results[f.name])))
            for f in plan.gradients]
  selection.narrow_captures(meta_graph.object_graph_def)
  _rename_captured_tensors(meta_graph.object_graph_def, of_ops, kept)
  object_rewriting.rewrite(
      meta_graph.object_graph_def, signatures, call, plan.variable_ids,
      plan.table_ids, plan.initializers, of_ops)


def _rename_captured_tensors(objects: Any, functions: Sequence[ObjectFunction],
                             kept: Kept) -> None:
  for i in {i for function in functions for i in function.bound_inputs}:
    if objects.nodes[i].WhichOneof('kind') == 'captured_tensor':
      tensor = objects.nodes[i].captured_tensor
      tensor.name = kept.tensor_name(tensor.name, tensor.concrete_function)


def _keep_used_assets(meta_graph: Any) -> list[str]:
  """Lists the files that are read, and tells which certainly are not."""
  before = asset_files.file_names(meta_graph)
  asset_files.keep_used(meta_graph)
  if asset_reads.may_read_neighbours(meta_graph, bodies_of(meta_graph.graph_def)):
    return []
  return sorted(set(before) - set(asset_files.file_names(meta_graph)))


class _ResultSelection:
  """Describes functions as they are after pruning, each by a name of its own."""

  def __init__(self, library: Any, bodies: Mapping[str, Body], kept: Kept):
    self._library = library
    self._bodies = bodies
    self._kept = kept
    self._described: set[str] = set()

  def as_kept(self, offered: Offered) -> ObjectFunction:
    name = offered.function.name
    captures = self._captures(offered.function)
    results = [self._kept.results[name].index(i) for i in offered.results]
    # Somebody else may take more from it, or know it under another description.
    if (results != list(range(len(self._kept.results[name])))
        or name in self._described):
      name = select_results(self._library, name, results)
    self._described.add(name)
    return dataclasses.replace(offered.function, name=name, bound_inputs=captures)

  def narrow_captures(self, objects: Any) -> None:
    """Takes from the functions of tables, in place, the captures that have gone."""
    for name in objects.concrete_functions.keys() & self._kept.arguments.keys():
      function = object_graph.concrete_function(objects, name)
      objects.concrete_functions[name].bound_inputs[:] = self._captures(function)

  def _captures(self, function: ObjectFunction) -> list[int]:
    count = passed_count(function, self._bodies)
    return [function.bound_inputs[i - count]
            for i in self._kept.arguments[function.name] if i >= count]


def _rewrite_saver(meta_graph: Any, plan: Plan) -> dict[str, str]:
  """Writes what restores the plan's state; the former checkpoint entries by the new ones."""
  variables, tables = plan.variables, plan.tables
  if plan.signatures:
    variables = [dataclasses.replace(v, key=object_checkpoint.checkpoint_key(i))
                 for i, v in enumerate(variables)]
    tables = [dataclasses.replace(t, keys=keys, values=values) for t, (keys, values) in zip(
        tables, map(object_checkpoint.table_entries, map(
            object_checkpoint.table_key, range(len(tables)))))]
  saver.write_saver(meta_graph, variables, tables)
  return {**{new.key: old.key for old, new in zip(plan.variables, variables)},
          **{new.keys: old.keys for old, new in zip(plan.tables, tables)},
          **{new.values: old.values for old, new in zip(plan.tables, tables)}}
