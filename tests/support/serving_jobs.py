"""What the serving tests run in processes that have imported TensorFlow."""

import os
import runpy
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from benchmarks import round_trip_client


def write_models(folder: str):
  """Writes the tiny models that `Serving` tells of."""
  _save(_Large(2.0), folder, 'large', '2')
  _save(_Large(10.0), folder, 'large', '10')
  os.makedirs(os.path.join(folder, 'large', '11', 'variables'))  # Not complete.
  _save(_Encoded(), folder, 'encoded', 'saved_model')
  _save(_Texts(), folder, 'texts')


def _save(module, *path):
  tf.saved_model.save(module, os.path.join(*path), signatures=module.signatures())


class _Large(tf.Module):
  """Has an output of 4.8 MB, and one that tells the versions apart."""

  def __init__(self, value):
    self._value = tf.Variable(value)

  @tf.function(input_signature=[
      tf.TensorSpec([1, None, None, 3], tf.uint8, 'input_tensor')])
  def predict(self, image):
    brightest = tf.cast(tf.reduce_max(image), tf.float32)
    return {'big': tf.fill([1, 1_200_000], brightest),
            'small': self._value[tf.newaxis]}

  def signatures(self):
    return {'serving_default': self.predict}


class _Encoded(tf.Module):
  """Detects its whole image: the score is the share of red in its pixels."""

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'input_tensor')])
  def predict(self, files):
    image = tf.io.decode_image(files[0], channels=3, expand_animations=False)
    red = tf.reduce_mean(tf.cast(image[:, :, 0], tf.float32)) / 255
    return {'detection_boxes': tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            'detection_classes': tf.constant([[7.0]]),
            'detection_scores': tf.reshape(red, [1, 1]),
            'num_detections': tf.constant([1.0])}

  def signatures(self):
    return {'serving_default': self.predict}


class _Texts(tf.Module):
  """Two inputs; strings as text and as bytes; a type that JSON cannot have."""

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'text'),
                                tf.TensorSpec([None], tf.int64, 'times')])
  def repeat(self, text, times):
    starts = tf.range(tf.size(text))
    repeated = tf.map_fn(lambda i: tf.strings.reduce_join(
        tf.repeat(text[i], times[i])), starts, fn_output_signature=tf.string)
    return {'repeated': repeated, 'repeated_bytes': repeated}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'values')])
  def halve(self, values):
    return {'halves': tf.cast(values / 2, tf.float16)}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'values')])
  def insist(self, values):
    with tf.control_dependencies([tf.debugging.assert_positive(values)]):
      return {'values': tf.identity(values)}

  def signatures(self):
    return {'serving_default': self.repeat, 'halve': self.halve,
            'insist': self.insist}


def predict(address: str, requests: list[dict], inputs_path: str, outputs_path: str):
  """Sends `PredictRequest`s.

  Args:
    address: of the gRPC server.
    requests: each with `model`, and where wanted `signature`, `version`, `label`,
      `filter` and `inputs`, names in the file by input key; without these all of
      the file are sent.
    inputs_path: an .npz file.
    outputs_path: gets the outputs as N/KEY, N the request's place in the list.

  Returns:
    For each request either {'code', 'details'} or the response's model spec as
    [name, version, signature] and its size in bytes.
  """
  with np.load(inputs_path, allow_pickle=True) as f:
    arrays = {key: f[key] for key in f}
  outputs, results = {}, []
  with grpc.insecure_channel(
      address, [('grpc.max_receive_message_length', -1)]) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    for i, fields in enumerate(requests):
      try:
        response = stub.Predict(_request(fields, arrays), timeout=60)
      except grpc.RpcError as e:
        results.append({'code': e.code().name, 'details': e.details()})
        continue
      outputs |= {f'{i}/{key}': tf.make_ndarray(tensor)
                  for key, tensor in response.outputs.items()}
      spec = response.model_spec
      results.append({'spec': [spec.name, spec.version.value, spec.signature_name],
                      'bytes': response.ByteSize(),
                      'spec_bytes': 2 + spec.ByteSize()})
  np.savez(outputs_path, **outputs)
  return results


def _request(fields, arrays):
  request = predict_pb2.PredictRequest(output_filter=fields.get('filter', []))
  if 'model' in fields:
    request.model_spec.name = fields['model']
    request.model_spec.signature_name = fields.get('signature', '')
  if 'version' in fields:
    request.model_spec.version.value = fields['version']
  if 'label' in fields:
    request.model_spec.version_label = fields['label']
  names = fields.get('inputs', {key: key for key in arrays})
  for key, name in names.items():
    request.inputs[key].CopyFrom(tf.make_tensor_proto(arrays[name]))
  return request


def malformed_tensor(address: str, model: str):
  """The status of a request whose tensor holds less than its shape says."""
  request = predict_pb2.PredictRequest()
  request.model_spec.name = model
  tensor = request.inputs['input_tensor']
  tensor.CopyFrom(tf.make_tensor_proto(np.zeros([1, 4, 4, 3], np.uint8)))
  tensor.tensor_content = b'too short'
  with grpc.insecure_channel(address) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
      stub.Predict(request, timeout=60)
    except grpc.RpcError as e:
      return e.code().name


def metadata(address: str, model: str, field: str):
  """[name, version] and the names of all signatures; or the status."""
  request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[field])
  request.model_spec.name = model
  with grpc.insecure_channel(address) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
      response = stub.GetModelMetadata(request, timeout=60)
    except grpc.RpcError as e:
      return e.code().name
  signatures = get_model_metadata_pb2.SignatureDefMap()
  response.metadata['signature_def'].Unpack(signatures)
  spec = response.model_spec
  return [spec.name, spec.version.value, sorted(signatures.signature_def)]


def output_keys(address: str, model: str):
  return round_trip_client.output_keys(address, model)


def answer_to_default_client(address: str, model: str, output_filter: list[str]):
  return round_trip_client.answer_to_default_client(round_trip_client.Contender(
      '', 'gRPC', address, model, tuple(output_filter)))


def predict_with_client(address: str, model: str, image_path: str,
                        outputs_path: str):
  """`examples.serving_client.predict_grpc` of an .npy image, or of a file."""
  from examples import serving_client
  if image_path.endswith('.npy'):
    image = np.load(image_path)
  else:
    with open(image_path, 'rb') as f:
      image = f.read()
  np.savez(outputs_path, **serving_client.predict_grpc(address, model, image))


def run_script(path: str, *args):
  """Runs a script as Python runs it by its path."""
  sys.argv = [path, *args]
  runpy.run_path(path, run_name='__main__')
