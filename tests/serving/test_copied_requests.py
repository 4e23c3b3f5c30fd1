"""Warm-up requests of a slimmed SavedModel: new ones, and those that it had."""

import numpy as np
import pytest

from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.renaming import Renaming
from exporter.slimming import slim_saved_model

tf = pytest.importorskip('tensorflow')
pytestmark = pytest.mark.both_stacks

_REQUESTS = 'assets.extra/tf_serving_warmup_requests'


class _Model(tf.Module):

  @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, 'pixels')])
  def __call__(self, pixels):
    mean = tf.reduce_mean(tf.cast(pixels, tf.float32), [1, 2])
    return {'mean': mean, 'twice': 2 * mean}

  @tf.function(input_signature=[tf.TensorSpec([1], tf.string, 'pixels')])
  def from_bytes(self, pixels):
    return self(tf.io.decode_image(pixels[0], 3, expand_animations=False)[tf.newaxis])

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  def plain(self, x):
    return {'y': x + 1}


@pytest.fixture(scope='module')
def image(tmp_path_factory):
  path = str(tmp_path_factory.mktemp('image') / 'black.png')
  tf.io.write_file(path, tf.io.encode_png(np.zeros([4, 6, 3], np.uint8)))
  return path


@pytest.fixture(scope='module')
def source(tmp_path_factory, image):
  """With a request for each signature that takes an image."""
  folder = tmp_path_factory.mktemp('made')
  model = _Model()
  tf.saved_model.save(model, str(folder / 'made'), signatures={
      'serving_default': model.__call__.get_concrete_function(),
      'from_bytes': model.from_bytes, 'plain': model.plain})
  _slim(folder / 'made', folder / 'source', warmup_images=[image])
  return folder / 'source'


def _slim(source, target, names=None, signatures=None, keys=None, **options):
  options = {'keep_other_signatures': True, **options}
  slim_saved_model(str(source), target and str(target), OutputSelection.parse(keys),
                   renaming=Renaming.parse(names, signatures), **options)


def _replay(folder):
  """Answers all requests; the signature and the outputs of each."""
  from tensorflow_serving.apis import prediction_log_pb2
  loaded = tf.saved_model.load(str(folder))
  answered = []
  for record in tf.data.TFRecordDataset(str(folder / _REQUESTS)):
    request = prediction_log_pb2.PredictionLog.FromString(
        record.numpy()).predict_log.request
    outputs = loaded.signatures[request.model_spec.signature_name or 'serving_default'](
        **{key: tf.constant(tf.make_ndarray(proto))
           for key, proto in request.inputs.items()})
    asked = request.output_filter or outputs
    answered.append((request.model_spec.signature_name, sorted(asked)))
    assert set(asked) <= set(outputs)
  return answered


def _write(folder, *requests):
  from tensorflow_serving.apis import prediction_log_pb2
  with tf.io.TFRecordWriter(str(folder / _REQUESTS)) as writer:
    for signature, output_filter in requests:
      log = prediction_log_pb2.PredictionLog()
      request = log.predict_log.request
      request.model_spec.signature_name = signature
      request.model_spec.version.value = 7
      request.output_filter.extend(output_filter)
      request.inputs['pixels'].CopyFrom(
          tf.make_tensor_proto(np.zeros([1, 2, 2, 3], np.uint8)))
      writer.write(log.SerializeToString())


def test_each_signature_that_takes_an_image_is_warmed_up(source):
  assert _replay(source) == [
      ('serving_default', ['mean', 'twice']), ('from_bytes', ['mean', 'twice'])]


def test_requests_follow_what_is_renamed_and_go_with_their_signature(source, tmp_path):
  _slim(source, tmp_path / 'renamed', 'pixels:image,mean:a', 'from_bytes:bytes')
  assert _replay(tmp_path / 'renamed') == [
      ('serving_default', ['a', 'twice']), ('bytes', ['a', 'twice'])]
  _slim(tmp_path / 'renamed', None, keep_other_signatures=False, in_place=True)
  assert _replay(tmp_path / 'renamed') == [('serving_default', ['a', 'twice'])]


def test_requests_of_others_keep_what_is_still_there(source, tmp_path):
  _slim(source, tmp_path / 'model')
  _write(tmp_path / 'model', ('', ['mean', 'twice']), ('serving_default', ['twice']))
  before = (tmp_path / 'model' / _REQUESTS).read_bytes()
  _slim(tmp_path / 'model', tmp_path / 'same')
  assert (tmp_path / 'same' / _REQUESTS).read_bytes() == before
  _slim(tmp_path / 'model', tmp_path / 'slim', 'mean:z', 'serving_default:main', 'mean')
  assert _replay(tmp_path / 'slim') == [('main', ['z']), ('main', ['z'])]
  _slim(tmp_path / 'model', None, signature='plain', keep_other_signatures=False,
        in_place=True)
  assert _replay(tmp_path / 'model') == []


def test_damaged_requests_are_told(source, tmp_path):
  _slim(source, tmp_path / 'model')
  (tmp_path / 'model' / _REQUESTS).write_bytes(b'rubbish of some length')
  with pytest.raises(UserError, match='warm-up requests .* are damaged'):
    _slim(tmp_path / 'model', tmp_path / 'slim')
  assert not (tmp_path / 'slim').exists()
