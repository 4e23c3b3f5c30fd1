"""Compacting a model's outputs equals the same done in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compact_reference import compact_in_numpy
from exporter.detection.compact_options import CompactOptionError, CompactOptions

pytestmark = pytest.mark.slow  # TensorFlow alone; nothing else runs a graph.

_KEYS = ('detection_anchor_indices', 'detection_boxes', 'detection_classes',
         'detection_masks', 'detection_scores', 'num_detections',
         'raw_detection_scores')

# Few values, so that scores tie, meet thresholds exactly and come in any order.
_LEVELS = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0])


@st.composite
def _responses(draw):
  batch, rows = draw(st.integers(0, 3)), draw(st.integers(0, 6))
  levels = _LEVELS.map(np.float32)

  def floats(*shape):
    return draw(hnp.arrays(np.float32, (batch, *shape), elements=levels))

  def whole(most, *shape):
    return draw(hnp.arrays(np.int32, (batch, *shape),
                           elements=st.integers(0, most)))

  return {
      'detection_anchor_indices': whole(100_000, rows).astype(np.float32),
      'detection_boxes': floats(rows, 4),
      'detection_classes': whole(89, rows).astype(np.float32) + 1,
      'detection_masks': draw(hnp.arrays(
          np.float32, (batch, rows, 2, 3),
          elements=st.floats(0, 1, width=32) | levels)),
      'detection_scores': floats(rows),
      'num_detections': whole(rows).astype(np.float32),
      'raw_detection_scores': floats(4, 3)}


_DTYPES = st.fixed_dictionaries({}, optional={
    'detection_anchor_indices': st.just('int32'),
    'detection_boxes': st.just('float16'),
    'detection_classes': st.sampled_from(['float16', 'int32', 'uint8']),
    'detection_masks': st.sampled_from(['float16', 'float32', 'uint8']),
    'num_detections': st.sampled_from(['int32', 'uint8']),
    'raw_detection_scores': st.just('float16')})


def _in_tensorflow(response, kept, options, num_classes=90):
  """Runs `compact` in a graph."""
  import tensorflow as tf
  from exporter.detection import compact_outputs

  # The batch is unknown in exports, the number of detections is not.
  specs = {key: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
           for key, value in response.items()}
  graph = tf.function(
      lambda detections: compact_outputs.compact(
          detections, kept, options, num_classes),
      input_signature=[specs])
  return {key: tensor.numpy() for key, tensor in graph(
      {key: tf.constant(value) for key, value in response.items()}).items()}


@settings(max_examples=150, deadline=None)
@given(response=_responses(), min_score=st.none() | _LEVELS,
       max_detections=st.none() | st.integers(1, 7),
       mask_threshold=st.none() | _LEVELS, dtypes=_DTYPES,
       dropped=st.sets(st.sampled_from(_KEYS)))
def test_equals_numpy(response, min_score, max_detections, mask_threshold, dtypes,
                      dropped):
  kept = [key for key in _KEYS if key not in dropped]
  dtypes = {key: dtype for key, dtype in dtypes.items() if key in kept}
  if 'detection_masks' not in kept:
    mask_threshold = None
  found = _in_tensorflow(response, kept, CompactOptions(
      min_score, max_detections, mask_threshold, tuple(dtypes.items())))
  expected = compact_in_numpy(
      response, kept, min_score, max_detections, mask_threshold, dtypes)
  assert list(found) == kept
  for key in kept:
    assert found[key].dtype == expected[key].dtype
    np.testing.assert_array_equal(found[key], expected[key])


def _response(**changes):
  return {
      'detection_boxes': np.float32(np.arange(24).reshape([2, 3, 4])),
      'detection_masks': np.full([2, 3, 2, 2], 0.5, np.float32),
      'detection_scores': np.float32([[0.2, 0.9, 0.4], [0.1, 0.1, 0.8]]),
      'num_detections': np.float32([3, 2]), **changes}


def test_cuts_each_image_and_keeps_the_order():
  found = _in_tensorflow(
      _response(), ['detection_boxes', 'detection_scores', 'num_detections'],
      CompactOptions(min_score=0.3))
  assert found['num_detections'].tolist() == [2, 0]
  np.testing.assert_array_equal(
      found['detection_scores'], np.float32([[0.9, 0.4], [0, 0]]))
  np.testing.assert_array_equal(found['detection_boxes'], np.float32(
      [[[4, 5, 6, 7], [8, 9, 10, 11]], np.zeros([2, 4])]))


def test_nothing_left_is_no_rows():
  found = _in_tensorflow(_response(), ['detection_masks', 'num_detections'],
                         CompactOptions(min_score=1.0))
  assert found['detection_masks'].shape == (2, 0, 2, 2)
  assert found['num_detections'].tolist() == [0, 0]


def test_masks_that_are_whole_numbers_already_are_no_probabilities():
  parts = np.arange(24, dtype=np.uint8).reshape([2, 3, 2, 2])
  found = _in_tensorflow(
      _response(detection_masks=parts), ['detection_masks'],
      CompactOptions(dtypes=(('detection_masks', 'uint8'),)))
  np.testing.assert_array_equal(found['detection_masks'], parts)


def test_masks_beyond_0_and_1_do_not_wrap():
  masks = np.float32([-0.5, 0, 1, 1.5]).reshape([1, 1, 2, 2])
  found = _in_tensorflow(
      {'detection_masks': masks}, ['detection_masks'],
      CompactOptions(dtypes=(('detection_masks', 'uint8'),)))
  assert found['detection_masks'].ravel().tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize('cut', [True, False])
def test_shapes_are_known_but_for_what_is_cut(cut):
  import tensorflow as tf
  from exporter.detection import compact_outputs

  response = {key: tf.zeros(value.shape) for key, value in _response().items()}
  options = CompactOptions(max_detections=2 if cut else None, mask_threshold=0.5)
  with tf.Graph().as_default():
    tensors = {key: tf.compat.v1.placeholder(tf.float32, value.shape)
               for key, value in response.items()}
    found = compact_outputs.compact(tensors, list(tensors), options, 90)
  rows = None if cut else 3
  assert {key: (t.dtype.name, t.shape.as_list()) for key, t in found.items()} == {
      'detection_boxes': ('float32', [2, rows, 4]),
      'detection_masks': ('uint8', [2, rows, 2, 2]),
      'detection_scores': ('float32', [2, rows]),
      'num_detections': ('float32', [2])}


@pytest.mark.parametrize('response, options, message', [
    ({'detection_boxes': np.zeros([1, 3, 4], np.float32)},
     CompactOptions(min_score=0.5), 'need detection_scores and num_detections'),
    (_response(detection_embedding=np.zeros([2, 64], np.float32)),
     CompactOptions(min_score=0.5), 'detection_embedding has the shape'),
    (_response(), CompactOptions(dtypes=(('detection_mask', 'uint8'),)),
     "did you mean 'detection_masks'"),
    ({'num_detections': np.zeros([1], np.float32)},
     CompactOptions(dtypes=(('num_detections', 'uint8'),)), 'not known'),
])
def test_options_that_do_not_fit_the_model_are_refused(response, options, message):
  import tensorflow as tf
  from exporter.detection import compact_outputs

  with pytest.raises(CompactOptionError) as error:
    compact_outputs.compact({key: tf.constant(value)
                             for key, value in response.items()},
                            list(response), options, 90)
  assert message in str(error.value)


@pytest.mark.parametrize('dtype, warns', [('float16', True), ('uint8', False)])
def test_only_float16_warns_that_rest_cannot_carry_it(monkeypatch, dtype, warns):
  warnings = []
  monkeypatch.setattr('absl.logging.warning',
                      lambda text, *args: warnings.append(text % args))
  _in_tensorflow(_response(), ['detection_boxes', 'detection_masks'],
                 CompactOptions(dtypes=(('*_masks', dtype),)))
  assert [w.partition(':')[0] for w in warnings] == [
      'float16 (detection_masks) goes over gRPC only'] * warns
