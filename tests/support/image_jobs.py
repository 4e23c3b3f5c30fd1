"""What the image tests run in processes that have imported both exporters."""

from __future__ import annotations

import hashlib
import os

import tensorflow as tf

from exporter import exporter_lib_v2 as ours
from object_detection import exporter_lib_v2 as stock


def decode(paths: list[str]) -> dict[str, list[str]]:
  """What each decoder makes of each file: stock's and ours, of files and Examples.

  Returns:
    By file name four texts: shape, dtype and SHA-256 of the pixels, or the error.
  """
  decoders = [tf.function(decoder, input_signature=[tf.TensorSpec([], tf.string)])
              for decoder in (stock._decode_image, ours._decode_image,
                              stock._decode_tf_example, ours._decode_tf_example)]
  found = {}
  for path in paths:
    with open(path, 'rb') as f:
      encoded = f.read()
    found[os.path.basename(path)] = [
        _decoded(decoder, given) for decoder, given in
        zip(decoders, [encoded, encoded, _example(encoded), _example(encoded)])]
  return found


def _decoded(decoder, given: bytes) -> str:
  try:
    image = decoder(tf.constant(given)).numpy()
  except tf.errors.InvalidArgumentError as e:
    return f'error: {e.message.splitlines()[0]}'
  return f'{image.shape} {image.dtype} {hashlib.sha256(image.tobytes()).hexdigest()}'


def _example(encoded: bytes) -> bytes:
  return tf.train.Example(features=tf.train.Features(feature={
      'image/encoded': tf.train.Feature(
          bytes_list=tf.train.BytesList(value=[encoded]))})).SerializeToString()
