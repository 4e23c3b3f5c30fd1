"""Decodes the encoded images that exported models take, as a part of their graph.

JPEG, PNG and BMP become the very pixels that upstream's decoders give. Of a GIF,
of which those make a batch of frames that no model takes, it is the first frame.
"""

import tensorflow as tf

from exporter.detection import environment

with environment.api_imports():
  from object_detection.core import standard_fields as fields
  from object_detection.data_decoders import tf_example_decoder

_ENCODED, _FORMAT = 'image/encoded', 'image/format'


def decode_image(encoded_image_string_tensor: tf.Tensor) -> tf.Tensor:
  """uint8 [height, width, 3] image of a PNG, JPEG, BMP or GIF string."""
  image = tf.io.decode_image(
      encoded_image_string_tensor, channels=3, expand_animations=False)
  image.set_shape([None, None, 3])
  return image


def decode_tf_example(tf_example_string_tensor: tf.Tensor) -> tf.Tensor:
  """uint8 [height, width, 3] image in the `image/encoded` of a `tf.Example`."""
  decoder = tf_example_decoder.TfExampleDecoder()
  key = fields.InputDataFields.image
  decoder.items_to_handlers[key] = _FirstFrame(decoder.items_to_handlers[key])
  return decoder.decode(tf_example_string_tensor)[key]


class _FirstFrame:
  """A tf_slim `ItemHandler` that decodes a GIF, and leaves the rest to another."""

  keys = [_ENCODED, _FORMAT]

  def __init__(self, handler):
    self._handler = handler

  def tensors_to_item(self, keys_to_tensors):
    encoded = keys_to_tensors[_ENCODED]
    return tf.cond(
        tf.equal(tf.strings.substr(encoded, 0, 4), b'GIF8'),
        lambda: decode_image(encoded),
        lambda: self._handler.tensors_to_item(keys_to_tensors))
