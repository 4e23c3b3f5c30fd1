"""Writes a SavedModel anew with only what chosen outputs need.

    write_lean('stock/saved_model', 'lean/saved_model',
               {'serving_default': ['detection_boxes', 'detection_scores']})

Needs neither the code that made the model nor its checkpoint, and never imports
the graph: `meta_graph.pruning` edits the protos, `variable_bundle` copies the
variables that are left.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

from exporter.errors import UserError
from exporter.meta_graph import asset_files
from exporter.meta_graph import object_checkpoint
from exporter.meta_graph import pruning as saved_model_pruning
from exporter.meta_graph.saved_variables import Checkpoint
from exporter.saved_model import tensorflow_api
from exporter.saved_model import variable_bundle
from exporter.saved_model.files import MOST_BYTES, SavedModelFiles


def write_lean(source: str, target: str,
               outputs: Mapping[str, Sequence[str]]) -> saved_model_pruning.Pruned:
  """Writes to `target` the SavedModel `source` reduced to `outputs`.

  Args:
    source: a SavedModel folder.
    target: made by this function, with its parents.
    outputs: the output keys to keep, by signature; the outputs of the first one
      are also what calling the loaded object returns. Other signatures go.

  Returns:
    What pruning left out beside dead nodes and variables.

  Raises:
    UserError: `source` cannot be read or holds something that cannot be pruned.
  """
  files = SavedModelFiles.open(source)
  lean, pruned = prune(files, outputs)
  write(lean, pruned, files, target)
  return pruned


def prune(source: SavedModelFiles, outputs: Mapping[str, Sequence[str]],
          checkpoint: Checkpoint | None = None) -> tuple[Any, saved_model_pruning.Pruned]:
  """A copy of a SavedModel proto reduced to `outputs`, and what was left out.

  Args:
    source: the SavedModel.
    outputs: as in `write_lean`.
    checkpoint: from which its variables are restored; None: the one in its folder.

  Raises:
    UserError: it holds something that cannot be pruned.
  """
  lean = type(source.proto)(
      saved_model_schema_version=source.proto.saved_model_schema_version,
      meta_graphs=[source.serving_graph])
  if checkpoint is None:
    checkpoint = Checkpoint(
        variable_bundle.read_object_graph(source.variables_prefix),
        functools.partial(variable_bundle.are_equal, source.variables_prefix))
  pruned = saved_model_pruning.prune_meta_graph(
      lean.meta_graphs[0], outputs, checkpoint)
  # A copy of a body may weigh more than what went.
  if lean.ByteSize() > MOST_BYTES:
    raise UserError(f'What is left of {source.directory} has more than 2 GB, which no'
                    ' saved_model.pb can hold; keep fewer outputs or signatures.')
  return lean, pruned


def write(lean: Any, pruned: saved_model_pruning.Pruned, source: SavedModelFiles,
          target: str, variables: Mapping[str, Any] | None = None,
          meanwhile: Callable[[], None] = lambda: None) -> None:
  """Writes what `prune` made of the SavedModel `source`.

  Args:
    lean: the SavedModel proto.
    pruned: what came with it.
    source: where variables and assets are copied from.
    target: made by this function, unless it is there and empty.
    variables: each a `tf.Variable`, by the entry that it would have in `source`,
      which has none then; None: they are copied.
    meanwhile: called while variables are written, when saved_model.pb is there.
  """
  os.makedirs(target, exist_ok=True)
  meta_graph = lean.meta_graphs[0]
  with futures.ThreadPoolExecutor(1) as pool:
    written = pool.submit(
        _write_variables, source, target, meta_graph, pruned.entries, variables)
    _copy_assets(source.directory, target, asset_files.file_names(meta_graph),
                 pruned.unused_assets)
    with open(os.path.join(target, 'saved_model.pb'), 'wb') as f:
      f.write(lean.SerializeToString(deterministic=True))
    meanwhile()
    written.result()
  tensorflow_api.write_fingerprint(target)


def object_graph_of(meta_graph: Any) -> Any:
  """The TrackableObjectGraph that fits the objects of a MetaGraphDef."""
  from tensorflow.core.protobuf import trackable_object_graph_pb2
  trackable_graph = trackable_object_graph_pb2.TrackableObjectGraph()
  object_checkpoint.checkpoint_graph(meta_graph.object_graph_def, trackable_graph)
  return trackable_graph


def _write_variables(source: SavedModelFiles, target: str, meta_graph: Any,
                     entries: Mapping[str, str],
                     variables: Mapping[str, Any] | None) -> None:
  folder = os.path.join(target, 'variables')
  os.makedirs(folder)
  prefix = os.path.join(folder, 'variables')
  trackable_graph = None
  if meta_graph.object_graph_def.nodes:
    trackable_graph = object_graph_of(meta_graph).SerializeToString(deterministic=True)
  if not entries and not trackable_graph:
    return
  if variables is None:
    variable_bundle.copy_entries(
        source.variables_prefix, prefix, entries, trackable_graph)
  else:
    variable_bundle.write_variables(
        prefix, {key: variables[old] for key, old in entries.items()}, trackable_graph)


def _copy_assets(source: str, target: str, used: Sequence[str],
                 unused: Collection[str]) -> None:
  """Copies the folder `assets` but for the files that nothing can read."""
  for name in used:
    path = os.path.normpath(os.path.join('assets', name))
    if not path.startswith('assets' + os.sep):
      raise UserError(f'The SavedModel names a file outside of its folder: {name}.')
    if not os.path.exists(os.path.join(source, path)):
      raise UserError(
          f'{source} lacks the file {path}, which a table is filled from.')
  os.makedirs(os.path.join(target, 'assets'))
  for path in _files_below(os.path.join(source, 'assets')):
    if path.replace(os.sep, '/') not in unused:
      new = os.path.join(target, 'assets', path)
      os.makedirs(os.path.dirname(new), exist_ok=True)
      shutil.copyfile(os.path.join(source, 'assets', path), new)
  extra = os.path.join(source, 'assets.extra')
  if os.path.isdir(extra):
    shutil.copytree(extra, os.path.join(target, 'assets.extra'))


def _files_below(folder: str) -> Iterator[str]:
  for parent, folders, names in os.walk(folder, followlinks=True):
    folders.sort()
    for name in sorted(names):
      yield os.path.relpath(os.path.join(parent, name), folder)
