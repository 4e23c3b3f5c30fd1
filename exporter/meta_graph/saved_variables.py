"""Which variable is restored from which entry of the checkpoint.

Two witnesses tell: the saver in the graph, by which sessions restore, and the
objects of TF2 with those in the checkpoint, by which `tf.saved_model.load` does.
Either may be missing; where there are both they must say the same.
"""

from __future__ import annotations

from exporter.errors import UserError
from exporter.graph.bodies import MAIN_GRAPH, Body
from exporter.meta_graph import object_graph
from exporter.meta_graph.saver import SavedVariable, read_saver


def read_variables(meta_graph, bodies: dict[str, Body],
                   checkpoint_objects) -> list[SavedVariable]:
  """Every variable that is restored, those of the saver first.

  Args:
    meta_graph: MetaGraphDef of a SavedModel.
    bodies: those of its graph.
    checkpoint_objects: the TrackableObjectGraph in its checkpoint; None if there
      is none, as in TF1.

  Raises:
    UserError: the two tell different entries of one variable, or as `read_saver`.
  """
  variables = read_saver(meta_graph, bodies)
  objects = meta_graph.object_graph_def
  if checkpoint_objects is None or not objects.nodes:
    return variables
  keys = object_graph.checkpoint_keys(objects, checkpoint_objects)
  known = {v.node: v.key for v in variables}
  for node, i in object_graph.captured_ids(objects, bodies[MAIN_GRAPH]).items():
    if i not in keys or objects.nodes[i].WhichOneof('kind') != 'variable':
      continue
    if known.get(node, keys[i]) != keys[i]:
      raise UserError(
          f'The SavedModel restores the variable {node!r} in two ways, from the entry'
          f' {known[node]!r} of its checkpoint by its graph and from {keys[i]!r} by'
          ' its objects; load and save it with a current TensorFlow first.')
    if node not in known:
      variables.append(SavedVariable(
          node, keys[i], slice='', dtype=objects.nodes[i].variable.dtype,
          is_resource=True))
  return variables
