"""What slimming removes from a SavedModel, or would remove."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exporter.renaming import Renaming
from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model.moved_tensors import MovedTensor
from exporter.saved_model.signature import Signature, read_signatures
from exporter.serving import response_size
from exporter.serving.comparison import Comparison
from exporter.serving.response_size import ResponseSize

if TYPE_CHECKING:  # It imports TensorFlow.
  from exporter.meta_graph.pruning import Pruned


@dataclasses.dataclass(frozen=True)
class Contents:
  """What a SavedModel holds.

  Attributes:
    outputs: output keys of the slimmed signature.
    functions: how many functions its library has.
    nodes: how many nodes the functions have together.
    variables: how many entries its checkpoint has.
    variable_bytes: of the values in them.
    saved_model_bytes: of `saved_model.pb`.
    response: the size of the signature's response.
  """
  outputs: tuple[str, ...]
  functions: int
  nodes: int
  variables: int
  variable_bytes: int
  saved_model_bytes: int
  response: ResponseSize


@dataclasses.dataclass(frozen=True)
class SlimReport:
  """What slimming removed, or would remove.

  Attributes:
    before: contents of the SavedModel that was given.
    after: contents of the slimmed one.
    dropped_signatures: signatures that went.
    dropped_objects: attributes of the loaded object that went.
    is_callable: whether the loaded object can be called, with the outputs of the
      slimmed signature; else it has its signatures alone.
    acting_ops: ops that no output needs and that stay because they may change state,
      such as `PyFunc (2)`.
    given_up_gradients: TF1 loops, by their frames, that stay and that sessions can no
      longer differentiate.
    moved_tensors: outputs whose tensors have other names now, for those who fetch
      tensors by name; by their former keys.
    comparison: of both, where that was asked for.
    dropped_outputs: of the slimmed signature, those that went.
    renaming: the other names that inputs, outputs and signatures have.
  """
  before: Contents
  after: Contents
  dropped_signatures: tuple[str, ...]
  dropped_objects: tuple[str, ...]
  is_callable: bool
  acting_ops: tuple[str, ...] = ()
  given_up_gradients: tuple[str, ...] = ()
  moved_tensors: tuple[MovedTensor, ...] = ()
  comparison: Comparison | None = None
  dropped_outputs: tuple[str, ...] = ()
  renaming: Renaming = Renaming()


def report(source: SavedModelFiles, lean: Any, pruned: Pruned,
           outputs: Mapping[str, Sequence[str]], renaming: Renaming,
           moved: tuple[MovedTensor, ...]) -> SlimReport:
  primary = signature_of(source, next(iter(outputs)))
  kept = _renamed(primary, outputs[primary.name], renaming)
  return SlimReport(
      before=contents(source, source.proto, source.serving_graph, primary),
      after=contents(source, lean, lean.meta_graphs[0], kept, pruned.entries),
      dropped_signatures=tuple(pruned.dropped_signatures),
      dropped_objects=tuple(pruned.dropped_objects),
      is_callable=pruned.is_callable,
      acting_ops=tuple(pruned.acting_ops),
      given_up_gradients=tuple(pruned.given_up_gradients),
      moved_tensors=moved,
      dropped_outputs=tuple(sorted(primary.outputs.keys() - outputs[primary.name])),
      renaming=renaming)


def _renamed(signature: Signature, keys: Sequence[str], renaming: Renaming) -> Signature:
  """What is left of a signature, by its new names."""
  new_keys = renaming.applied(keys, 'outputs')
  return dataclasses.replace(
      signature, name=renaming.signatures.get(signature.name, signature.name),
      outputs={new: dataclasses.replace(signature.outputs[key], key=new)
               for key, new in new_keys.items()})


def signature_of(source: SavedModelFiles, name: str) -> Signature:
  """A signature of the MetaGraph that is meant."""
  return read_signatures(
      source.directory, source.serving_graph.meta_info_def.tags)[name]


def contents(source: SavedModelFiles, saved_model: Any, meta_graph: Any,
             signature: Signature, entries: dict[str, str] | None = None) -> Contents:
  """Counts what a SavedModel proto holds.

  Args:
    source: has the variables as they were.
    saved_model: the proto, of which the size is said.
    meta_graph: the graph of it that is meant.
    signature: whose outputs to name, with those at least.
    entries: those that are left, as `Pruned.entries`; None for all.
  """
  from exporter.saved_model import variable_bundle
  sizes = variable_bundle.entry_sizes(
      source.variables_prefix, None if entries is None else set(entries.values()))
  functions = meta_graph.graph_def.library.function
  keys = sorted(meta_graph.signature_def[signature.name].outputs)
  return Contents(
      outputs=tuple(keys),
      functions=len(functions),
      nodes=sum(len(function.node_def) for function in functions),
      variables=len(sizes),
      variable_bytes=sum(sizes.values()),
      saved_model_bytes=saved_model.ByteSize(),
      response=response_size.of_response(dataclasses.replace(
          signature, outputs={key: signature.outputs[key] for key in keys})))
