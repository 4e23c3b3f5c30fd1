"""What TensorFlow cannot import is told in one sentence, with whose fault it is."""

import pytest

from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.saved_model.files import SavedModelFiles
from exporter.slimming import slim_saved_model

pytestmark = pytest.mark.both_stacks


@pytest.fixture
def source(tf, save):
  module = tf.Module()

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  def serve(x):
    kept = tf.cond(x[0] > 0, lambda: tf.cosh(x), lambda: x)
    return {'kept': kept, 'dropped': tf.sinh(x)}

  module.serve = serve
  return save(module, serve)


def _edit(source, edit):
  """Applies `edit` to the node `Cosh`, inside of a branch, and to the MetaGraphDef."""
  files = SavedModelFiles.open(source)
  (node,) = (node for f in files.serving_graph.graph_def.library.function
             for node in f.node_def if node.op == 'Cosh')
  edit(node, files.serving_graph)
  (source / 'saved_model.pb').write_bytes(files.proto.SerializeToString())


def _slim(source):
  return slim_saved_model(str(source), str(source.parent / 'slim'),
                          OutputSelection(('kept',)))


def _without_attribute(node, meta_graph):
  del node.attr['T']


def _with_an_empty_attribute(node, meta_graph):
  node.attr['T'].Clear()


def _of_no_op(node, meta_graph):
  node.op = 'Cosi'


def _of_a_wrong_type(node, meta_graph):
  node.attr['T'].type = 3  # int32, which it does not take.


@pytest.mark.parametrize('damage, sentence', [
    (_without_attribute, "Cosh, lacks its attribute 'T'"),
    (_with_an_empty_attribute, "Cosh, lacks its attribute 'T'"),
    (_of_no_op, "the op 'Cosi' is none of TensorFlow"),
    (_of_a_wrong_type, 'T'),
])
def test_a_damaged_node(source, damage, sentence):
  _edit(source, damage)
  with pytest.raises(UserError, match=f'source is damaged: .*{sentence}') as error:
    _slim(source)
  assert '\n' not in str(error.value) and str(error.value).endswith('.')
  assert [path.name for path in source.parent.iterdir()] == ['source']


def test_an_op_of_a_library_that_is_not_loaded(source):
  def edit(node, meta_graph):
    node.op = 'MyCosh'
    meta_graph.meta_info_def.stripped_op_list.op.add(name='MyCosh')
  _edit(source, edit)
  assert _slim(source).after.outputs == ('kept',)


def test_what_pruning_has_broken_is_no_fault_of_the_user(tf, source):
  from exporter.saved_model import check
  whole = SavedModelFiles.open(source).serving_graph
  _edit(source, _without_attribute)
  broken = SavedModelFiles.open(source).serving_graph
  check.check_slimmed(whole, whole, str(source))
  with pytest.raises(UserError, match="'T'; that is a fault of this program .* report"):
    check.check_slimmed(broken, whole, str(source))
