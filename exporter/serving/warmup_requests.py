"""Writes the requests that TensorFlow Serving warms a model up with.

The first request to a model takes many times as long as a later one. A server
that finds `assets.extra/tf_serving_warmup_requests` sends itself what is in it
before it calls the model ready, and refuses a model that cannot answer.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

from exporter.errors import UserError
from exporter.paths import plain_paths
from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model.signature import DEFAULT_SIGNATURE as DEFAULT_SIGNATURE
from exporter.saved_model.signature import Signature, read_signature
from exporter.serving import image_request

FILE = os.path.join('assets.extra', 'tf_serving_warmup_requests')

# The server refuses a model with more.
_MAX_REQUESTS = 1000


def check_images(images: Sequence[str]) -> None:
  """Tells early what would keep `write` from succeeding; needs no TensorFlow.

  Raises:
    UserError: an image cannot be read, there are too many, or the package with
      the protos of the requests is missing.
  """
  if len(images) > _MAX_REQUESTS:
    raise UserError(f'{len(images)} warm-up images are too many: TensorFlow Serving'
                    f' takes {_MAX_REQUESTS} requests at most.')
  for path in images:
    image_request.read_image_file(path)
  if images and importlib.util.find_spec('tensorflow_serving') is None:
    raise UserError(
        "Warm-up requests need the package 'tensorflow_serving', which is not"
        ' installed; pip install tensorflow-serving-api.')


def write(saved_model_dir: str, images: Sequence[str],
          signature_names: Sequence[str] = (DEFAULT_SIGNATURE,)) -> None:
  """Writes one PredictionLog record for each image and signature into a SavedModel.

  Args:
    saved_model_dir: the SavedModel; a file of an earlier call is replaced.
    images: paths of JPEG, PNG, GIF or BMP files.
    signature_names: the signatures that are called. Their inputs decide whether an
      image goes as pixels, as the encoded file or in a `tf.Example`; inputs that
      are no image are zeros.

  Raises:
    UserError: an image cannot be decoded, no input takes one, or the model
      cannot be run on it; nothing is written then.
  """
  import tensorflow as tf
  meta_graph = SavedModelFiles.open(saved_model_dir).serving_graph
  logs = []
  for name in signature_names:
    signature = read_signature(saved_model_dir, name)
    tensors = [info.name for info in meta_graph.signature_def[name].outputs.values()]
    requests = [image_request.image_inputs(
        signature, image, meta_graph.graph_def, tensors) for image in images]
    _check_answered(saved_model_dir, signature, images, requests)
    logs += [_prediction_log(name, inputs) for inputs in requests]
  path = os.path.join(saved_model_dir, FILE)
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with tf.io.TFRecordWriter(path) as writer:
    for log in logs:
      writer.write(log.SerializeToString())


def _check_answered(saved_model_dir: str, signature: Signature,
                    images: Sequence[str], requests: Sequence[dict]) -> None:
  """Runs the SavedModel on each request, with the loader that servers use.

  Raises:
    UserError: it cannot be run on one.
  """
  import tensorflow as tf
  with plain_paths.of_folder(saved_model_dir) as plain, \
      tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta_graph = tf.compat.v1.saved_model.load(session, list(signature.tags), plain)
    definition = meta_graph.signature_def[signature.name]
    # What is sparse or ragged has no name of its own.
    outputs = [info.name for info in definition.outputs.values() if info.name]
    for image, inputs in zip(images, requests):
      try:
        session.run(outputs, {definition.inputs[key].name: value.numpy()
                              for key, value in inputs.items()})
      except tf.errors.OpError as e:
        raise UserError(
            f'The warm-up image {image} cannot be run by the model, which a server'
            f' would then refuse to load: {image_request.first_line(e)}') from e


def _prediction_log(signature_name: str, inputs):
  import tensorflow as tf
  from tensorflow_serving.apis import prediction_log_pb2
  log = prediction_log_pb2.PredictionLog()
  request = log.predict_log.request
  # No model name: the server runs the requests on the model they lie in.
  request.model_spec.signature_name = signature_name
  for key, value in inputs.items():
    request.inputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
  return log
