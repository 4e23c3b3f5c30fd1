"""Writes a SavedModel anew with only what chosen outputs need.

    write_lean('stock/saved_model', 'lean/saved_model',
               {'serving_default': ['detection_boxes', 'detection_scores']})

Needs neither the code that made the model nor its checkpoint, and never imports
the graph: `saved_model_pruning` edits the protos, `variable_bundle` copies the
variables that are left.
"""

import inspect
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence

from exporter.saved_model import tensorflow_api, variable_bundle
from exporter.meta_graph import asset_files
from exporter.meta_graph import object_graph
from exporter.meta_graph import pruning as saved_model_pruning
from exporter.meta_graph import saver as saver_graph
from exporter.graph import bodies
from exporter.errors import UserError


def read_saved_model(saved_model_dir: str):
  """Reads `saved_model.pb` into a SavedModel proto.

  Raises:
    UserError: the file is missing, unreadable or not a SavedModel.
  """
  from google.protobuf import message
  from tensorflow.core.protobuf import saved_model_pb2
  path = os.path.join(saved_model_dir, 'saved_model.pb')
  try:
    with open(path, 'rb') as f:
      saved_model = saved_model_pb2.SavedModel.FromString(f.read())
  except FileNotFoundError as e:
    raise UserError(f'{saved_model_dir} is not a SavedModel: it holds no'
                    ' saved_model.pb.') from e
  except OSError as e:
    raise UserError(f'{path} cannot be read: {e.strerror}.') from e
  except message.DecodeError as e:
    raise UserError(f'{path} is damaged: it is not a SavedModel proto.') from e
  if not saved_model.meta_graphs:
    raise UserError(f'{path} is damaged: it holds no graph.')
  return saved_model


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
  lean, pruned = prune(read_saved_model(source), outputs)
  write(lean, pruned, source, target)
  return pruned


def prune(saved_model, outputs: Mapping[str, Sequence[str]]):
  """A copy of a SavedModel proto reduced to `outputs`, and what was left out.

  Raises:
    UserError: it holds something that cannot be pruned.
  """
  lean = type(saved_model)(
      saved_model_schema_version=saved_model.saved_model_schema_version,
      meta_graphs=[serving_graph(saved_model)])
  pruned = saved_model_pruning.prune_meta_graph(lean.meta_graphs[0], outputs)
  return lean, pruned


def write(lean, pruned: saved_model_pruning.Pruned, source: str,
          target: str) -> None:
  """Writes what `prune` made of the SavedModel in the folder `source`.

  Args:
    lean: the SavedModel proto.
    pruned: what came with it.
    source: where variables and assets are copied from.
    target: made by this function, unless it is there and empty.
  """
  os.makedirs(target, exist_ok=True)
  meta_graph = lean.meta_graphs[0]
  _write_variables(source, target, meta_graph, pruned.entries)
  _copy_assets(source, target, meta_graph)
  with open(os.path.join(target, 'saved_model.pb'), 'wb') as f:
    f.write(lean.SerializeToString(deterministic=True))
  tensorflow_api.write_fingerprint(target)


def save_lean(concrete_function, target: str) -> None:
  """Saves a concrete function as a SavedModel that holds it alone.

  Args:
    concrete_function: returns a dict of tensors; becomes `serving_default` and
      what calling the loaded object runs.
    target: the SavedModel folder; made by this function.
  """
  import tensorflow as tf
  input_signature, _ = concrete_function.structured_input_signature
  # Saving a module of Keras layers would write every layer's call functions.
  root = tf.train.Checkpoint(variables=list(concrete_function.graph.variables))
  # Saving the model's own tf.function would trace it once more.
  root.__call__ = tf.function(_positional(concrete_function, input_signature),
                              input_signature=input_signature, autograph=False)
  with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as unpruned:
    tf.saved_model.save(root, unpruned, signatures=concrete_function,
                        options=tensorflow_api.save_options())
    saved_model = read_saved_model(unpruned)
    meta_graph = serving_graph(saved_model)
    if not meta_graph.HasField('saver_def'):
      _add_saver(meta_graph)
    lean, pruned = prune(
        saved_model, {'serving_default': list(concrete_function.structured_outputs)})
    write(lean, pruned, unpruned, target)


def _add_saver(meta_graph) -> None:
  """Adds a saver for the variables that the root lists and the graph reads."""
  objects = meta_graph.object_graph_def
  keys = object_graph.listed_variables(objects)
  nodes = object_graph.captured_ids(
      objects, bodies.bodies_of(meta_graph.graph_def)[bodies.MAIN_GRAPH])
  saver_graph.write_saver(meta_graph, [
      saver_graph.SavedVariable(
          node, keys[i], slice='', dtype=objects.nodes[i].variable.dtype,
          is_resource=True)
      for node, i in nodes.items() if i in keys])


def _positional(concrete_function, input_signature):
  """A function that takes the inputs by position or, as stock's, by name."""
  names = [spec.name for spec in input_signature]

  def call_func(*inputs, **named):
    return concrete_function(*inputs, *(named[n] for n in names[len(inputs):]))

  call_func.__signature__ = inspect.Signature([
      inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
      for name in names])
  return call_func


def serving_graph(saved_model):
  """The MetaGraphDef that servers load: the one tagged `serve`, or else the first."""
  graphs = saved_model.meta_graphs
  return next((g for g in graphs if 'serve' in g.meta_info_def.tags), graphs[0])


def _write_variables(source, target, meta_graph, entries) -> None:
  from tensorflow.core.protobuf import trackable_object_graph_pb2
  folder = os.path.join(target, 'variables')
  os.makedirs(folder)
  trackable_graph = None
  if meta_graph.object_graph_def.nodes:
    trackable_graph = trackable_object_graph_pb2.TrackableObjectGraph()
    object_graph.checkpoint_graph(meta_graph.object_graph_def, trackable_graph)
    trackable_graph = trackable_graph.SerializeToString(deterministic=True)
  if entries or trackable_graph:
    variable_bundle.copy_entries(
        os.path.join(source, 'variables', 'variables'),
        os.path.join(folder, 'variables'), entries, trackable_graph)


def _copy_assets(source: str, target: str, meta_graph) -> None:
  os.makedirs(os.path.join(target, 'assets'))
  for name in asset_files.file_names(meta_graph):
    path = os.path.normpath(os.path.join('assets', name))
    if not path.startswith('assets' + os.sep):
      raise UserError(f'The SavedModel names a file outside of its folder: {name}.')
    os.makedirs(os.path.dirname(os.path.join(target, path)), exist_ok=True)
    try:
      shutil.copyfile(os.path.join(source, path), os.path.join(target, path))
    except FileNotFoundError as e:
      raise UserError(
          f'{source} lacks the file {path}, which a table is filled from.') from e
  extra = os.path.join(source, 'assets.extra')
  if os.path.isdir(extra):
    shutil.copytree(extra, os.path.join(target, 'assets.extra'))
