"""The generated shapes, and that upstream reads them as they were drawn."""

import numpy as np
import pytest

from examples.train_shapes import shapes


def test_the_same_seed_draws_the_same():
  one, other = shapes.draw(5), shapes.draw(5)
  np.testing.assert_array_equal(one.image, other.image)
  np.testing.assert_array_equal(one.masks, other.masks)
  assert not np.array_equal(one.image, shapes.draw(6).image)


@pytest.mark.parametrize('seed', range(20))
def test_boxes_hold_their_masks_and_no_two_shapes_share_a_pixel(seed):
  drawn = shapes.draw(seed)
  assert len(drawn.classes) == len(drawn.masks) == len(drawn.boxes) >= 1
  assert drawn.masks.sum(0).max() == 1
  pixels = drawn.boxes * len(drawn.image)
  for mask, (ymin, xmin, ymax, xmax) in zip(drawn.masks, pixels):
    inside = np.zeros_like(mask)
    inside[round(ymin):round(ymax), round(xmin):round(xmax)] = True
    assert mask.any() and not (mask & ~inside).any()


def test_every_class_is_drawn():
  assert {kind for seed in range(20) for kind in shapes.draw(seed).classes} == set(
      range(len(shapes.CLASSES)))


@pytest.mark.slow
def test_upstreams_decoder_reads_what_was_drawn(exporter_server, tmp_path):
  drawn = shapes.draw(7)
  exporter_server.run('train_shapes_jobs:decode', [7], tmp_path).ok()
  with np.load(tmp_path / 'decoded.npz') as decoded:
    np.testing.assert_array_equal(decoded['image'], drawn.image)
    np.testing.assert_array_equal(decoded['groundtruth_boxes'], drawn.boxes)
    np.testing.assert_array_equal(decoded['groundtruth_instance_masks'], drawn.masks)
    np.testing.assert_array_equal(
        decoded['groundtruth_classes'], np.array(drawn.classes) + 1)


@pytest.mark.slow
def test_the_shipped_model_finds_shapes_that_it_has_not_seen(exporter_server, tmp_path):
  found = exporter_server.run('train_shapes_jobs:evaluate_shipped', str(tmp_path), 40).ok()
  assert found.value >= 0.6
