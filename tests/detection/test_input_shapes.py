"""`--input_shape`, as it is read without TensorFlow."""

import pytest

from exporter.detection import input_shapes
from exporter.errors import UserError


@pytest.mark.parametrize('shape, input_type, sizes', [
    ('4,640,640,3', 'image_tensor', (4, 640, 640, 3)),
    (' 4, -1 ,None,3', 'float_image_tensor', (4, None, None, 3)),
    ([1, None, -1, 3], 'image_and_boxes_tensor', (1, None, None, 3)),
    ('8', 'encoded_image_string_tensor', (8,)),
    ((None,), 'tf_example', (None,)),
])
def test_shapes(shape, input_type, sizes):
  assert input_shapes.parse(shape, input_type) == sizes


@pytest.mark.parametrize('shape, input_type, words', [
    ('640,640,3', 'image_tensor', ['3 dimensions', 'batch,height,width,channels']),
    ('1,640,640,3', 'tf_example', ['4 dimensions', 'the batch alone']),
    ('8', 'image_tensor', ['1 dimension;', '4,640,640,3']),
    ('1,640,640,4', 'image_tensor', ['4 channels', '3 channels']),
    ('1,640,640,-1', 'image_tensor', ['unknown channels']),
    ('0,640,640,3', 'image_tensor', ["'0' is no size", '1 or more']),
    ('1,-2,640,3', 'image_tensor', ["'-2' is no size"]),
    ('1,64O,640,3', 'image_tensor', ["'64O' is no size"]),
    ('1,6.5,640,3', 'image_tensor', ["'6.5' is no size"]),
    ('1,1_0,640,3', 'image_tensor', ["'1_0' is no size"]),
    ('1,2147483648,640,3', 'image_tensor', ["'2147483648' is no size"]),
    ('9' * 5000, 'tf_example', ['is no size']),
    ('', 'image_tensor', ["input_shape is ''"]),
    ([1, True, 2, 3], 'image_tensor', ["'True' is no size"]),
])
def test_what_is_no_shape(shape, input_type, words):
  with pytest.raises(UserError) as raised:
    input_shapes.parse(shape, input_type)
  for word in words:
    assert word in str(raised.value)
