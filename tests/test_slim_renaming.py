"""Slimming with other names for inputs, outputs and signatures."""

import shutil

import numpy as np
import pytest

from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.renaming import Renaming
from exporter.slimming import contents_of, slim_saved_model

tf = pytest.importorskip('tensorflow')
pytestmark = pytest.mark.both_stacks

_A, _B = np.float32([1, 2, 3]), np.float32([5, 7, 11])


class _Model(tf.Module):

  def __init__(self):
    super().__init__()
    self.weight = tf.Variable(2.0)
    self.table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer([1, 2, 3], ['one', 'two', 'three']), '')

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'a'),
                                tf.TensorSpec([None], tf.float32, 'b')])
  def __call__(self, a, b):
    return {'product': a * self.weight, 'sum': a + 3 * b,
            'text': self.table.lookup(tf.cast(a, tf.int32))}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'a')])
  def other(self, a):
    return {'product': a * self.weight, 'zero': a * 0}


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  folder = tmp_path_factory.mktemp('made') / 'model'
  model = _Model()
  tf.saved_model.save(model, str(folder), signatures={
      'main': model.__call__.get_concrete_function(),
      'other': model.other.get_concrete_function()})
  return str(folder)


def _slim(source, target, names=None, signatures=None, selection='*', **options):
  return slim_saved_model(
      str(source), target and str(target), OutputSelection.parse(selection), signature='main',
      keep_other_signatures=True, renaming=Renaming.parse(names, signatures), **options)


def _run_session(folder, signature, **inputs):
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    definition = tf.compat.v1.saved_model.load(
        session, ['serve'], str(folder)).signature_def[signature]
    return session.run(
        {key: info.name for key, info in definition.outputs.items()},
        {definition.inputs[key].name: value for key, value in inputs.items()})


def _check(folder):
  """By new names, which sort otherwise, the same values in each way to run it."""
  loaded = tf.saved_model.load(str(folder))
  a, b = map(tf.constant, (_A, _B))
  expected = {'z': _A * 2, 'sum': _A + 3 * _B, 'b': np.array([b'one', b'two', b'three'])}
  for found in (loaded(a, b), loaded(y=a, b=b),
                loaded.signatures['serving_default'](y=a, b=b),
                _run_session(folder, 'serving_default', y=_A, b=_B)):
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
      np.testing.assert_array_equal(found[key], value)
  assert sorted(loaded.signatures) == ['other', 'serving_default']
  for found in (loaded.signatures['other'](y=a), _run_session(folder, 'other', y=_A)):
    np.testing.assert_array_equal(found['z'], _A * 2)
    np.testing.assert_array_equal(found['zero'], _A * 0)


def test_new_names_in_every_way_to_run_it_and_slimmed_again(source, tmp_path):
  report = _slim(source, tmp_path / 'slim', 'a:y,product:z,text:b',
                 'main:serving_default', verify=True)
  _check(tmp_path / 'slim')
  assert report.dropped_outputs == ()
  assert report.moved_tensors == ()
  assert report.comparison.compared == 10
  assert report.after == contents_of(str(tmp_path / 'slim'))
  for _ in range(2):
    slim_saved_model(str(tmp_path / 'slim'), None, OutputSelection(), in_place=True,
                     keep_other_signatures=True, verify=True)
    _check(tmp_path / 'slim')


def test_names_are_exchanged_in_place(source, tmp_path):
  shutil.copytree(source, tmp_path / 'model')
  report = _slim(tmp_path / 'model', None, 'a:b,b:a,sum:product,product:sum',
                 in_place=True)
  assert report.after.outputs == ('product', 'sum', 'text')
  loaded = tf.saved_model.load(str(tmp_path / 'model'))
  for found in (loaded(tf.constant(_A), tf.constant(_B)),
                loaded.signatures['main'](b=tf.constant(_A), a=tf.constant(_B)),
                _run_session(tmp_path / 'model', 'main', b=_A, a=_B)):
    np.testing.assert_array_equal(found['sum'], _A * 2)
    np.testing.assert_array_equal(found['product'], _A + 3 * _B)


def test_selection_says_the_old_names(source, tmp_path):
  report = _slim(source, tmp_path / 'slim', 'sum:total', selection='sum')
  assert report.dropped_outputs == ('product', 'text')
  found = tf.saved_model.load(str(tmp_path / 'slim')).signatures['main'](
      a=tf.constant(_A), b=tf.constant(_B))
  assert list(found) == ['total']
  np.testing.assert_array_equal(found['total'], _A + 3 * _B)


@pytest.mark.parametrize('names, signatures, problem', [
    ('c:d', None, "'c', which is no input or kept output"),
    (None, 'mian:x', "did you mean 'main'"),
    (None, 'main:other', "'main' and 'other' would both be named 'other'"),
    ('sum:text', None, "'sum' and 'text' would both be named 'text'"),
    ('a:b', None, "inputs 'a' and 'b' would both be named 'b'"),
])
def test_wrong_names_are_refused(source, tmp_path, names, signatures, problem):
  with pytest.raises(UserError, match=problem):
    _slim(source, tmp_path / 'slim', names, signatures)
  assert not (tmp_path / 'slim').exists()


def test_models_of_tf1(tmp_path):
  v1 = tf.compat.v1
  with tf.Graph().as_default(), v1.Session() as session:
    a = v1.placeholder(tf.float32, [None], 'a')
    weight = v1.get_variable('weight', initializer=2.0)
    session.run(weight.initializer)
    v1.saved_model.simple_save(session, str(tmp_path / 'source'), {'a': a},
                               {'product': a * weight, 'zero': a * 0})
  slim_saved_model(
      str(tmp_path / 'source'), str(tmp_path / 'slim'), OutputSelection.parse('product'),
      renaming=Renaming.parse('a:images,product:a', 'serving_default:predict'), verify=True)
  expected = _A * 2
  loaded = tf.saved_model.load(str(tmp_path / 'slim')).signatures['predict']
  for found in (loaded(images=tf.constant(_A)),
                _run_session(tmp_path / 'slim', 'predict', images=_A)):
    assert list(found) == ['a']
    np.testing.assert_array_equal(found['a'], expected)


def test_ragged_and_sparse_tensors(tmp_path):
  model = tf.Module()

  @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.float32),
                                tf.SparseTensorSpec([None, 3], tf.float32),
                                tf.TensorSpec([None], tf.float32, 'x')])
  def call(r, s, x):
    return {'doubled': r * 2, 'given': s, 'x': x + 1}

  model.__call__ = call
  tf.saved_model.save(model, str(tmp_path / 'source'), signatures=call)
  slim_saved_model(
      str(tmp_path / 'source'), str(tmp_path / 'slim'), OutputSelection.parse('doubled,x'),
      renaming=Renaming.parse('x:first,r:words,doubled:y'))
  values = (tf.ragged.constant([[1.0], [2.0, 3.0]]), tf.sparse.from_dense([[0.0, 5.0, 0.0]]),
            tf.constant(_A))
  loaded = tf.saved_model.load(str(tmp_path / 'slim'))
  found = loaded(words=values[0], s=values[1], first=values[2])
  assert sorted(found) == ['first', 'y']
  assert found['y'].to_list() == [[2.0], [4.0, 6.0]]
  np.testing.assert_array_equal(found['first'], _A + 1)
