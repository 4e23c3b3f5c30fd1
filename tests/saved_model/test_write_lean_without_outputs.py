"""Signatures without outputs, which are called for what they do."""

import numpy as np
import pytest

import saved_models
from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.saved_model import writing
from exporter.slimming import slim_saved_model

_X = np.float32([1, 2, 3])


@pytest.fixture
def source(tf, save):
  module = tf.Module()
  module.count, module.dropped = tf.Variable(0.0), tf.Variable(5.0)
  spec = [tf.TensorSpec([None], tf.float32, 'x')]

  @tf.function(input_signature=spec)
  def predict(x):
    return {'kept': x + module.count, 'dropped': x * module.dropped}

  @tf.function(input_signature=spec)
  def add(x):
    module.count.assign_add(tf.reduce_sum(x))
    return {}

  return save(module, {'serving_default': predict, 'add': add})


@pytest.mark.both_stacks
def test_it_stays_and_still_acts(tf, source, tmp_path):
  target = tmp_path / 'lean'
  outputs = {'serving_default': ['kept'], 'add': []}
  writing.write_lean(str(source), str(target), outputs)
  saved_models.check_computes_the_same(
      source, target, outputs, {'serving_default': {'x': _X}}, ['v2', 'v1'])
  signatures = tf.saved_model.load(str(target)).signatures
  assert signatures['add'](x=tf.constant(_X)) == {}
  kept = signatures['serving_default'](x=tf.constant(_X))['kept']
  np.testing.assert_array_equal(kept, _X + 6)
  assert len(saved_models.variables_of(target)) == 1


def test_by_the_library(tf, source, tmp_path):
  report = slim_saved_model(str(source), str(tmp_path / 'slim'),
                            OutputSelection.parse('kept'), keep_other_signatures=True)
  assert report.dropped_signatures == ()
  loaded = tf.saved_model.load(str(tmp_path / 'slim'))
  assert set(loaded.signatures) == {'serving_default', 'add'}


def test_it_cannot_be_the_one_to_slim(source, tmp_path):
  with pytest.raises(UserError, match="'add' of .* has no outputs; .* serving_default"):
    slim_saved_model(str(source), str(tmp_path / 'slim'), OutputSelection(),
                     signature='add')


def test_of_tf1_it_stays(tf, slim, tmp_path):
  v1 = tf.compat.v1
  path = tmp_path / 'source'
  with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None], name='x')
    weight = v1.get_variable('weight', initializer=np.float32(2))
    session.run(v1.global_variables_initializer())
    outputs = {'kept': x * weight, 'dropped': tf.exp(x)}
    info = v1.saved_model.build_tensor_info(x)
    builder = v1.saved_model.Builder(str(path))
    builder.add_meta_graph_and_variables(session, ['serve'], {
        'serving_default': v1.saved_model.predict_signature_def({'x': x}, outputs),
        'other': v1.saved_model.build_signature_def({'x': info})})
    builder.save()
  slim(path, {'serving_default': ['kept'], 'other': []}, {'serving_default': {'x': _X}})
