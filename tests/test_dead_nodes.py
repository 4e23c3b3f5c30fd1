"""The command that counts dead nodes sees them where they are, and only there."""

import os
import subprocess
import sys

import pytest

from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model import writing

tf = pytest.importorskip('tensorflow')


@pytest.fixture(scope='module')
def lean(tmp_path_factory):
  """A lean SavedModel with an output, an assert, and a loop."""
  folder = tmp_path_factory.mktemp('dead_nodes')

  class Model(tf.Module):

    def __init__(self):
      super().__init__()
      self.scale = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    def __call__(self, x):
      tf.debugging.assert_greater(x, 0.0)
      total = tf.while_loop(lambda i, t: i < 3,
                            lambda i, t: (i + 1, t * self.scale), [0, x])[1]
      return {'kept': total, 'dropped': tf.sin(total) + tf.cos(x)}

  model = Model()
  tf.saved_model.save(model, str(folder / 'stock'),
                      signatures=model.__call__.get_concrete_function())
  writing.write_lean(
      str(folder / 'stock'), str(folder / 'lean'), {'serving_default': ['kept']})
  return folder / 'lean'


def _run(saved_model_dir):
  return subprocess.run(
      [sys.executable, '-m', 'exporter.dead_nodes',
       f'--saved_model_dir={saved_model_dir}'],
      capture_output=True, text=True, check=False,
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'})


@pytest.mark.both_stacks
def test_finds_none_in_a_lean_model(lean):
  result = _run(lean)
  assert result.returncode == 0, result.stderr
  assert '0 of ' in result.stdout


def test_finds_a_node_that_leads_nowhere(lean, tmp_path):
  saved_model = SavedModelFiles.open(lean).proto
  functions = saved_model.meta_graphs[0].graph_def.library.function
  function = max(functions, key=lambda f: len(f.node_def))
  function.node_def.add(name='leads/nowhere', op='Sin',
                        input=[function.signature.input_arg[0].name])
  (tmp_path / 'saved_model.pb').write_bytes(saved_model.SerializeToString())
  result = _run(tmp_path)
  assert result.returncode == 1
  assert '1 of ' in result.stdout


def test_counts_a_function_that_nobody_calls(lean, tmp_path):
  saved_model = SavedModelFiles.open(lean).proto
  library = saved_model.meta_graphs[0].graph_def.library
  orphan = library.function.add()
  orphan.CopyFrom(max(library.function, key=lambda f: len(f.node_def)))
  orphan.signature.name = 'orphan'
  (tmp_path / 'saved_model.pb').write_bytes(saved_model.SerializeToString())
  result = _run(tmp_path)
  assert result.returncode == 1
  assert 'orphan' in result.stdout


def test_says_what_is_wrong_with_a_folder(tmp_path):
  result = _run(tmp_path)
  assert result.returncode == 1
  assert 'is no SavedModel' in result.stderr
  assert 'Traceback' not in result.stderr


@pytest.mark.both_stacks
def test_writes_in_loops_and_branches_are_alive(tmp_path):
  class Model(tf.Module):

    def __init__(self):
      super().__init__()
      self.turns, self.hits = tf.Variable(0), tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
    def __call__(self, x):
      for _ in tf.range(3):
        self.turns.assign_add(1)
        if tf.reduce_sum(x) > 0:
          self.hits.assign_add(tf.shape(x)[0])
      return {'y': x + 1}

  model = Model()
  tf.saved_model.save(model, str(tmp_path / 'stock'),
                      signatures=model.__call__.get_concrete_function())
  writing.write_lean(
      str(tmp_path / 'stock'), str(tmp_path / 'lean'), {'serving_default': ['y']})
  result = _run(tmp_path / 'lean')
  assert result.returncode == 0, result.stdout + result.stderr
