"""A concrete function saved without a detour is what saving and slimming it gives."""

import filecmp
import pathlib

import pytest
import tensorflow as tf

from exporter.saved_model import function_saving
from exporter.saved_model import variable_bundle
from exporter.saved_model.writing import write_lean

pytestmark = pytest.mark.both_stacks


class Model(tf.Module):

  def __init__(self):
    super().__init__()
    self.kernel = tf.Variable(tf.reshape(tf.range(6.), [2, 3]), name='kernel')
    self.seen = tf.Variable(0, dtype=tf.int64, trainable=False, name='seen')
    self.half = tf.Variable([.5, 1.5], dtype=tf.bfloat16, name='half')

  @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, 'x')])
  def __call__(self, x):
    self.seen.assign_add(1)
    return {'y': tf.matmul(x, self.kernel), 'seen': self.seen.read_value(),
            'half': tf.cast(self.half, tf.float32)}


def _files(folder: pathlib.Path) -> list[str]:
  return sorted(str(path.relative_to(folder)) for path in folder.rglob('*')
                if path.is_file())


def test_equals_saving_and_slimming(tmp_path):
  model = Model()
  function = model.__call__.get_concrete_function()
  direct, saved, slimmed = (tmp_path / name for name in ('direct', 'saved', 'slimmed'))
  function_saving.save_lean({'serving_default': function}, str(direct))
  root = tf.train.Checkpoint(variables=list(function.graph.variables))
  root.__call__ = tf.function(
      function_saving._positional(function, function.structured_input_signature[0]),
      input_signature=function.structured_input_signature[0], autograph=False)
  tf.saved_model.save(root, str(saved), signatures={'serving_default': function})
  write_lean(str(saved), str(slimmed), {'serving_default': ['half', 'seen', 'y']})
  assert _files(direct) == _files(slimmed)
  # TensorFlow saves variables in no certain order.
  values = [{v.name: v.numpy().tolist() for v in tf.saved_model.load(str(folder)).variables}
            for folder in (direct, slimmed)]
  assert values[0] == values[1] and len(values[0]) == 3
  for loaded in (tf.saved_model.load(str(direct)), tf.saved_model.load(str(slimmed))):
    outputs = loaded(tf.ones([1, 2]))
    assert outputs['y'].numpy().tolist() == [[3., 5., 7.]]
    assert [int(outputs['seen']), outputs['half'].numpy().tolist()] == [1, [.5, 1.5]]


def test_variables_in_several_shards(tmp_path):
  """The values as they are when they are written, and the shards of a copy."""
  variables = {f'v{i}': tf.Variable(tf.fill([100], float(i))) for i in range(5)}
  variables['v3'].assign(tf.fill([100], -3.))
  written, copied = str(tmp_path / 'written'), str(tmp_path / 'copied')
  variable_bundle.write_variables(written, variables, b'graph', portion_bytes=900)
  variable_bundle.copy_entries(
      written, copied, {key: key for key in variables}, b'graph', portion_bytes=900)
  shards = sorted(path.name.partition('.')[2] for path in tmp_path.glob('written.*'))
  assert len(shards) == 4  # Two values each, and the index.
  for suffix in shards:
    assert filecmp.cmp(f'{written}.{suffix}', f'{copied}.{suffix}', shallow=False)
  reader = tf.train.load_checkpoint(copied)
  assert [reader.get_tensor(f'v{i}')[0] for i in range(5)] == [0., 1., 2., -3., 4.]
