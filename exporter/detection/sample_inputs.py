"""Makes one example of what an exported model takes, for checks and measuring."""

import numpy as np
import tensorflow as tf

_HEIGHT, _WIDTH = 480, 640


def sample_inputs(input_type: str, concrete_function) -> list[tf.Tensor]:
  """Noise images in the form of `input_type`, and what goes along.

  As many and as large as the function takes, and where that is open, one image of
  640 × 480.

  Args:
    input_type: a key of `DETECTION_MODULE_MAP`.
    concrete_function: of a detection module.

  Returns:
    A tensor for each argument. Side inputs are ones, boxes are normalized.
  """
  specs, _ = concrete_function.structured_input_signature
  batch, *size = specs[0].shape.as_list()
  height, width = size[:2] if len(size) == 3 else (None, None)
  # For one image the same numbers as without the batch.
  pixels = np.random.RandomState(0).randint(
      256, size=(batch or 1, height or _HEIGHT, width or _WIDTH, 3), dtype=np.uint8)
  return [_as_input(input_type, pixels, specs[0]),
          *(_filler(spec, len(pixels)) for spec in specs[1:])]


def _as_input(input_type: str, pixels: np.ndarray, spec: tf.TensorSpec):
  if spec.dtype != tf.string:
    return tf.cast(pixels, spec.dtype)
  encoded = [tf.io.encode_png(image).numpy() for image in pixels]
  if input_type == 'tf_example':
    encoded = [_example(image) for image in encoded]
  return tf.constant(encoded)


def _example(encoded: bytes) -> bytes:
  feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
  return tf.train.Example(features=tf.train.Features(
      feature={'image/encoded': feature})).SerializeToString()


def _filler(spec: tf.TensorSpec, batch: int) -> tf.Tensor:
  shape = [size or 2 for size in spec.shape.as_list()]
  if shape and spec.shape[0] is None:
    shape[0] = batch
  if spec.dtype == tf.string:
    return tf.fill(shape, '')
  if shape[-1:] == [4] and spec.dtype == tf.float32:  # [1, boxes, 4]
    return tf.broadcast_to([0.1, 0.2, 0.7, 0.8], shape)
  return tf.ones(shape, spec.dtype)
