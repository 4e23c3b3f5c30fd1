"""Whether a server may join requests into one batch, as TensorFlow Serving and Triton do.

They put requests together along the first dimension of every input and take the
answer apart along the first dimension of every output, so each of these must be the
batch.
"""

from __future__ import annotations

from exporter.saved_model.signature import Signature, TensorSpec, shape_text

# Outputs of upstream's Faster R-CNN whose first dimension, though unknown, is no
# batch: a row for each anchor, or for each proposal of all images together.
_ROWS_OF_ALL_IMAGES = frozenset([
    'anchors', 'box_classifier_features', 'class_predictions_with_background',
    'mask_predictions', 'refined_box_encodings'])


def why_not_batched(signature: Signature) -> str | None:
  """Why no server may join requests to a signature; None where it may.

    >>> from exporter.saved_model.signature import Signature, TensorSpec
    >>> why_not_batched(Signature(
    ...     'serving_default', ('serve',),
    ...     {'x': TensorSpec('x', 'uint8', (1, None, None, 3))}, {}))
    'the first dimension of the input x, [1, ?, ?, 3], is 1 and not an unknown batch'
  """
  if not signature.inputs:
    return 'the signature has no input'
  for what, specs in (('input', signature.inputs), ('output', signature.outputs)):
    for spec in specs.values():
      reason = _why_not(spec)
      if reason:
        return f'the first dimension of the {what} {spec.key}{reason}'
  return None


def _why_not(spec: TensorSpec) -> str | None:
  if spec.shape is None:
    return ' is not known to be there'
  if not spec.shape:
    return ', a scalar, is not there'
  if spec.shape[0] is not None:
    return f', {shape_text(spec.shape)}, is {spec.shape[0]} and not an unknown batch'
  if spec.key in _ROWS_OF_ALL_IMAGES:
    return ' counts rows of all images together'
  return None
