"""Makes of an image what a signature takes: pixels, a file, or a `tf.Example`."""

from __future__ import annotations

import dataclasses

import numpy as np

from exporter.errors import UserError
from exporter.saved_model.signature import Signature, TensorSpec, shape_text
from exporter.serving import image_request

# What every export decodes; other kinds go in as PNG. Stock's fail on a GIF.
_DECODED_BY_ALL = (b'\xff\xd8\xff', b'\x89PNG')


@dataclasses.dataclass(frozen=True)
class PreparedImage:
  """An image as the model takes it, or what is wrong with it.

  Attributes:
    height: in pixels, as it came; None where it could not be decoded.
    width: the same.
    value: pixels [height, width, channels], or bytes; None where there is an error.
    error: why there is no value; None where there is one.
  """
  height: int | None = None
  width: int | None = None
  value: np.ndarray | bytes | None = None
  error: str | None = None

  @property
  def batch_key(self) -> tuple:
    """Equal for images that can go into one call."""
    if isinstance(self.value, np.ndarray):
      return self.value.shape
    return self.height, self.width


def image_input(signature: Signature) -> TensorSpec:
  """The one input of a signature, which takes images.

  Raises:
    UserError: it takes no image, or other things as well.
  """
  image_request.check_takes_image(signature)
  if len(signature.inputs) == 1:
    return next(iter(signature.inputs.values()))
  others = [spec for spec in signature.inputs.values()
            if not image_request.takes_pixels(spec)
            and not image_request.takes_strings(spec)]
  names = ', '.join(f'{spec.key} {shape_text(spec.shape)}' for spec in others)
  raise UserError(
      f'The signature {signature.name!r} has side inputs ({names or "several images"}),'
      ' and a folder of images has no values for them; give an export that takes'
      ' images alone.')


class ImageFeeder:
  """Prepares images for one input of a model; any thread may call it.

  Args:
    spec: the input.
    parses_examples: whether the model takes strings apart as `tf.Example`s.
  """

  def __init__(self, spec: TensorSpec, parses_examples: bool):
    import tensorflow as tf
    self._tf = tf
    self._spec = spec
    self._parses_examples = parses_examples
    self._takes_strings = image_request.takes_strings(spec)
    shape = (None,) * 4 if spec.shape is None or self._takes_strings else spec.shape
    self._size, self._channels = shape[-3:-1], shape[-1] or 3
    self._takes_one = not self._takes_strings and len(shape) == 3

  @property
  def batch(self) -> int | None:
    """How many images one call takes: None where that is free."""
    if not self.takes_batches:
      return 1
    return self._spec.shape[0] if self._spec.shape else None

  @property
  def takes_batches(self) -> bool:
    """Whether the input has a dimension for the batch."""
    return not self._takes_one and self._spec.shape != ()

  def prepare(self, image: bytes | np.ndarray) -> PreparedImage:
    """An encoded image, or an array [height, width, channels], as the model takes it."""
    try:
      pixels = self._pixels(image)
    except ValueError as e:
      return PreparedImage(error=str(e))
    height, width = pixels.shape[:2]
    if self._takes_strings:
      value = self._encoded(image, pixels)
    else:
      value = self._resized(pixels).astype(self._spec.dtype, copy=False)
    return PreparedImage(height, width, value)

  def tensor(self, images: list[PreparedImage]):
    """One call's worth of prepared images of one `batch_key`."""
    values = [image.value for image in images]
    if not self.takes_batches:
      return self._tf.constant(values[0])
    if self._takes_strings:
      return self._tf.constant(values)
    return self._tf.constant(np.stack(values))

  def _pixels(self, image: bytes | np.ndarray) -> np.ndarray:
    """Raises ValueError, with what is wrong as a sentence."""
    if isinstance(image, bytes):
      return self._decoded(image)
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != self._channels or 0 in array.shape:
      raise ValueError(f'An array of shape {list(array.shape)} is no image: it must'
                       f' be [height, width, {self._channels}].')
    if self._takes_strings and array.dtype != np.uint8:
      raise ValueError(f'An array of {array.dtype} cannot be encoded for the model,'
                       ' which takes files: give uint8.')
    return array

  def _decoded(self, encoded: bytes) -> np.ndarray:
    tf = self._tf
    if not encoded:
      raise ValueError('The file is empty.')
    try:
      return tf.io.decode_image(
          encoded, channels=self._channels, expand_animations=False).numpy()
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as e:
      raise ValueError('The file is damaged, or no JPEG, PNG, GIF or BMP image.') from e

  def _resized(self, pixels: np.ndarray) -> np.ndarray:
    """As large as a model of a fixed size wants it."""
    size = tuple(want or have for want, have in zip(self._size, pixels.shape))
    if size == pixels.shape[:2]:
      return pixels
    return self._tf.image.resize(pixels, size).numpy()

  def _encoded(self, image: bytes | np.ndarray, pixels: np.ndarray) -> bytes:
    if not isinstance(image, bytes) or not image.startswith(_DECODED_BY_ALL):
      image = self._tf.io.encode_png(pixels).numpy()
    if self._parses_examples:
      return image_request.example(self._tf, image)
    return image
