"""The payload tool on real SavedModels, and its sizes against TensorFlow's own."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from exporter.detection import environment
from exporter.serving import image_request
from exporter.serving import rest_json
from exporter.serving import grpc_size as size
from exporter.errors import UserError
from exporter.payload import read_payload
from exporter.saved_model.signature import read_signature

pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def tf():
  environment.prepare()
  import tensorflow
  return tensorflow


@pytest.fixture(scope='session')
def photo(tf, tmp_path_factory) -> pathlib.Path:
  """A JPEG of 40 x 60 pixels."""
  pixels = np.random.default_rng(0).integers(0, 256, [40, 60, 3], np.uint8)
  path = tmp_path_factory.mktemp('photo') / 'photo.jpg'
  path.write_bytes(tf.io.encode_jpeg(pixels).numpy())
  return path


@pytest.fixture(scope='session')
def stock_export(tf, tmp_path_factory) -> pathlib.Path:
  """What the stock exporter makes of a small SSD with random weights.

  Its input is encoded images.
  """
  from google.protobuf import text_format
  from object_detection import exporter_lib_v2
  from object_detection.protos import pipeline_pb2

  from examples.random_checkpoint import write_random_checkpoint
  config = _ROOT / 'configs' / 'pipelines' / 'ssd_mobilenet_v2_small.config'
  root = tmp_path_factory.mktemp('stock')
  write_random_checkpoint(str(config), str(root / 'checkpoint'))
  pipeline = text_format.Parse(
      config.read_text(encoding='utf-8'), pipeline_pb2.TrainEvalPipelineConfig())
  exporter_lib_v2.export_inference_graph(
      'encoded_image_string_tensor', pipeline, str(root / 'checkpoint'),
      str(root / 'export'))
  return root / 'export'


def _save(tf, path, spec, function):
  """Saves `function` of one input as a SavedModel."""
  module = tf.Module()
  module.scale = tf.Variable(2.0)
  module.call = tf.function(lambda x: function(x, module.scale), input_signature=spec)
  tf.saved_model.save(module, str(path), signatures=module.call)
  return path


def _response(tf, outputs, set_values):
  predict_pb2 = pytest.importorskip('tensorflow_serving.apis.predict_pb2')
  response = predict_pb2.PredictResponse()
  for key, array in outputs.items():
    tensor = response.outputs[key]
    dtype = tf.string if array.dtype.kind == 'O' else tf.as_dtype(array.dtype)
    tensor.dtype = dtype.as_datatype_enum
    tensor.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
    set_values(tensor, array)
  return response


_ARRAYS = {
    'detection_boxes': np.random.default_rng(1).random([1, 7, 4], np.float32),
    'detection_masks': np.arange(0, 256, dtype=np.uint8).reshape(1, 4, 8, 8),
    'scores': np.float64([[0.1, 1e-9]]),
    'half': np.float16([[0.1, -2, 0, 65504]]),
    'indices': np.int64([[-1, 0, 300, 2**40]]),
    'valid': np.array([[True, False]]),
    'none': np.zeros([1, 0, 4], np.float32),
    'scalar': np.int32(-5),
}


def test_grpc_bytes_are_those_of_predict_response(tf):
  def set_content(tensor, array):
    tensor.tensor_content = array.tobytes()

  response = _response(tf, _ARRAYS, set_content)
  assert response.ByteSize() == sum(
      size.output_bytes(k, a.shape, size.content_bytes(a.dtype.name, a.shape))
      for k, a in _ARRAYS.items())


@pytest.mark.parametrize('key', [k for k in _ARRAYS if k != 'none'])
def test_grpc_bytes_are_those_of_what_the_runtime_serializes(tf, key):
  array = _ARRAYS[key]
  response = _response(tf, {}, None)
  # The kernel writes tensor_content, as the server does.
  response.outputs[key].ParseFromString(
      tf.io.serialize_tensor(tf.constant(array)).numpy())
  assert response.ByteSize() == size.output_bytes(key, array.shape, array.nbytes)


def test_grpc_bytes_as_fields_are_those_of_predict_response(tf):
  names = {'float32': 'float_val', 'uint8': 'int_val', 'float64': 'double_val',
           'float16': 'half_val', 'int64': 'int64_val', 'bool': 'bool_val',
           'int32': 'int_val', 'object': 'string_val'}
  outputs = {**_ARRAYS, 'labels': np.array([b'cat', b''], object)}

  def set_fields(tensor, array):
    values = array.view(np.uint16) if array.dtype == np.float16 else array
    getattr(tensor, names[array.dtype.name]).extend(values.ravel().tolist())

  response = _response(tf, outputs, set_fields)
  assert response.ByteSize() == sum(
      size.output_bytes_as_fields(k, rest_json.dtype_name(a), a)
      for k, a in outputs.items())


def test_dtypes_have_tensorflows_names_and_numbers(tf):
  from tensorflow.core.framework import types_pb2

  from exporter.saved_model.signature import _DTYPES
  for number, name in _DTYPES.items():
    enum = 'DT_' + {'float32': 'FLOAT', 'float64': 'DOUBLE', 'float16': 'HALF'}.get(
        name, name.upper())
    assert types_pb2.DataType.Value(enum) == number


def test_signature_is_the_one_tensorflow_reads(tf, stock_export):
  signature = read_signature(stock_export)
  function = tf.saved_model.load(
      str(stock_export / 'saved_model')).signatures['serving_default']
  [(_, inputs)] = [function.structured_input_signature]
  assert {k: (s.dtype, s.shape) for k, s in signature.inputs.items()} == {
      k: (s.dtype.name, tuple(s.shape)) for k, s in inputs.items()}
  assert {k: (s.dtype, s.shape) for k, s in signature.outputs.items()} == {
      k: (s.dtype.name, tuple(s.shape))
      for k, s in function.structured_outputs.items()}


def test_stock_export_is_measured(tf, stock_export, photo):
  static, measured = read_payload(stock_export), read_payload(
      stock_export, image=str(photo))
  function = tf.saved_model.load(
      str(stock_export / 'saved_model')).signatures['serving_default']
  outputs = {
      k: t.numpy()
      for k, t in function(input_tensor=tf.constant([photo.read_bytes()])).items()}
  assert 'detection_boxes' in outputs
  assert measured.measured_on == str(photo)
  assert measured.row_bytes == len(rest_json.render(outputs, 'row'))
  assert measured.columnar_bytes == len(rest_json.render(outputs, 'columnar'))
  assert measured.grpc_bytes == sum(
      size.output_bytes(k, a.shape, a.nbytes) for k, a in outputs.items())
  assert [o.key for o in measured.outputs] == sorted(
      outputs, key=lambda k: (-measured.output(k).grpc_bytes, k))
  # The signature knows how many detections there are, but not how many anchors.
  assert static.output('raw_detection_boxes').grpc_bytes is None
  assert static.output('detection_boxes').grpc_bytes == (
      measured.output('detection_boxes').grpc_bytes)


def _image_functions(tf):
  def mean(images, scale):
    return {'mean': tf.reduce_mean(tf.cast(images, tf.float32), [1, 2]) * scale,
            'row': tf.cast(images, tf.float32)[:, 0, :, 0]}

  def decode(strings, scale):
    images = tf.map_fn(lambda s: tf.io.decode_jpeg(s, channels=3), strings,
                       fn_output_signature=tf.uint8)
    return mean(images, scale)

  def parse(strings, scale):
    features = tf.io.parse_example(
        strings, {'image/encoded': tf.io.FixedLenFeature([], tf.string)})
    return decode(features['image/encoded'], scale)

  uint8, float32, string = tf.uint8, tf.float32, tf.string
  return {
      'uint8': (tf.TensorSpec([1, None, None, 3], uint8), mean),
      'float32 batch': (tf.TensorSpec([None, None, None, 3], float32), mean),
      'fixed size': (tf.TensorSpec([2, 20, 30, 3], float32), mean),
      'gray': (tf.TensorSpec([1, None, None, 1], float32), mean),
      'unknown rank': (tf.TensorSpec(None, uint8), lambda x, s: mean(
          tf.ensure_shape(x, [1, None, None, 3]), s)),
      'no batch': (tf.TensorSpec([None, None, 3], uint8),
                   lambda x, s: mean(x[tf.newaxis], s)),
      'encoded': (tf.TensorSpec([None], string), decode),
      'encoded scalar': (tf.TensorSpec([], string),
                         lambda x, s: decode(tf.stack([x]), s)),
      'tf.Example': (tf.TensorSpec([None], string), parse),
  }


@pytest.mark.parametrize('kind, mean, row', [
    ('uint8', (1, 3), (1, 60)), ('float32 batch', (1, 3), (1, 60)),
    ('fixed size', (2, 3), (2, 30)), ('gray', (1, 1), (1, 60)),
    ('unknown rank', (1, 3), (1, 60)), ('no batch', (1, 3), (1, 60)),
    ('encoded', (1, 3), (1, 60)), ('encoded scalar', (1, 3), (1, 60)),
    ('tf.Example', (1, 3), (1, 60)),
])
def test_every_kind_of_image_input(tf, tmp_path, photo, kind, mean, row):
  spec, function = _image_functions(tf)[kind]
  _save(tf, tmp_path / 'model', [spec], function)
  payload = read_payload(tmp_path / 'model', image=str(photo))
  assert payload.output('mean').shape == mean
  assert payload.output('row').shape == row
  # The image got there: its mean is neither 0 nor 255.
  outputs = image_request.run_on_image(
      tmp_path / 'model', read_signature(tmp_path / 'model'), photo)
  assert np.all((outputs['mean'] > 2 * 100) & (outputs['mean'] < 2 * 155))


def test_a_folder_with_brackets_in_its_name(tf, tmp_path, photo):
  spec, function = _image_functions(tf)['uint8']
  _save(tf, tmp_path / 'run [v2]', [spec], function)
  payload = read_payload(tmp_path / 'run [v2]', image=str(photo))
  assert payload.output('mean').shape == (1, 3)


def test_side_inputs_are_zeros(tf, tmp_path, photo):
  module = tf.Module()
  module.call = tf.function(
      lambda image, boxes, n: {'boxes': boxes + 1, 'n': n,
                               'size': tf.shape(image)[1:2]},
      input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, 'image'),
                       tf.TensorSpec([1, None, 4], tf.float32, 'boxes'),
                       tf.TensorSpec([1], tf.int32, 'n')])
  tf.saved_model.save(module, str(tmp_path), signatures=module.call)
  outputs = image_request.run_on_image(tmp_path, read_signature(tmp_path), photo)
  np.testing.assert_array_equal(outputs['boxes'], np.ones([1, 1, 4]))
  np.testing.assert_array_equal(outputs['n'], [0])
  np.testing.assert_array_equal(outputs['size'], [40])


def test_tf1_saved_model_with_a_bytes_output(tf, tmp_path, photo):
  v1 = tf.compat.v1
  with tf.Graph().as_default(), v1.Session() as session:
    inputs = v1.placeholder(tf.uint8, [None, None, None, 3])
    scores = tf.reduce_mean(tf.cast(inputs, tf.float32), [1, 2])
    png = tf.map_fn(tf.io.encode_png, inputs, fn_output_signature=tf.string)
    v1.saved_model.simple_save(
        session, str(tmp_path / 'model'), {'inputs': inputs},
        {'scores': scores, 'picture_bytes': png})
  static = read_payload(tmp_path / 'model')
  assert static.output('scores').shape == (1, 3)
  assert static.output('picture_bytes').grpc_bytes is None
  measured = read_payload(tmp_path / 'model', image=str(photo))
  outputs = image_request.run_on_image(
      tmp_path / 'model', read_signature(tmp_path / 'model'), photo)
  assert outputs['picture_bytes'][0].startswith(b'\x89PNG')
  assert measured.row_bytes == len(rest_json.render(outputs, 'row'))
  assert measured.output('picture_bytes').grpc_bytes > 40 * 60 * 3


def test_what_is_no_image_is_refused(tf, stock_export, tmp_path):
  path = tmp_path / 'notes.jpg'
  path.write_text('not an image')
  with pytest.raises(UserError, match='notes.jpg is no JPEG, PNG, GIF or BMP'):
    read_payload(stock_export, image=str(path))


def test_a_model_that_does_not_load_is_a_user_error(tf, tmp_path, photo):
  spec, function = _image_functions(tf)['uint8']
  _save(tf, tmp_path, [spec], function)
  for file in (tmp_path / 'variables').iterdir():
    file.unlink()
  with pytest.raises(UserError, match='cannot be loaded'):
    read_payload(tmp_path, image=str(photo))


def test_a_model_that_does_not_run_is_a_user_error(tf, tmp_path, photo):
  def fail(images, scale):
    del scale
    with tf.control_dependencies([tf.debugging.assert_equal(
        tf.shape(images)[1], 7, message='seven rows please')]):
      return {'y': tf.identity(images)}

  _save(tf, tmp_path, [tf.TensorSpec([1, None, None, 3], tf.uint8)], fail)
  with pytest.raises(UserError, match='cannot be run on .*photo.jpg'):
    read_payload(tmp_path, image=str(photo))


def test_command_line_runs_without_object_detection(tf, tmp_path, photo):
  spec, function = _image_functions(tf)['float32 batch']
  _save(tf, tmp_path / 'model', [spec], function)
  hidden = tmp_path / 'hidden' / 'object_detection'
  hidden.mkdir(parents=True)
  (hidden / '__init__.py').write_text('raise AssertionError("imported")')
  env = {**os.environ, 'PYTHONPATH': f'{hidden.parent}{os.pathsep}{_ROOT}'}
  done = subprocess.run(
      [sys.executable, '-m', 'exporter.payload', f'--saved_model_dir={tmp_path}/model',
       f'--image={photo}'], env=env, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert f'Measured on {photo}.' in done.stdout
