"""Runs an export on many images; what a cluster, Beam, a notebook and a loop share."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from exporter.batch.image_feeding import ImageFeeder, PreparedImage, image_input
from exporter.errors import UserError, did_you_mean
from exporter.saved_model.signature import DEFAULT_SIGNATURE, Signature, read_signature
from exporter.serving import image_request

# Outputs with one row an image. Others, such as anchors, may have none, or many.
_BY_IMAGE = ('detection_', 'num_detections', 'raw_detection_')
# Images that wait for others of their size, as a multiple of a call's.
_WAITING = 4

_Label = TypeVar('_Label')


@dataclasses.dataclass(frozen=True)
class Detected:
  """What came of one image.

  Attributes:
    height: of the image as it came, in pixels; None where it could not be decoded.
    width: the same.
    error: why there are no outputs; None where there are.
    outputs: arrays by key, without a batch dimension.
  """
  height: int | None
  width: int | None
  error: str | None
  outputs: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Detector:
  """A SavedModel, loaded once, that takes images one by one or many at a time.

    >>> detector = Detector('exported', outputs=['detection_scores'])
    >>> columns = detector.detect([np.zeros([48, 64, 3], np.uint8), b'no image'])
    >>> columns['height'], columns['error']
    ([48, None], [None, 'The file is damaged, or no JPEG, PNG, GIF or BMP image.'])
    >>> columns['detection_scores'][0].shape, columns['detection_scores'][1]
    ((10,), None)

  Any export, of ours or of stock's, of any input type without side inputs. All
  methods may be called from several threads.

  Args:
    saved_model_dir: the SavedModel, or a folder that holds it.
    outputs: keys of the outputs that are wanted; None means all.
    signature_name: which of its signatures.
    batch_size: how many images of one size a call takes at most, where the
      signature leaves that free. It may change the last digits of results.

  Attributes:
    signature: what the model takes and returns.
    outputs: keys, in alphabetical order.
    batch_size: how many images a call takes.

  Raises:
    UserError: there is no such SavedModel, signature or output, or it takes side
      inputs or cannot be loaded.
  """

  def __init__(self, saved_model_dir: str | os.PathLike,
               outputs: Sequence[str] | None = None,
               signature_name: str = DEFAULT_SIGNATURE, batch_size: int = 1):
    self.signature = read_signature(saved_model_dir, signature_name)
    self.outputs = _checked_outputs(self.signature, outputs)
    spec = image_input(self.signature)
    self._input_key = spec.key
    # Here, not at the top: signatures and mistakes are told without it.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    import tensorflow as tf
    self._tf = tf
    with image_request.loaded(saved_model_dir, self.signature) as model:
      self._model = model
    self._function = self._model.signatures[signature_name]
    self._feeder = ImageFeeder(spec, image_request.parses_examples(
        self._function.graph.as_graph_def()))
    whole = [key for key in self.outputs if not key.startswith(_BY_IMAGE)]
    self.batch_size = self._feeder.batch or (1 if whole else batch_size)
    if whole and self.batch_size > 1:
      raise UserError(
          f'The output {whole[0]!r} of a call with {self.batch_size} images cannot be'
          ' divided among them; ask for those that begin with'
          f' {" or ".join(_BY_IMAGE)}.')

  def detect(self, images: Iterable[bytes | np.ndarray]) -> dict[str, list]:
    """Detects on encoded images, and arrays [height, width, 3], of any sizes.

    Returns:
      Columns with one entry an image, in the order of `images`: 'height' and
      'width' in pixels, 'error', a sentence or None, and the outputs by key, as
      arrays without a batch dimension. What an image with an error lacks is None.
    """
    found = {}
    for group in in_batches(enumerate(map(self.prepare, images)), self.batch_size):
      results = self.call([prepared for _, prepared in group])
      found.update(zip((index for index, _ in group), results))
    rows = [found[index] for index in sorted(found)]
    return {**{name: [getattr(row, name) for row in rows]
               for name in ('height', 'width', 'error')},
            **{key: [row.outputs.get(key) for row in rows] for key in self.outputs}}

  def prepare(self, image: bytes | np.ndarray) -> PreparedImage:
    """Decodes an image, or says in it what is wrong with it; raises nothing."""
    return self._feeder.prepare(image)

  def call(self, images: Sequence[PreparedImage]) -> list[Detected]:
    """Runs the model once.

    Args:
      images: at most `batch_size` of one `batch_key`, as `in_batches` groups them.

    Returns:
      One for each. An image on which the model fails has an error; where it fails
      on several, each is tried alone.
    """
    if images[0].error is not None:
      return [Detected(image.height, image.width, image.error) for image in images]
    try:
      outputs = self._run(images)
    except self._tf.errors.OpError as e:
      if len(images) > 1:
        return [detected for image in images for detected in self.call([image])]
      return [Detected(images[0].height, images[0].width,
                       f'The model cannot be run on it: {image_request.first_line(e)}')]
    return [Detected(image.height, image.width, None, {
        key: value[i] if self.has_batch(key) else value
        for key, value in outputs.items()}) for i, image in enumerate(images)]

  def has_batch(self, key: str) -> bool:
    """Whether an output has a dimension for the batch, which results then lack."""
    shape = self.signature.outputs[key].shape
    return self._feeder.takes_batches and shape != () and (
        key.startswith(_BY_IMAGE) or bool(shape) and shape[0] == 1)

  def _run(self, images: Sequence[PreparedImage]) -> dict[str, np.ndarray]:
    # A fixed batch is filled up with the last image.
    missing = (self._feeder.batch or 0) - len(images)
    tensor = self._feeder.tensor([*images, *[images[-1]] * missing])
    outputs = self._function(**{self._input_key: tensor})
    return {key: outputs[key].numpy() for key in self.outputs}


def use_processors(count: int) -> None:
  """Lets an op run on so many processors; nothing where TensorFlow has started.

  Several calls at a time that each take all of them get in one another's way.
  """
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  import tensorflow as tf
  with contextlib.suppress(RuntimeError):
    tf.config.threading.set_intra_op_parallelism_threads(count)


def in_batches(images: Iterable[tuple[_Label, PreparedImage]], size: int
               ) -> Iterator[list[tuple[_Label, PreparedImage]]]:
  """Groups labelled images of one `batch_key` into lists of `size` at most.

  What is grouped depends on the images and their order alone. Few are held at a
  time; where too many wait for others of their size, the largest group goes as it is.

  Args:
    images: each with a label of any type.
    size: of a group.
  """
  waiting: dict[tuple, list[tuple[_Label, PreparedImage]]] = {}
  for label, image in images:
    if image.error is not None:
      yield [(label, image)]
      continue
    group = waiting.setdefault(image.batch_key, [])
    group.append((label, image))
    if len(group) == size or sum(map(len, waiting.values())) >= _WAITING * size:
      largest = max(waiting, key=lambda key: len(waiting[key]))
      yield waiting.pop(largest)
  yield from waiting.values()


def _checked_outputs(signature: Signature, keys: Sequence[str] | None) -> tuple[str, ...]:
  for key in keys or ():
    if key not in signature.outputs:
      raise UserError(
          f'The signature {signature.name!r} has no output {key!r}'
          f'{did_you_mean(key, signature.outputs)}; its outputs are'
          f' {", ".join(signature.outputs)}.')
  return tuple(sorted(signature.outputs if keys is None else set(keys)))
