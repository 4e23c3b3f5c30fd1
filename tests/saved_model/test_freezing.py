"""TF1's freezing tools, which people use for OpenCV, .NET and old servers."""

import subprocess
import sys

import numpy as np
import pytest

_INPUT = np.arange(8, dtype=np.float32).reshape(2, 4)


@pytest.fixture
def lean(tf, save, slim):
  """A slimmed SavedModel with two variables, one of them read in a function."""
  class Module(tf.Module):
    def __init__(self):
      super().__init__()
      self.kernel = tf.Variable(np.ones([4, 3], np.float32), name='kernel')
      self.bias = tf.Variable(np.full([3], 2.0, np.float32), name='bias')

    @tf.function(input_signature=[tf.TensorSpec([2, 4], tf.float32, 'x')])
    def __call__(self, x):
      y = tf.matmul(x, self.kernel) + self.bias
      return {'kept': y, 'dropped': y * 2.0}

  module = Module()
  source = save(module, signatures=module.__call__)
  target, _ = slim(source, {'serving_default': ['kept']},
                   {'serving_default': {'x': _INPUT}})
  return target, module(_INPUT)['kept'].numpy()


def _names(tf, folder):
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    signature = tf.compat.v1.saved_model.load(
        session, ['serve'], str(folder)).signature_def['serving_default']
    return signature.inputs['x'].name, signature.outputs['kept'].name


def _run_frozen(tf, graph_def, feed, fetch):
  assert not [n for n in graph_def.node if n.op in ('VarHandleOp', 'ReadVariableOp')]
  with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
    tf.import_graph_def(graph_def, name='')
    return session.run(graph.get_tensor_by_name(fetch), {feed: _INPUT})


@pytest.mark.both_stacks
def test_convert_variables_to_constants(tf, lean):
  folder, expected = lean
  feed, fetch = _names(tf, folder)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    tf.compat.v1.saved_model.load(session, ['serve'], str(folder))
    frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
        session, session.graph_def, [fetch.partition(':')[0]])
  assert np.array_equal(_run_frozen(tf, frozen, feed, fetch), expected)


@pytest.mark.slow
def test_freeze_graph(tf, lean, tmp_path):
  folder, expected = lean
  feed, fetch = _names(tf, folder)
  subprocess.run(
      [sys.executable, '-m', 'tensorflow.python.tools.freeze_graph',
       f'--input_saved_model_dir={folder}', '--saved_model_tags=serve',
       f'--output_node_names={fetch.partition(":")[0]}',
       f'--output_graph={tmp_path / "frozen.pb"}'], check=True, capture_output=True)
  frozen = tf.compat.v1.GraphDef.FromString((tmp_path / 'frozen.pb').read_bytes())
  assert np.array_equal(_run_frozen(tf, frozen, feed, fetch), expected)


def test_tf_lite_converter_of_tf1(tf, lean):
  folder, expected = lean
  model = tf.compat.v1.lite.TFLiteConverter.from_saved_model(str(folder)).convert()
  interpreter = tf.lite.Interpreter(model_content=model)
  interpreter.allocate_tensors()
  interpreter.set_tensor(interpreter.get_input_details()[0]['index'], _INPUT)
  interpreter.invoke()
  found = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
  np.testing.assert_allclose(found, expected, rtol=1e-6)
