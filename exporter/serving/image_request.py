"""Runs a signature of a SavedModel on one image file, as a client would.

What the signature asks for decides what it gets: pixels (uint8 or float), the
encoded file, or a serialized `tf.Example` with the file in it. Inputs that are
no image, such as boxes or context features, are zeros.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator

from exporter.errors import UserError
from exporter.paths import plain_paths
from exporter.paths.reading import read_bytes
from exporter.saved_model.files import find_saved_model
from exporter.saved_model.signature import Signature, TensorSpec, shape_text

_PIXEL_DTYPES = ('uint8', 'int32', 'float16', 'float32', 'float64')


# How files begin: those that TensorFlow decodes, and what people mistake for them.
_DECODED = {b'\xff\xd8\xff': 'JPEG', b'\x89PNG': 'PNG', b'GIF8': 'GIF', b'BM': 'BMP'}
_OTHERS = {'WebP': rb'RIFF....WEBP', 'TIFF': rb'II\*\0|MM\0\*', 'PDF': rb'%PDF',
           'HEIC or AVIF': rb'....ftyp', 'JPEG 2000': rb'....jP  |\xff\x4f\xff\x51',
           'SVG': rb'\s*<(svg|\?xml)', 'JPEG XL': rb'....JXL |\xff\x0a'}
_KINDS = 'JPEG, PNG, GIF or BMP'


def read_image_file(path: str | os.PathLike) -> bytes:
  """The bytes of a JPEG, PNG, GIF or BMP file, as its first bytes say.

  Raises:
    UserError: there is none, it cannot be read, it is empty or something else.
  """
  encoded = read_bytes(path, 'image')
  if not encoded:
    raise UserError(f'The image {path} is empty.')
  if not encoded.startswith(tuple(_DECODED)):
    other = next((f'{kind}, and no' for kind, start in _OTHERS.items()
                  if re.match(start, encoded, re.DOTALL)), 'no')
    raise UserError(f'The image {path} is {other} {_KINDS} image.')
  return encoded


def takes_image(signature: Signature) -> bool:
  """Whether an input of the signature can take an image."""
  return any(takes_pixels(s) or takes_strings(s) for s in signature.inputs.values())


def check_takes_image(signature: Signature) -> None:
  """Raises UserError where no input of the signature can take an image."""
  if not takes_image(signature):
    inputs = ', '.join(f'{spec.key} ({spec.dtype} {shape_text(spec.shape)})'
                       for spec in signature.inputs.values()) or 'none'
    raise UserError(
        f'No input of the signature {signature.name!r} takes an image: its inputs'
        f' are {inputs}.')


def run_on_image(saved_model_dir: str | os.PathLike, signature: Signature,
                 path: str | os.PathLike):
  """Outputs of `signature` for the image at `path`.

  Imports TensorFlow and loads the model.

  Args:
    saved_model_dir: the SavedModel, or a folder that holds it.
    signature: what `read_signature` says of it.
    path: a JPEG, PNG, GIF or BMP file.

  Returns:
    A dict of NumPy arrays by output key; strings are object arrays of `bytes`.

  Raises:
    UserError: the image cannot be read or decoded, no input takes one, or the
      model cannot be loaded or run on it.
  """
  check_takes_image(signature)
  encoded = read_image_file(path)
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  import tensorflow as tf
  _decode(tf, encoded, 3, path)  # Before the model is loaded, which takes long.
  with loaded(saved_model_dir, signature) as model:
    function = model.signatures[signature.name]
    inputs = _inputs(tf, signature, encoded, path,
                     parses_examples(function.graph.as_graph_def()))
    try:
      outputs = function(**inputs)
    except tf.errors.OpError as e:
      raise UserError(
          f'{saved_model_dir} cannot be run on {path}: {first_line(e)}') from e
    return {key: tensor.numpy() for key, tensor in outputs.items()}


@contextlib.contextmanager
def loaded(saved_model_dir: str | os.PathLike, signature: Signature) -> Iterator:
  """The loaded object of a SavedModel, which must be kept: it owns the variables.

  Imports TensorFlow. What files the model reads while it runs are there in the block.

  Raises:
    UserError: it cannot be loaded.
  """
  import tensorflow as tf
  with plain_paths.of_folder(find_saved_model(saved_model_dir)) as plain:
    try:
      model = tf.saved_model.load(plain, tags=list(signature.tags) or None)
    except (tf.errors.OpError, OSError, ValueError) as e:
      raise UserError(f'{saved_model_dir} cannot be loaded: {first_line(e)}') from e
    yield model


def image_inputs(signature: Signature, path: str | os.PathLike, graph_def,
                 tensors: Collection[str] | None = None) -> dict:
  """What a client sends for the image at `path`, a tensor for each input.

  Args:
    signature: what `read_signature` says of the model.
    path: a JPEG, PNG, GIF or BMP file.
    graph_def: of the model; it tells what the model does with strings.
    tensors: names of the signature's outputs in it; None where it has no others.

  Raises:
    UserError: the image cannot be read or decoded, or no input takes one.
  """
  import tensorflow as tf
  check_takes_image(signature)
  encoded = read_image_file(path)
  _decode(tf, encoded, 3, path)  # What goes as a file must be an image as well.
  return _inputs(tf, signature, encoded, path, parses_examples(graph_def, tensors))


def _inputs(tf, signature: Signature, encoded: bytes, path, as_example: bool) -> dict:
  return {spec.key: _value(tf, spec, encoded, path, as_example)
          for spec in signature.inputs.values()}


def takes_pixels(spec: TensorSpec) -> bool:
  """Whether an input can be an image or a batch of them, as pixels."""
  if spec.dtype not in _PIXEL_DTYPES:
    return False
  if spec.shape is None:
    return True
  # A batch of images, or one without a batch; boxes are [1, N, 4].
  if len(spec.shape) == 4:
    return spec.shape[3] in (None, 1, 3)
  return len(spec.shape) == 3 and spec.shape[0] != 1 and spec.shape[2] == 3


def takes_strings(spec: TensorSpec) -> bool:
  """Whether an input can be an encoded image, or a message that holds one."""
  return spec.dtype == 'string'


def _value(tf, spec: TensorSpec, encoded: bytes, path, as_example: bool):
  if takes_strings(spec):
    text = example(tf, encoded) if as_example else encoded
    return tf.constant(text, shape=_known(spec.shape))
  if takes_pixels(spec):
    return _pixels(tf, spec, encoded, path)
  return tf.zeros(_known(spec.shape), spec.dtype)


def _pixels(tf, spec: TensorSpec, encoded: bytes, path):
  shape = (None,) * 4 if spec.shape is None else spec.shape
  height, width, channels = shape[-3:]
  image = _decode(tf, encoded, channels or 3, path)
  if height or width:
    size = (height or image.shape[0], width or image.shape[1])
    image = tf.image.resize(image, size)
  if len(shape) == 4:
    image = tf.repeat(image[tf.newaxis], shape[0] or 1, axis=0)
  return tf.cast(image, spec.dtype)


def _known(shape) -> list[int]:
  """A shape to fill: 1 where a dimension is unknown, a scalar where the rank is."""
  return [1 if size is None else size for size in shape or ()]


def _decode(tf, encoded: bytes, channels: int, path):
  try:
    return tf.io.decode_image(encoded, channels=channels, expand_animations=False)
  except tf.errors.InvalidArgumentError as e:
    raise UserError(f'The image {path} is damaged, or of a kind that TensorFlow lacks,'
                    f' such as BMP of 1 bit: it begins as a {_KINDS} file and cannot be'
                    ' decoded.') from e


def parses_examples(graph_def, tensors: Collection[str] | None = None) -> bool:
  """Whether a graph takes strings apart as `tf.Example` messages.

  Args:
    graph_def: with its functions.
    tensors: names of those that are asked for, as one signature of several has them;
      None for all of the graph.
  """
  bodies = {body.signature.name: body.node_def for body in graph_def.library.function}
  nodes = [*graph_def.node] if tensors is None else _needed(graph_def.node, tensors)
  while nodes:
    node = nodes.pop()
    if node.op.startswith('Parse') and 'Example' in node.op:
      return True
    for attr in node.attr.values():
      for function in (attr.func, *attr.list.func):
        nodes.extend(bodies.pop(function.name, ()))  # Each body once.
  return False


def _needed(nodes, tensors: Collection[str]) -> list:
  """The nodes that some tensors are computed from."""
  by_name = {node.name: node for node in nodes}
  found, names = [], [*tensors]
  while names:
    node = by_name.pop(names.pop().lstrip('^').partition(':')[0], None)
    if node is not None:
      found.append(node)
      names.extend(node.input)
  return found


def example(tf, encoded: bytes) -> bytes:
  """A serialized `tf.Example` that holds an encoded image as upstream reads it."""
  def feature(value: bytes):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

  image_format = b'png' if encoded.startswith(b'\x89PNG') else b'jpeg'
  return tf.train.Example(features=tf.train.Features(feature={
      'image/encoded': feature(encoded),
      'image/format': feature(image_format),
  })).SerializeToString()


def first_line(error: Exception) -> str:
  """What an error of TensorFlow says first, as the end of a sentence."""
  lines = str(error).strip().splitlines() or [type(error).__name__]
  return lines[0][:300].rstrip('.') + '.'
