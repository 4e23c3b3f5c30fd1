"""The example client pastes masks where a plain loop over the pixels would."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from examples import draw_masks
from exporter.serving import rest_json
from exporter.errors import UserError

_ROOT = pathlib.Path(__file__).parents[2]


def _pasted(mask, box, height, width, threshold=0.5):
  image_mask = np.zeros([height, width], bool)
  draw_masks.paste_mask(image_mask, mask, np.asarray(box), threshold)
  return image_mask


def _paste_pixel_by_pixel(mask, box, height, width, threshold):
  """The same, and the values: a loop over the pixels, each on its own."""
  top, left, bottom, right = map(float, box)
  values = np.full([height, width], -1.0)
  for y in range(height):
    for x in range(width):
      v, u = (y + 0.5) / height, (x + 0.5) / width
      if top <= v < bottom and left <= u < right:
        values[y, x] = _value_at(
            mask, (v - top) / (bottom - top), (u - left) / (right - left))
  return values >= threshold, values


def _value_at(mask, v, u):
  """Bilinear value at a place of the mask, from 0 to 1 in either direction."""
  rows, columns = mask.shape
  y = min(max(v * rows - 0.5, 0), rows - 1)
  x = min(max(u * columns - 0.5, 0), columns - 1)
  total = 0.0
  for i in range(rows):
    for j in range(columns):
      total += mask[i, j] * max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j))
  return total


_COORDINATES = st.floats(-0.5, 1.5) | st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(
    mask=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
                    elements=st.floats(0, 1)),
    box=st.tuples(*[_COORDINATES] * 4), height=st.integers(1, 12),
    width=st.integers(1, 12), threshold=st.floats(0.01, 1))
def test_pastes_as_a_loop_over_the_pixels_does(mask, box, height, width, threshold):
  found = _pasted(mask, box, height, width, threshold)
  expected, values = _paste_pixel_by_pixel(mask, box, height, width, threshold)
  # Where a value meets the threshold, rounding decides.
  decided = np.abs(values - threshold) > 1e-6
  np.testing.assert_array_equal(found[decided], expected[decided])


def test_box_of_the_whole_image():
  mask = np.float32([[1, 0], [0, 1]])
  np.testing.assert_array_equal(
      _pasted(mask, [0, 0, 1, 1], 2, 2), [[True, False], [False, True]])


def test_box_at_the_edge_of_the_image():
  found = _pasted(np.ones([3, 3]), [0.5, 0.75, 1, 1], 4, 8)
  expected = np.zeros([4, 8], bool)
  expected[2:, 6:] = True
  np.testing.assert_array_equal(found, expected)


def test_box_that_leaves_the_image_is_cut_off_not_squeezed():
  mask = np.float32([[0, 0, 1, 1]])  # Its right half.
  found = _pasted(mask, [0, 0.5, 1, 1.5], 1, 8)
  assert not found.any()
  found = _pasted(mask, [0, -0.5, 1, 0.5], 1, 8)
  assert found.tolist() == [[True] * 4 + [False] * 4]


@pytest.mark.parametrize('box', [
    [0.5, 0.2, 0.5, 0.8], [0.2, 0.5, 0.8, 0.5], [0, 0, 0, 0], [0.8, 0.2, 0.2, 0.8],
    [1.2, 1.2, 1.5, 1.5], [-1, -1, -0.5, -0.5]])
def test_box_without_a_pixel_changes_nothing(box):
  assert not _pasted(np.ones([3, 3]), box, 10, 10).any()


def test_a_later_pixel_of_the_image_is_left_alone():
  image_mask = np.ones([4, 4], bool)
  draw_masks.paste_mask(image_mask, np.zeros([2, 2]), np.float32([0, 0, 0.5, 0.5]))
  assert image_mask.sum() == 12


# Responses.


def _outputs(masks):
  return {
      'detection_boxes': np.float32([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1],
                                      [0, 0, 1, 1]]]),
      'detection_classes': np.float32([[3, 1, 1]]),
      'detection_masks': masks,
      'detection_scores': np.float32([[0.9, 0.8, 0]]),
      'num_detections': np.float32([2])}


_PROBABILITIES = np.float32([[[[0.9, 0.1]], [[0.6, 0.6]], [[1, 1]]]])
_EXPECTED = np.zeros([2, 4, 4], bool)
_EXPECTED[0, :2, :1] = True
_EXPECTED[1, 2:, 2:] = True


_FORMS_OF_MASKS = {
    'float32': _PROBABILITIES, 'float16': np.float16(_PROBABILITIES),
    'bytes': np.uint8(np.round(_PROBABILITIES * 255)),
    '0 and 1': np.uint8(_PROBABILITIES >= 0.5)}


@pytest.mark.parametrize('masks', _FORMS_OF_MASKS)
def test_masks_of_every_form(masks):
  outputs = _outputs(_FORMS_OF_MASKS[masks])
  np.testing.assert_array_equal(draw_masks.full_image_masks(
      {key: value[0] for key, value in outputs.items()}, 4, 4), _EXPECTED)


@pytest.mark.parametrize('masks', ['float32', 'bytes', '0 and 1'])
@pytest.mark.parametrize('form', ['row', 'columnar'])
def test_rest_response(masks, form):
  response = json.loads(rest_json.render(_outputs(_FORMS_OF_MASKS[masks]), form))
  np.testing.assert_array_equal(draw_masks.full_image_masks(
      draw_masks.from_rest(response), 4, 4), _EXPECTED)


def test_no_detections():
  outputs = {key: value[:, :0] if key != 'num_detections' else value * 0
             for key, value in _outputs(np.uint8(_PROBABILITIES)).items()}
  for form in ('row', 'columnar'):
    detections = draw_masks.from_rest(json.loads(rest_json.render(outputs, form)))
    assert draw_masks.full_image_masks(detections, 4, 6).shape == (0, 4, 6)
    image = Image.new('RGB', (6, 4), 'navy')
    assert draw_masks.draw(image, detections).tobytes() == image.tobytes()


def test_error_of_the_server_is_told():
  with pytest.raises(UserError, match='no such model'):
    draw_masks.from_rest({'error': 'no such model'})


@pytest.mark.slow
def test_grpc_response():
  import tensorflow as tf
  from tensorflow_serving.apis import predict_pb2
  response = predict_pb2.PredictResponse()
  for key, value in _outputs(np.uint8(np.round(_PROBABILITIES * 255))).items():
    response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
  np.testing.assert_array_equal(draw_masks.full_image_masks(
      draw_masks.from_grpc(response), 4, 4), _EXPECTED)


def test_draws_masks_and_only_detections_above_the_score():
  detections = {key: value[0] for key, value in _outputs(_PROBABILITIES).items()}
  image = Image.new('RGB', (200, 200))
  drawn = np.array(draw_masks.draw(image, detections, min_score=0.85))
  assert drawn[:100, :100].any()
  assert drawn[60, 10].any() and not drawn[60, 80].any()  # The mask's left half.
  assert not drawn[110:, 110:].any()


def _run(*arguments):
  return subprocess.run(
      [sys.executable, '-m', 'examples.draw_masks', *map(str, arguments)],
      capture_output=True, text=True, cwd=_ROOT)


def test_command_line_draws_a_rest_response(tmp_path):
  (tmp_path / 'response.json').write_bytes(
      rest_json.render(_outputs(_PROBABILITIES), 'row'))
  Image.new('RGB', (64, 48)).save(tmp_path / 'photo.png')
  run = _run(f'--rest_response={tmp_path}/response.json',
             f'--image={tmp_path}/photo.png', f'--output={tmp_path}/drawn.png')
  assert run.returncode == 0, run.stderr
  with Image.open(tmp_path / 'drawn.png') as drawn:
    assert drawn.size == (64, 48) and np.array(drawn).any()


@pytest.mark.parametrize('content, image, message', [
    ('{', 'photo.png', 'cannot be read'),
    ('{"error": "no such model"}', 'photo.png', 'no such model'),
    ('{"predictions": [{"detection_boxes": []}]}', 'photo.png',
     'no detection_classes'),
    ('{}', 'missing.png', 'missing.png cannot be read'),
])
def test_command_line_tells_mistakes(tmp_path, content, image, message):
  (tmp_path / 'response.json').write_text(content)
  Image.new('RGB', (64, 48)).save(tmp_path / 'photo.png')
  run = _run(f'--rest_response={tmp_path}/response.json',
             f'--image={tmp_path / image}', f'--output={tmp_path}/drawn.png')
  assert run.returncode == 1
  assert run.stderr.startswith('draw_masks: ') and message in run.stderr
  assert not (tmp_path / 'drawn.png').exists()
