"""What the tests of fixed input shapes run in processes with TensorFlow alone."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def compare(single_dir: str, batch_dir: str) -> dict:
  """Runs a model of a fixed batch, and one of a single image on each of its images.

  Returns:
    `shapes` of the inputs and outputs of the batch's signature, and the largest
    `differences` of the outputs that both have; infinity for other shapes.
  """
  batch = tf.saved_model.load(batch_dir).signatures['serving_default']
  single = tf.saved_model.load(single_dir).signatures['serving_default']
  _, specs = batch.structured_input_signature
  inputs = {name: _make(spec) for name, spec in specs.items()}
  found = batch(**{name: tf.constant(value) for name, value in inputs.items()})
  count = len(next(iter(inputs.values())))
  singles = [single(**{name: tf.constant(value[i:i + 1])
                       for name, value in inputs.items()}) for i in range(count)]
  return {
      'shapes': {**{name: spec.shape.as_list() for name, spec in specs.items()},
                 **{key: output.shape.as_list()
                    for key, output in batch.structured_outputs.items()}},
      'differences': {
          key: _difference(found[key].numpy(),
                           np.concatenate([one[key].numpy() for one in singles]))
          for key in found if key in singles[0]}}


def _make(spec) -> np.ndarray:
  shape = [size or 2 for size in spec.shape.as_list()]
  rng = np.random.default_rng(5)
  if spec.dtype == tf.string:
    images = rng.integers(256, size=(*shape, 96, 128, 3), dtype=np.uint8)
    return np.array([tf.io.encode_png(image).numpy() for image in images], object)
  if spec.name == 'boxes':
    corners = np.sort(rng.random([*shape[:2], 2, 2]), axis=2)
    return corners.reshape([*shape[:2], 4]).astype(np.float32)
  if spec.dtype.is_integer and len(shape) < 4:
    return np.full(shape, 7, spec.dtype.as_numpy_dtype)
  if spec.dtype.is_integer:
    return rng.integers(256, size=shape, dtype=np.uint8)
  return rng.random(shape).astype(np.float32)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
  if one.shape != other.shape:
    return float('inf')
  return float(np.abs(one - other).max(initial=0))
