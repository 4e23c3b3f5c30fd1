"""The pictures of the README show what they say."""

import numpy as np
from PIL import Image

from examples import pictures
from exporter.detection.output_sizes import OutputSize
from exporter.serving import masks as masks_lib
from exporter.serving import payload_chart


def test_each_outline_comes_back_from_its_mask():
  width, height = 512, 600
  found = pictures.detections(width, height)
  masks = masks_lib.full_image_masks(found, height, width)
  assert found['detection_masks'].dtype == np.uint8
  for mask, (_, _, outline) in zip(masks, pictures._FOUND):
    drawn = Image.new('1', (width, height))
    pictures.ImageDraw.Draw(drawn).polygon(outline, fill=1)
    drawn = np.asarray(drawn)
    # The cells are coarse: within a pixel or two along the edge.
    assert (mask & drawn).sum() / (mask | drawn).sum() > 0.93


def test_photo_is_painted_where_something_was_found():
  picture = np.asarray(pictures.draw_photo(), int)
  assert picture.shape == (600, 512, 3)
  inside, outside = picture[500, 100], picture[100, 450]
  plain = np.asarray(pictures.photo(), int)
  assert np.abs(inside - plain[500, 100]).sum() > 60
  np.testing.assert_array_equal(outside, plain[100, 450])


def test_chart_takes_the_sizes_of_a_traced_model(tmp_path):
  sizes = [OutputSize('detection_boxes', 'float32', (1, 100, 4), 1600),
           OutputSize('raw', 'float32', (1, 300, 7, 7, 1024), 60_211_200)]
  before = pictures.payload('stock', sizes)
  assert before.grpc_bytes > 60_212_800
  payload_chart.save_chart(
      str(tmp_path / 'chart.png'), before, pictures.payload('lean', sizes[:1]))
  assert Image.open(tmp_path / 'chart.png').width > 1000


def test_the_profile_selects_what_the_chart_shows():
  keys = ('detection_boxes', 'detection_classes', 'detection_masks',
          'detection_scores', 'num_detections')
  sizes = [OutputSize(key, 'float32', (1, 100), 400) for key in (*keys, 'anchors')]
  assert pictures.selected(sizes) == sizes[:-1]
