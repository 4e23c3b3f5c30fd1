"""Masks are pasted where a plain loop over the pixels would put them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exporter.serving import masks as masks_lib


def _pasted(mask, box, height, width, threshold=0.5):
  image_mask = np.zeros([height, width], bool)
  masks_lib.paste_mask(image_mask, mask, np.asarray(box), threshold)
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
  masks_lib.paste_mask(image_mask, np.zeros([2, 2]), np.float32([0, 0, 0.5, 0.5]))
  assert image_mask.sum() == 12


_PROBABILITIES = np.float32([[[0.9, 0.1]], [[0.6, 0.6]], [[1, 1]]])


@pytest.mark.parametrize('masks', [
    _PROBABILITIES, np.float16(_PROBABILITIES), np.uint8(np.round(_PROBABILITIES * 255)),
    np.uint8(_PROBABILITIES >= 0.5)], ids=['float32', 'float16', 'bytes', '0 and 1'])
def test_masks_of_every_form(masks):
  expected = np.zeros([2, 4, 4], bool)
  expected[0, :2, :1] = True
  expected[1, 2:, 2:] = True
  found = masks_lib.full_image_masks({
      'detection_boxes': np.float32([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0, 1, 1]]),
      'detection_masks': masks, 'num_detections': np.float32(2)}, 4, 4)
  np.testing.assert_array_equal(found, expected)
