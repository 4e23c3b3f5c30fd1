"""Kinds of SavedModels that other tools write."""

import numpy as np
import pytest

import saved_models
from exporter.saved_model import variable_bundle

_X = np.linspace(-2, 3, 6, dtype=np.float32)


def _module(tf, dtype='float32'):
  module = tf.Module()
  module.kept, module.dropped = (
      tf.Variable(tf.cast(tf.random.normal([6]), dtype)) for _ in range(2))

  @tf.function(input_signature=[tf.TensorSpec([6], tf.float32, 'x')])
  def serve(x):
    return {'kept': x * tf.cast(module.kept, tf.float32),
            'dropped': tf.exp(x * tf.cast(module.dropped, tf.float32))}

  module.__call__ = serve
  return module


def _slim(slim, source, **options):
  target, _ = slim(source, {'serving_default': ['kept']}, {'serving_default': {'x': _X}},
                   **options)
  assert len(saved_models.variables_of(target)) == 1
  return target


@pytest.mark.both_stacks
@pytest.mark.parametrize('dtype', ['bfloat16', 'float8_e5m2', 'float8_e4m3fn'])
def test_variables_of_few_bits(tf, save, slim, dtype):
  try:
    tf.as_dtype(dtype)
  except TypeError:
    pytest.skip(f'this TensorFlow has no {dtype}')
  module = _module(tf, dtype)
  _slim(slim, save(module, module.__call__))


def test_symlinked_files_and_many_shards(tf, save, slim, tmp_path):
  module = _module(tf)
  source = save(module, module.__call__)
  folder, elsewhere = source / 'variables', tmp_path / 'elsewhere'
  prefix = str(folder / 'variables')
  keys = [key for key, _ in tf.train.list_variables(prefix) if 'VALUE' in key]
  graph = variable_bundle.read_object_graph(prefix).SerializeToString()
  elsewhere.mkdir()
  variable_bundle.copy_entries(prefix, str(elsewhere / 'variables'),
                               dict(zip(keys, keys)), graph, portion_bytes=1)
  assert len(list(elsewhere.glob('variables.data-*-of-00002'))) == 2
  for path in folder.iterdir():
    path.unlink()
  for path in elsewhere.iterdir():
    (folder / path.name).symlink_to(path)
  target = _slim(slim, source)
  assert not any(path.is_symlink() for path in target.rglob('*'))


def test_xla_call_module(tf, save, slim):
  """What `jax2tf` writes: compiled elsewhere, and opaque to TensorFlow."""
  stablehlo = pytest.importorskip('tensorflow.compiler.mlir.stablehlo.stablehlo')
  from tensorflow.compiler.tf2xla.python import xla
  code = stablehlo.serialize_portable_artifact_str('''
      module @jit_double {
        func.func public @main(%x: tensor<6xf32>) -> tensor<6xf32> {
          %0 = stablehlo.add %x, %x : tensor<6xf32>
          return %0 : tensor<6xf32>
        }
      }''', '1.0.0')
  module = tf.Module()

  @tf.function(input_signature=[tf.TensorSpec([6], tf.float32, 'x')], autograph=False)
  def serve(x):
    (kept,) = xla.call_module(
        [x], version=9, module=code, Sout=[[6]], Tout=[tf.float32], platforms=['CPU'])
    return {'kept': kept, 'dropped': tf.sinh(x)}

  module.__call__ = serve
  target, _ = slim(save(module, serve), {'serving_default': ['kept']},
                   {'serving_default': {'x': _X}})
  assert 'Sinh' not in saved_models.ops_of(target)
  np.testing.assert_array_equal(
      saved_models.run_v2(target, 'serving_default', {'x': _X})['kept'], _X + _X)


@pytest.mark.both_stacks
def test_signatures_for_training_on_a_device(tf, save, slim, tmp_path):
  """As TFLite's: infer, train, save, restore; only two are needed for inference."""
  module = tf.Module()
  module.weight, module.rate = tf.Variable(2.0), tf.Variable(0.1)
  path = [tf.TensorSpec([], tf.string, 'path')]
  x = [tf.TensorSpec([6], tf.float32, 'x')]

  @tf.function(input_signature=x)
  def infer(x):
    return {'kept': x * module.weight, 'logits': tf.exp(x)}

  @tf.function(input_signature=x)
  def train(x):
    module.weight.assign_sub(module.rate * tf.reduce_sum(x))
    return {'loss': tf.identity(module.weight)}

  @tf.function(input_signature=path)
  def keep(path):
    tf.raw_ops.Save(filename=path, tensor_names=['weight'], data=[module.weight.read_value()])
    return {'path': path}

  @tf.function(input_signature=path)
  def restore(path):
    value = tf.raw_ops.Restore(file_pattern=path, tensor_name='weight', dt=tf.float32)
    module.weight.assign(value)
    return {'weight': value}

  source = save(module, {'serving_default': infer, 'train': train, 'save': keep,
                         'restore': restore})
  target, _ = slim(source, {'serving_default': ['kept'], 'restore': ['weight'],
                            'save': ['path']})
  assert len(saved_models.variables_of(target)) == 1
  original, lean = (tf.saved_model.load(str(p)) for p in (source, target))
  checkpoint = tf.constant(str(tmp_path / 'on_device'))
  original.signatures['train'](x=tf.constant(_X))
  original.signatures['save'](path=checkpoint)
  lean.signatures['restore'](path=checkpoint)
  saved_models.assert_same_bits(*(
      side.signatures['serving_default'](x=tf.constant(_X))['kept'].numpy()
      for side in (lean, original)))


def test_ragged_and_sparse_inputs_of_a_signature(tf, save, slim):
  module = tf.Module()

  @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.float32),
                                tf.SparseTensorSpec([None, None], tf.float32)])
  def serve(ragged, sparse):
    return {'kept': tf.reduce_sum(ragged, axis=1), 'dropped': tf.exp(tf.sparse.to_dense(sparse))}

  module.serve = serve
  source = save(module, serve)
  target, _ = slim(source, {'serving_default': ['kept']})
  inputs = (tf.ragged.constant([[1.0], [2.0, 3.0]]), tf.sparse.from_dense([[1.0, 0.0]]))
  flat = tf.nest.flatten(inputs, expand_composites=True)
  original, lean = (tf.saved_model.load(str(p)).signatures['serving_default']
                    for p in (source, target))
  assert lean.structured_input_signature == original.structured_input_signature
  names = [tensor.name.partition(':')[0] for tensor in lean.inputs[:len(flat)]]
  fed = dict(zip(names, flat))
  saved_models.assert_same_bits(lean(**fed)['kept'].numpy(), original(**fed)['kept'].numpy())
