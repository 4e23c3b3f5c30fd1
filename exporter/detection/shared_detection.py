"""One body for the detection part of several signatures.

The modules of an export prepare images each in its own way and then run the same
model on them. Traced once, that part is one function which all of them call; it holds
nearly all that a graph holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

# Outputs whose first dimension is the batch, in every model of upstream's.
_BATCHED = ('detection_', 'raw_detection_', 'num_', 'proposal_')


class _Reached(Exception):
  """Ends the trace of a module where its images are prepared."""

  def __init__(self, images, true_shapes):
    super().__init__()
    self.specs = [tf.TensorSpec(images.shape, images.dtype, 'images'),
                  tf.TensorSpec(true_shapes.shape, true_shapes.dtype, 'true_shapes')]


def share(modules: Sequence, trace: Callable) -> None:
  """Makes modules that prepare images of one size call one function for the rest.

  Their `detect(images, true_shapes)` is replaced. Where the batches differ, the
  function takes any, and what a module returns has its own batch again.

  Args:
    modules: `DetectionInferenceModule`s of one model.
    trace: makes a concrete function of a `tf.function`, without AutoGraph.
  """
  alike = {}
  for module in modules:
    specs = _prepared(module, trace)
    if specs is not None:
      key = tuple((spec.dtype, str(spec.shape[1:])) for spec in specs)
      alike.setdefault(key, []).append((module, specs))
  for members in alike.values():
    if len(members) > 1:
      _share(members, trace)


def _prepared(module, trace):
  """Specs of what a module gives to `detect`; None where it gives more, or never."""
  def reached(images, true_shapes, **side_inputs):
    if side_inputs:
      raise NotImplementedError
    raise _Reached(images, true_shapes)

  module.detect = reached
  try:
    trace(module.__call__)
  except _Reached as e:
    return e.specs
  except NotImplementedError:
    return None
  finally:
    del module.detect
  return None


def _share(members, trace) -> None:
  first, specs = members[0]
  batches = {member_specs[0].shape[0] for _, member_specs in members}
  batch = batches.pop() if len(batches) == 1 else None
  body = trace(tf.function(
      first.detect, input_signature=[
          tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype, spec.name)
          for spec in specs]))

  def detect(images, true_shapes):
    detections = body(images, true_shapes)
    return {key: _with_batch(key, output, images.shape[0])
            for key, output in detections.items()}

  for module, _ in members:
    module.detect = detect
    module.traced.predictions = first.traced.predictions


def _with_batch(key: str, output: tf.Tensor, batch: int | None) -> tf.Tensor:
  """An output of the shared body, with the batch that is known outside of it."""
  if (batch is None or not key.startswith(_BATCHED) or not output.shape.rank
      or output.shape[0] is not None):
    return output
  return tf.ensure_shape(output, [batch, *output.shape[1:]])
