"""What the warm-up tests run in processes that have imported TensorFlow alone."""

import os

import numpy as np
import tensorflow as tf

from exporter.serving import warmup_requests


def write_image(path: str):
  """A PNG file of noise, and its pixels beside it."""
  pixels = np.random.default_rng(0).integers(256, size=(48, 64, 3), dtype=np.uint8)
  tf.io.write_file(path, tf.io.encode_png(pixels))
  np.save(path + '.npy', pixels)


def write(saved_model_dir: str, images: list[str]):
  warmup_requests.write(saved_model_dir, images)


def replay(saved_model_dir: str):
  """Sends a model its warm-up requests, as TensorFlow Serving does.

  Returns:
    For each request its signature, its inputs as [dtype, shape] by name, the
    sum of the first input where it is one of pixels, and the outputs' names.
  """
  from tensorflow_serving.apis import prediction_log_pb2
  path = os.path.join(
      saved_model_dir, 'assets.extra', 'tf_serving_warmup_requests')
  loaded = tf.saved_model.load(saved_model_dir)
  replayed = []
  for record in tf.data.TFRecordDataset(path):
    log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
    request = log.predict_log.request
    name = request.model_spec.signature_name
    inputs = {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()}
    outputs = loaded.signatures[name](
        **{key: tf.constant(value) for key, value in inputs.items()})
    image = inputs['input_tensor']
    replayed.append({
        'signature': name, 'outputs': sorted(outputs),
        'inputs': {key: [tf.as_dtype(value.dtype).name, list(value.shape)]
                   for key, value in inputs.items()},
        'sum': None if image.dtype == object else float(image.sum())})
  return replayed
