"""Rows as `tf.Example`s in the Object Detection API's keys, to train on."""

from __future__ import annotations

import hashlib

import numpy as np

from exporter.batch.rows import Row


def tf_example(row: Row, encoded: bytes) -> bytes:
  """A serialized `tf.Example` of an image and what was detected on it.

  Args:
    row: without an error, its boxes from 0 to 1, its masks as COCO's code.
    encoded: the file; a kind that upstream does not read becomes a PNG.
  """
  import tensorflow as tf
  encoded, kind = _readable(tf, encoded)
  features = {
      'image/height': row['height'], 'image/width': row['width'],
      'image/filename': row['path'], 'image/source_id': row['path'],
      'image/key/sha256': hashlib.sha256(encoded).hexdigest(),
      'image/encoded': encoded, 'image/format': kind}
  if 'boxes' in row:
    for i, side in enumerate(('ymin', 'xmin', 'ymax', 'xmax')):
      features[f'image/object/bbox/{side}'] = row['boxes'][:, i]
  for key, column in (('image/object/class/label', 'classes'),
                      ('image/object/class/text', 'class_names'),
                      ('image/detection/score', 'scores')):
    if column in row:
      features[key] = row[column]
  if 'masks' in row:
    features['image/object/mask'] = [_png(mask) for mask in row['masks']]
  return tf.train.Example(features=tf.train.Features(feature={
      key: _feature(tf, value) for key, value in features.items()})).SerializeToString()


def _readable(tf, encoded: bytes) -> tuple[bytes, str]:
  if encoded.startswith(b'\xff\xd8\xff'):
    return encoded, 'jpeg'
  if not encoded.startswith(b'\x89PNG'):
    encoded = tf.io.encode_png(tf.io.decode_image(
        encoded, channels=3, expand_animations=False)).numpy()
  return encoded, 'png'


def _png(code: dict) -> bytes:
  from pycocotools import mask as coco_mask
  import tensorflow as tf
  return tf.io.encode_png(coco_mask.decode(code)[:, :, np.newaxis]).numpy()


def _feature(tf, value):
  values = value if isinstance(value, (list, np.ndarray)) else [value]
  if not len(values):
    return tf.train.Feature()  # One of a type would be read as that type alone.
  kinds = {np.asarray(v).dtype.kind for v in values}
  if kinds == {'f'}:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
  if kinds == {'i'}:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=map(int, values)))
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=[
      v.encode() if isinstance(v, str) else v for v in values]))
