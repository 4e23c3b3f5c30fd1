"""What is said where a model cannot take a shape, and samples of what it takes."""

import pytest

from exporter.errors import UserError

tf = pytest.importorskip('tensorflow')

_OF_KERAS = """Exception encountered when calling layer 'mask_head'.

Dimensions must be equal, but are 2 and 1.

Call arguments received by layer:
  • num_proposals=tf.Tensor(shape=(2,), dtype=int32)"""
_OF_AUTOGRAPH = """in user code:

    File "/models/centernet.py", line 7, in predict  *
        tf.zeros(dims)

    ValueError: Cannot convert a partially known TensorShape."""


@pytest.mark.parametrize('text, shape, side_inputs, ends', [
    (_OF_KERAS, (2, 96, 128, 3), [((1, 10, 32), tf.float32, 'context')],
     '2,96,128,3: ValueError: Dimensions must be equal, but are 2 and 1; the side input'
     ' context has the shape [1, 10, 32], of another batch.'),
    (_OF_KERAS, (2, 96, 128, 3), [((2,), tf.int32, 'size')],
     '2,96,128,3: ValueError: Dimensions must be equal, but are 2 and 1.'),
    (_OF_AUTOGRAPH, (None,), [],
     '-1: ValueError: Cannot convert a partially known TensorShape; some models have to'
     ' know the number of images, as with input_shape=1.'),
    ('', (2,), [], 'shape 2: ValueError.'),
])
def test_a_shape_that_does_not_fit_is_one_sentence(text, shape, side_inputs, ends):
  from exporter.detection import tracing
  with pytest.raises(UserError) as raised, tracing.shape_must_fit(shape, side_inputs):
    raise ValueError(text)
  assert str(raised.value).endswith(ends)


def test_boxes_of_an_unknown_batch_are_for_as_many_images_as_there_are():
  from exporter.detection.sample_inputs import sample_inputs
  function = tf.function(lambda image, boxes: boxes, input_signature=[
      tf.TensorSpec([None, 8, 8, 3], tf.uint8, 'input_tensor'),
      tf.TensorSpec([None, None, 4], tf.float32, 'boxes')]).get_concrete_function()
  image, boxes = sample_inputs('image_and_boxes_tensor', function)
  assert (image.shape, boxes.shape) == ((1, 8, 8, 3), (1, 2, 4))
