"""Which object a variable's node in the graph stands for, where no saver tells."""

import pytest
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.core.protobuf import trackable_object_graph_pb2

from exporter.graph.bodies import bodies_of
from exporter.meta_graph import saved_variables


def _ids(nodes, variables):
  meta_graph = meta_graph_pb2.MetaGraphDef()
  for name, dtype in nodes:
    text_format.Parse(
        f'name: "{name}" op: "VarHandleOp"'
        f' attr {{ key: "dtype" value {{ type: {dtype} }} }}', meta_graph.graph_def.node.add())
  meta_graph.object_graph_def.nodes.add().user_object.identifier = '_generic_user_object'
  for name, dtype in variables:
    text_format.Parse(f'variable {{ name: "{name}" dtype: {dtype} }}',
                      meta_graph.object_graph_def.nodes.add())
  bodies = bodies_of(meta_graph.graph_def)
  return saved_variables.object_ids(meta_graph, bodies, saved_variables.Witnesses.of(
      meta_graph, bodies, trackable_object_graph_pb2.TrackableObjectGraph()))


def test_names_tell_where_every_variable_has_one_of_its_own():
  assert _ids([('w', 'DT_FLOAT'), ('v', 'DT_INT64')],
              [('v', 'DT_INT64'), ('w', 'DT_FLOAT')]) == {'v': 1, 'w': 2}


@pytest.mark.parametrize('nodes, variables', [
    # Of two that are called alike, the graph numbers one; no object stands for the other.
    ([('w', 'DT_STRING'), ('w_1', 'DT_FLOAT')], [('w', 'DT_FLOAT')]),
    ([('w', 'DT_FLOAT'), ('w_1', 'DT_FLOAT')], [('w', 'DT_FLOAT')]),
    ([('w', 'DT_FLOAT'), ('w_1', 'DT_FLOAT')], [('w', 'DT_FLOAT'), ('w', 'DT_FLOAT')]),
    ([('w', 'DT_STRING')], [('w', 'DT_FLOAT')]),
    ([('w', 'DT_FLOAT')], [('w', 'DT_FLOAT'), ('v', 'DT_FLOAT')]),
])
def test_names_that_do_not_fit_tell_nothing(nodes, variables):
  assert _ids(nodes, variables) == {}
