"""Drawn detections: where they are, and whether they can be read on any photo."""

import itertools

import numpy as np
import pytest
from PIL import Image

from exporter.serving import drawing
from image_files import write_image_files

_DETECTIONS = {
    'detection_boxes': np.float32([[0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0, 1, 1]]),
    'detection_classes': np.float32([3, 1, 1]),
    'detection_masks': np.float32([[[0.9, 0.1]], [[0.6, 0.6]], [[1, 1]]]),
    'detection_scores': np.float32([0.9, 0.8, 0]), 'num_detections': np.float32(2)}


def _drawn(detections, size=(200, 200), ground='black', **style):
  return np.array(drawing.draw(
      Image.new('RGB', size, ground), detections, drawing.Style(**style)))


def test_masks_and_only_detections_above_the_score():
  drawn = _drawn(_DETECTIONS, min_score=0.85)
  color = np.round(np.array(drawing.class_color(3)) / 2)
  np.testing.assert_allclose(drawn[90, 40], color, atol=1)  # The mask's left half.
  assert not drawn[90, 80].any()
  assert not drawn[110:, 110:].any()
  assert _drawn(_DETECTIONS)[150, 150].any()


@pytest.mark.parametrize('missing', [
    'detection_masks', 'detection_classes', 'detection_scores', 'num_detections'])
def test_draws_what_there_is(missing):
  rest = {key: value for key, value in _DETECTIONS.items() if key != missing}
  assert _drawn(rest, min_score=0.5)[20, 20:100].any()


def test_keypoints_with_a_score_inside_the_photo():
  drawn = _drawn({
      'detection_keypoints': np.float32([[[0.5, 0.5], [0.8, 0.8], [2, 2], [np.nan, 0]]]),
      'detection_keypoint_scores': np.float32([[0.9, 0.2, 0.9, 0.9]]),
      'detection_scores': np.float32([0.9]), 'detection_classes': np.float32([1])},
      min_score=0.5)
  assert tuple(drawn[99, 99]) == drawing.class_color(1)
  assert not drawn[140:, 140:].any()


@pytest.mark.parametrize('box', [
    [0.5, 0.5, 0.5, 0.5], [0.8, 0.2, 0.2, 0.8], [1.2, 1.2, 1.5, 1.5],
    [-1, -1, -0.5, -0.5], [np.nan, 0, 1, 1], [np.inf, 0, 1, 1]])
def test_box_that_is_not_seen_harms_nothing(box):
  found = {**_DETECTIONS, 'detection_boxes': np.float32([box] * 3)}
  assert _drawn(found).shape == (200, 200, 3)


def test_box_beyond_the_edges_is_cut():
  found = {'detection_boxes': np.float32([[-1, -1, 0.5, 2]])}
  drawn = _drawn(found)
  assert drawn[99, 100].any() and not drawn[110:].any()


def test_classes_have_colors_of_their_own():
  colors = [drawing.class_color(i) for i in range(1, 91)]
  assert len(set(colors)) == 90
  for one, other in itertools.combinations(colors[:12], 2):
    assert sum(abs(a - b) for a, b in zip(one, other)) > 60, (one, other)


def _luminance(color):
  linear = [p / 3294.6 if p <= 10 else ((p / 255 + 0.055) / 1.055) ** 2.4 for p in color]
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_labels_stand_out_from_their_ground():
  """At least WCAG's contrast of 4.5 for text, whatever the class."""
  for number in range(200):
    ground = drawing.class_color(number)
    lighter, darker = sorted(
        map(_luminance, (ground, drawing.text_color(ground))), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5, number


@pytest.mark.parametrize('box', [
    [0.4, 0.4, 0.9, 0.9], [0, 0, 1, 1], [0, 0.95, 0.1, 1], [0.97, 0, 1, 0.1]])
def test_label_lies_whole_in_the_photo_and_is_the_same_on_any(box):
  found = {'detection_boxes': np.float32([box]), 'detection_classes': np.float32([5]),
           'detection_scores': np.float32([0.87])}
  first, *others = (_drawn(found, (300, 240), ground, class_names={5: 'Ärztin'})
                    for ground in ('white', 'black', 'red'))
  is_same = np.all([np.all(first == other, axis=2) for other in others], axis=0)
  is_ground = np.all(first == drawing.class_color(5), axis=2)
  is_ink = np.abs(first.astype(int) - drawing.class_color(5)).sum(axis=2) > 200
  # Rows of the label: the ground's color, with ink in between.
  rows = (is_ground.sum(axis=1) > 20) & ((is_same & is_ink).sum(axis=1) > 3)
  assert rows.sum() >= 6


def test_labels_of_one_place_do_not_hide_each_other():
  count = 3
  found = {'detection_boxes': np.float32([[0.2, 0.2, 0.9, 0.9]] * count),
           'detection_classes': np.float32([1, 2, 3]),
           'detection_scores': np.float32([0.9, 0.8, 0.7])}
  drawn = _drawn(found, (300, 300))
  for number in (1, 2, 3):
    assert np.all(drawn == drawing.class_color(number), axis=2).sum() > 250


def test_photos_are_read_as_models_see_them(tmp_path):
  for path in write_image_files(tmp_path):
    photo = drawing.read_photo(path)
    assert (photo.mode, photo.size) == ('RGB', (56, 40)), path
  upper = np.array(Image.open(tmp_path / 'bits_16.png')).astype(int) // 256
  np.testing.assert_array_equal(
      np.array(drawing.read_photo(tmp_path / 'bits_16.png'))[..., 0], upper)


def test_a_name_of_several_lines_is_drawn_as_one():
  found = {'detection_boxes': np.float32([[0.1, 0.1, 0.9, 0.5]]),
           'detection_classes': np.float32([1])}
  one, several = (np.array(drawing.draw(
      Image.new('RGB', (320, 240)), found, drawing.Style(class_names={1: name})))
      for name in ('a b', ' a\t\nb\n'))
  assert (one == several).all()
