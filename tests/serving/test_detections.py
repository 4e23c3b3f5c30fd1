"""The detections of one image, of every form that a response has."""

import json

import numpy as np
import pytest

from exporter.errors import UserError
from exporter.serving import detections
from exporter.serving import rest_json

_OUTPUTS = {
    'detection_boxes': np.float32([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]],
                                   [[0, 0, 1, 1], [0, 0, 0, 0]]]),
    'detection_classes': np.float32([[3, 1], [7, 1]]),
    'detection_masks': np.uint8([[[[0, 255]], [[9, 8]]], [[[1, 2]], [[0, 0]]]]),
    'detection_scores': np.float32([[0.9, 0.8], [0.5, 0]]),
    'num_detections': np.float32([2, 1])}


def _assert_is_image(found, index):
  assert sorted(found) == sorted(_OUTPUTS)
  for key, value in found.items():
    np.testing.assert_allclose(value, _OUTPUTS[key][index], rtol=1e-6)
  detections.check_drawable(found)


@pytest.mark.parametrize('index', [0, 1])
@pytest.mark.parametrize('form', ['row', 'columnar'])
def test_rest(tmp_path, form, index):
  (tmp_path / 'response').write_bytes(rest_json.render(_OUTPUTS, form))
  _assert_is_image(detections.read_response(tmp_path / 'response', index), index)


def test_rest_behind_a_byte_order_mark(tmp_path):
  (tmp_path / 'response').write_bytes(
      b'\xef\xbb\xbf\r\n' + rest_json.render(_OUTPUTS, 'row'))
  _assert_is_image(detections.read_response(tmp_path / 'response'), 0)


@pytest.mark.slow
@pytest.mark.both_stacks
@pytest.mark.parametrize('index', [0, 1])
def test_grpc(tf, tmp_path, index):
  from tensorflow_serving.apis import predict_pb2
  response = predict_pb2.PredictResponse()
  response.model_spec.name = 'mask_rcnn'
  for key, value in _OUTPUTS.items():
    response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
  _assert_is_image(detections.from_grpc(response, index), index)
  (tmp_path / 'response').write_bytes(response.SerializeToString())
  _assert_is_image(detections.read_response(tmp_path / 'response', index), index)


def test_no_detections():
  outputs = {key: value[:, :0] if value.ndim > 1 else value * 0
             for key, value in _OUTPUTS.items()}
  for form in ('row', 'columnar'):
    found = detections.from_rest(json.loads(rest_json.render(outputs, form)))
    detections.check_drawable(found)
    assert detections.count_of(found) == 0


@pytest.mark.parametrize('content, says', [
    (b'{', 'not valid JSON'), (b'', 'neither JSON nor a serialized'),
    (b'\xff\xd8\xff\xe0', 'neither JSON nor a serialized'),
    (b'{"error": "no such model"}', 'no such model'), (b'[1]', 'neither predictions'),
    (b'{"predictions": [1, 2]}', 'not one of a detection model'),
    (b'{"predictions": []}', 'has 0 images and no image 0'),
    (b'{"outputs": {"a": [[1], [1, 2]]}}', 'not one of a detection model'),
    (b'[' * 100_000, 'not valid JSON: maximum recursion'),
])
def test_what_is_no_response(tmp_path, content, says):
  (tmp_path / 'response').write_bytes(content)
  with pytest.raises(UserError, match=says):
    detections.read_response(tmp_path / 'response')


@pytest.mark.parametrize('changed, says', [
    ({'detection_boxes': None},
     'has neither detection_boxes nor detection_keypoints, only'),
    ({'detection_boxes': None, 'detection_keypoints': np.zeros([2, 5, 2])},
     'has detection_masks and no detection_boxes'),
    ({'detection_boxes': np.zeros([2, 3])}, r'\[2, 3\]; .* the shape \[N, 4\]'),
    ({'detection_scores': np.zeros(1)}, r'detection_scores is float64 \[1\]; for 2'),
    ({'detection_classes': np.array(['a', 'b'])}, 'must be numbers'),
    ({'num_detections': np.float32([1, 2])}, 'must be one number'),
    ({'num_detections': np.float32(3)}, 'for 3 detections'),
    ({'num_detections': np.array('two')}, "num_detections is two; it must be one number"),
    ({'num_detections': np.array({'a': 1})}, 'must be one number'),
    ({'detection_classes': np.float32([1, np.nan])}, 'detection_classes holds nan, which'),
    ({'detection_classes': np.float32([np.inf, 1])}, 'detection_classes holds inf, which'),
    ({'detection_keypoints': np.zeros([2, 3, 2]), 'detection_keypoint_scores': np.ones([2, 1])},
     'detection_keypoints has 3 points for each detection and detection_keypoint_scores 1'),
])
def test_what_cannot_be_drawn(changed, says):
  found = {**detections.from_outputs(_OUTPUTS), **changed}
  with pytest.raises(UserError, match=says):
    detections.check_drawable(
        {key: value for key, value in found.items() if value is not None})
