"""Runs a SavedModel and what is left of it on the same inputs, and compares.

TensorFlow's graph optimizer, Grappler, may join ops in another way where an output is
gone, so that values differ in their last digits though the graph computes the same.
Without Grappler every bit must be the same; with it, the largest difference is told.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from exporter.errors import UserError
from exporter.saved_model.files import SavedModelFiles
from exporter.saved_model.signature import Signature, TensorSpec, read_signatures
from exporter.serving import image_request

# Of random inputs: how often, and how large where the model leaves it open.
_ROUNDS = 2
_IMAGE_SIZE, _SIZE = 96, 3

# What one signature is called with, one after the other: a tensor by input.
Feeds = Mapping[str, Sequence[Mapping[str, object]]]


@dataclasses.dataclass(frozen=True)
class Comparison:
  """What was found where all bits are the same without Grappler.

  Attributes:
    compared: how many tensors were.
    largest_difference: between two numbers with Grappler on; infinite where shapes,
      strings or what is no number differ.
    output: where that is; empty if there is none.
  """
  compared: int
  largest_difference: float
  output: str = ''

  def __str__(self) -> str:
    tensors = f'{self.compared} tensors are the same bit for bit'
    if not self.largest_difference:
      return f'{tensors}, without Grappler and with it'
    return (f'{tensors} without Grappler; with it the largest difference is'
            f' {self.largest_difference:.3g}, in {self.output}')


@dataclasses.dataclass(frozen=True)
class _Side:
  """A SavedModel, and what it calls what `source` names otherwise."""
  directory: str
  names: Mapping[str, str] = dataclasses.field(default_factory=dict)
  signatures: Mapping[str, str] = dataclasses.field(default_factory=dict)


def compare(source: str, slim: str, outputs: Mapping[str, Sequence[str]],
            images: Sequence[str] = (),
            tag_set: Sequence[str] | None = None,
            renamed: Mapping[str, str] | None = None,
            renamed_signatures: Mapping[str, str] | None = None) -> Comparison:
  """Compares what two SavedModels give for random inputs, or for images.

  Args:
    source: the folder of the SavedModel.
    slim: that of what is left of it.
    outputs: the output keys to compare, by signature.
    images: image files to send; none: random values that fit the signature.
    tag_set: of the MetaGraph in `source`.
    renamed: what inputs and outputs are called in `slim`, by their names in `source`.
    renamed_signatures: the same of signatures.

  Raises:
    UserError: an output differs without Grappler, `source` gives another one at each
      run, or it cannot be run on such inputs.
  """
  signatures = read_signatures(source, tag_set)
  graph_def = SavedModelFiles.open(source, tag_set).serving_graph.graph_def
  feeds = {name: _feeds(signatures[name], images, graph_def) for name in outputs}
  sides = (_Side(source), _Side(slim, renamed or {}, renamed_signatures or {}))
  with _grappler(False):
    expected, found = (_run(side, signatures, outputs, feeds) for side in sides)
    for key, value in found.items():
      if not _same_bits(value, expected[key]):
        again = _run(sides[0], signatures, outputs, feeds)
        raise _differs(key, source, _same_bits(again[key], expected[key]))
  with _grappler(True):
    expected, found = (_run(side, signatures, outputs, feeds) for side in sides)
  differences = {key: _difference(found[key], expected[key]) for key in found}
  key = max(differences, key=lambda key: differences[key], default=None)
  if key is None or not differences[key]:
    return Comparison(len(found), 0.0)
  return Comparison(len(found), differences[key], f'{key[2]} of {key[1]}')


def _differs(key, source: str, is_the_same_again: bool) -> UserError:
  _, signature, output, _ = key
  if not is_the_same_again:
    return UserError(
        f'The output {output!r} of the signature {signature!r} of {source} is another'
        ' one at each run and cannot be compared; leave --verify out.')
  return UserError(
      f'The output {output!r} of the signature {signature!r} is not what {source} gives'
      ' for the same input; that is a fault of this program. Nothing was written;'
      ' please report it, with the SavedModel if you may.')


@contextlib.contextmanager
def _grappler(is_on: bool) -> Iterator[None]:
  import tensorflow as tf
  options = tf.config.optimizer
  name = 'disable_meta_optimizer'
  before = options.get_experimental_options().get(name, False)
  options.set_experimental_options({name: not is_on})
  try:
    yield
  finally:
    options.set_experimental_options({name: before})


def _feeds(signature: Signature, images: Sequence[str], graph_def):
  if not images:
    return [_random_inputs(signature, np.random.RandomState(i)) for i in range(_ROUNDS)]
  return [image_request.image_inputs(signature, path, graph_def) for path in images]


def _random_inputs(signature: Signature, rng: np.random.RandomState) -> dict:
  has_images = any(_is_image(spec) for spec in signature.inputs.values())
  return {spec.key: _random(spec, rng, has_images) for spec in signature.inputs.values()}


def _is_image(spec: TensorSpec) -> bool:
  return (spec.shape is not None and len(spec.shape) in (3, 4)
          and image_request.takes_pixels(spec))


def _random(spec: TensorSpec, rng: np.random.RandomState, has_images: bool):
  import tensorflow as tf
  shape = list(spec.shape if spec.shape is not None else [None])
  if shape and shape[0] is None and has_images and len(shape) != 3:
    shape[0] = 1  # All inputs are of one batch.
  open_size = _IMAGE_SIZE if _is_image(spec) else _SIZE
  shape = [open_size if size is None else size for size in shape]
  try:
    dtype = tf.as_dtype(spec.dtype)
    if dtype == tf.string:
      return tf.strings.as_string(rng.randint(10, size=shape))
    if dtype == tf.bool:
      return tf.constant(rng.rand(*shape) < 0.5)
    if dtype.is_integer or _is_image(spec):
      return tf.cast(tf.constant(rng.randint(256 if _is_image(spec) else 3, size=shape)),
                     dtype)
    return tf.cast(tf.constant(rng.standard_normal(shape)), dtype)
  except (TypeError, ValueError, tf.errors.OpError) as e:
    raise UserError(f'There are no random values for the input {spec.key!r} of'
                    f' {spec.dtype}; leave --verify out.') from e


def _run(side: _Side, signatures: Mapping[str, Signature],
         outputs: Mapping[str, Sequence[str]], feeds: Feeds) -> dict:
  """What a freshly loaded model gives, by round, signature, key and component."""
  import tensorflow as tf
  found = {}
  with image_request.loaded(side.directory, next(iter(signatures.values()))) as model:
    for name, keys in outputs.items():
      function = model.signatures[side.signatures.get(name, name)]
      for i, inputs in enumerate(feeds[name]):
        try:
          results = function(**{side.names.get(k, k): v for k, v in inputs.items()})
        except (tf.errors.OpError, TypeError, ValueError) as e:
          raise UserError(
              f'The signature {name!r} of {os.path.basename(side.directory)} cannot be run on'
              f' inputs that fit it ({image_request.first_line(e)}); give an --image'
              ' that it takes, or leave --verify out.') from e
        for key in keys:
          for j, part in enumerate(_tensors(results[side.names.get(key, key)])):
            found[i, name, key, j] = part.numpy()
  return found


def _tensors(result) -> list:
  import tensorflow as tf
  return tf.nest.flatten(result, expand_composites=True)


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
  a, b = np.asarray(a), np.asarray(b)
  if a.dtype != b.dtype or a.shape != b.shape:
    return False
  return a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()


def _difference(a: np.ndarray, b: np.ndarray) -> float:
  """The largest distance between two numbers in the same place."""
  if _same_bits(a, b):
    return 0.0
  a, b = np.asarray(a), np.asarray(b)
  if a.shape != b.shape or object in (a.dtype, b.dtype):
    return float('inf')
  kind = complex if np.iscomplexobj(a) else float
  a, b = a.astype(kind), b.astype(kind)
  # Neither infinities of one sign nor two that are no number are apart.
  apart = (a != b) & ~(np.isnan(a) & np.isnan(b))
  distances = np.abs(a[apart] - b[apart])
  return float(np.nan_to_num(distances, nan=np.inf).max(initial=0.0))
