"""Writes shapes as the Object Detection API's readers take them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable

import numpy as np
import PIL.Image

from examples.train_shapes import shapes


def write_label_map(path: str) -> None:
  """Writes the classes, counted from 1, as `label_map.pbtxt`."""
  with open(path, 'w', encoding='utf-8') as f:
    for i, name in enumerate(shapes.CLASSES, 1):
      f.write(f"item {{ id: {i} name: '{name}' }}\n")


def write_records(path: str, seeds: Iterable[int]) -> None:
  """Writes one tf.Example a seed, with boxes, classes and PNG masks."""
  import contextlib

  from object_detection.dataset_tools import tf_record_creation_util
  with contextlib.ExitStack() as stack:
    writer, = tf_record_creation_util.open_sharded_output_tfrecords(stack, path, 1)
    for seed in seeds:
      writer.write(_example(seed).SerializeToString())
  os.replace(f'{path}-00000-of-00001', path)


def _example(seed: int):
  import tensorflow as tf
  from object_detection.utils import dataset_util
  drawn = shapes.draw(seed)
  height, width, _ = drawn.image.shape
  ymin, xmin, ymax, xmax = drawn.boxes.T.tolist()
  name = f'{seed}.png'.encode()
  return tf.train.Example(features=tf.train.Features(feature={
      'image/height': dataset_util.int64_feature(height),
      'image/width': dataset_util.int64_feature(width),
      'image/filename': dataset_util.bytes_feature(name),
      'image/source_id': dataset_util.bytes_feature(name),
      'image/encoded': dataset_util.bytes_feature(_png(drawn.image)),
      'image/format': dataset_util.bytes_feature(b'png'),
      'image/object/bbox/ymin': dataset_util.float_list_feature(ymin),
      'image/object/bbox/xmin': dataset_util.float_list_feature(xmin),
      'image/object/bbox/ymax': dataset_util.float_list_feature(ymax),
      'image/object/bbox/xmax': dataset_util.float_list_feature(xmax),
      'image/object/class/text': dataset_util.bytes_list_feature(
          [shapes.CLASSES[i].encode() for i in drawn.classes]),
      'image/object/class/label': dataset_util.int64_list_feature(
          [i + 1 for i in drawn.classes]),
      'image/object/mask': dataset_util.bytes_list_feature(
          [_png(mask.astype(np.uint8)) for mask in drawn.masks]),
  }))


def _png(array: np.ndarray) -> bytes:
  written = io.BytesIO()
  PIL.Image.fromarray(array).save(written, 'PNG')
  return written.getvalue()
