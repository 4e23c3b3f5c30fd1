"""Compact options: what is accepted, what is refused, who wins."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import output_keys
from exporter.detection import output_profile
from exporter.serving import payload_sizes
from exporter.detection.compact_options import (
    DTYPES, CompactOptionError, CompactOptions, parse_dtypes)
from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.saved_model.signature import Signature, TensorSpec

_ROOT = pathlib.Path(__file__).parents[2]
_COMPACT = _ROOT / 'configs' / 'outputs' / 'compact_mask_rcnn.yaml'
_KEYS = ['detection_boxes', 'detection_classes', 'detection_masks',
         'detection_scores', 'num_detections']


@pytest.fixture
def profile(tmp_path):
  def write(text):
    path = tmp_path / 'profile.yaml'
    path.write_text(text)
    return str(path)
  return write


def dtypes_of(text, keys=_KEYS, num_classes=90, most=100, **options):
  return CompactOptions(dtypes=parse_dtypes(text), **options).dtypes_of(
      keys, num_classes, most)


# Values.


@pytest.mark.parametrize('options', [
    {'min_score': 0}, {'min_score': 1.0}, {'mask_threshold': 0.5},
    {'max_detections': 1}])
def test_values_in_range_are_taken(options):
  assert CompactOptions(**options).or_none() == CompactOptions(**options)


@pytest.mark.parametrize('options, message', [
    ({'min_score': 1.5}, 'min_score is 1.5; it must be a number from 0 to 1.'),
    ({'min_score': -0.1}, 'min_score is -0.1'),
    ({'min_score': float('nan')}, 'min_score is nan'),
    ({'min_score': '0.3'}, "min_score is '0.3'"),
    ({'min_score': True}, 'min_score is True'),
    ({'mask_threshold': 128}, 'mask_threshold is 128'),
    ({'max_detections': 0}, 'max_detections is 0; it must be a whole number'),
    ({'max_detections': 2.5}, 'max_detections is 2.5'),
    ({'max_detections': True}, 'max_detections is True'),
    ({'dtypes': (('a', 'uint7'),)}, "'uint7'; did you mean 'uint8'? Accepted are"
     ' float16, float32, int32, uint8.'),
    ({'dtypes': (('a', None),)}, 'is None'),
])
def test_values_out_of_range_are_refused(options, message):
  with pytest.raises(CompactOptionError) as error:
    CompactOptions(**options)
  assert message in str(error.value)


def test_no_option_is_none():
  assert CompactOptions().or_none() is None


def test_dtypes_are_pairs_in_their_order():
  assert parse_dtypes(' a = uint8, b*=float16,a=int32,') == (
      ('a', 'uint8'), ('b*', 'float16'), ('a', 'int32'))


@pytest.mark.parametrize('text', ['', ' , ', 'a', 'a=', '=uint8', 'a=uint8,b'])
def test_malformed_dtypes_are_refused(text):
  with pytest.raises(CompactOptionError, match='OUTPUT_KEY=DTYPE'):
    parse_dtypes(text)


def test_given_boxes_are_not_cut():
  for options in (CompactOptions(min_score=0.5), CompactOptions(max_detections=1)):
    options.check_input_type('image_tensor')
    with pytest.raises(CompactOptionError, match='image_and_boxes_tensor'):
      options.check_input_type('image_and_boxes_tensor')
  CompactOptions(mask_threshold=0.5).check_input_type('image_and_boxes_tensor')


# Dtypes of outputs.


def test_the_last_pattern_that_matches_counts():
  assert dtypes_of('detection_*=float16,*_masks=uint8') == {
      'detection_boxes': 'float16', 'detection_classes': 'float16',
      'detection_masks': 'uint8', 'detection_scores': 'float16',
      'num_detections': 'float32'}
  assert dtypes_of('*_masks=uint8,detection_*=float16')['detection_masks'] == 'float16'


def test_thresholded_masks_are_bytes_unless_told_otherwise():
  options = CompactOptions(mask_threshold=0.5)
  assert options.dtypes_of(_KEYS, 90, 100)['detection_masks'] == 'uint8'
  assert dtypes_of('detection_masks=float16', mask_threshold=0.5)[
      'detection_masks'] == 'float16'


@pytest.mark.parametrize('text, limits, accepted', [
    ('detection_classes=uint8', {'num_classes': 255}, True),
    ('detection_classes=uint8', {'num_classes': 256}, False),
    ('detection_classes=int32', {'num_classes': 100_000}, True),
    ('detection_classes=float16', {'num_classes': 2048}, True),
    ('detection_classes=float16', {'num_classes': 2049}, False),
    ('num_detections=uint8', {'most': 255}, True),
    ('num_detections=uint8', {'most': 256}, False),
    ('num_detections=uint8', {'most': None}, False),
    ('num_detections=float16', {'most': 2049}, False),
    ('num_detections=int32', {'most': None}, True),
])
def test_whole_numbers_must_fit(text, limits, accepted):
  key, dtype = text.split('=')
  if accepted:
    assert dtypes_of(text, **limits)[key] == dtype
  else:
    with pytest.raises(CompactOptionError, match=f'{key} cannot be {dtype}'):
      dtypes_of(text, **limits)


@pytest.mark.parametrize('key, dtype, reason', [
    ('detection_scores', 'int32', 'fractions would be lost'),
    ('detection_boxes', 'uint8', 'fractions would be lost'),
    ('detection_masks', 'int32', 'fractions would be lost'),
    ('detection_anchor_indices', 'uint8', 'only up to 255'),
    ('detection_anchor_indices', 'float16', 'only up to 2048'),
    ('detection_keypoints', 'float16', 'not known to stay in the range'),
    ('rpn_objectness_predictions_with_background', 'float16', 'not known'),
    ('box_classifier_features', 'float16', 'not known'),
    ('anchors', 'float16', 'not known'),
    ('somebodys_own_output', 'uint8', 'fractions would be lost'),
])
def test_what_a_dtype_cannot_hold_is_refused(key, dtype, reason):
  with pytest.raises(CompactOptionError) as error:
    dtypes_of(f'{key}={dtype}', keys=[key])
  assert str(error.value).startswith(f'{key} cannot be {dtype}: ')
  assert reason in str(error.value)


def test_a_glob_can_leave_out_what_it_must_not_follow():
  keys = [*_KEYS, 'detection_anchor_indices']
  with pytest.raises(CompactOptionError, match='detection_anchor_indices=float32'):
    dtypes_of('detection_*=float16', keys)
  found = dtypes_of('detection_*=float16,detection_anchor_indices=float32', keys)
  assert found['detection_anchor_indices'] == 'float32'


@given(st.sampled_from(DTYPES), st.integers(1, 5000), st.integers(0, 5000),
       st.sampled_from(['detection_classes', 'num_detections']))
def test_an_accepted_dtype_holds_every_value(dtype, num_classes, most, key):
  try:
    dtypes_of(f'{key}={dtype}', num_classes=num_classes, most=most)
  except CompactOptionError:
    return
  largest = num_classes if key == 'detection_classes' else most
  values = np.arange(largest + 1, dtype=np.float32)
  np.testing.assert_array_equal(values.astype(dtype).astype(np.float32), values)


def test_a_pattern_must_meet_an_output_that_stays():
  with pytest.raises(CompactOptionError) as error:
    dtypes_of('detection_mask=uint8')
  assert "did you mean 'detection_masks'?" in str(error.value)
  with pytest.raises(CompactOptionError, match='raw_'):
    dtypes_of('raw_*=float16')
  with pytest.raises(CompactOptionError, match='mask_threshold needs'):
    CompactOptions(mask_threshold=0.5).dtypes_of(['detection_boxes'], 1, 1)


# Profiles.


def test_profile_holds_both(profile):
  found = output_profile.load(profile(
      'exclude_output_keys: "raw_*"\nmin_score: 0.25\nmax_detections: 20\n'
      'mask_threshold: 0.5\ndtypes:\n  detection_*: float16\n'
      '  detection_masks: uint8\n'))
  assert found.selection == OutputSelection(None, ('raw_*',))
  assert found.compact == CompactOptions(
      0.25, 20, 0.5, (('detection_*', 'float16'), ('detection_masks', 'uint8')))


def test_profile_without_compact_options_has_none(profile):
  assert output_profile.load(profile('output_keys: [a]')).compact is None


def test_flags_win_over_the_profile(profile):
  found = output_profile.with_flags(
      output_profile.load(profile(
          'output_keys: [a, b]\nmin_score: 0.25\nmax_detections: 20\n'
          'dtypes: {a: uint8}')),
      'c', None, CompactOptions(min_score=0.0, dtypes=(('a', 'int32'),)))
  assert found.selection == OutputSelection(('c',))
  assert found.compact == CompactOptions(
      0.0, 20, None, (('a', 'uint8'), ('a', 'int32')))


def test_nothing_given_means_nothing():
  assert output_profile.with_flags(
      output_profile.OutputProfile(), None, None,
      CompactOptions()) == output_profile.OutputProfile(None, None)


@pytest.mark.parametrize('text, message', [
    ('min_score: 2', 'min_score is 2'),
    ('min_score: high', "min_score is 'high'"),
    ('max_detections: [1]', 'max_detections is [1]'),
    ('dtypes: [a, b]', "dtypes in the output profile"),
    ('dtypes: {1: uint8}', "dtypes in the output profile"),
    ('dtypes: {a: flot16}', "'flot16'; did you mean 'float16'?"),
    ('min_scores: 0.1', "did you mean 'min_score'?"),
])
def test_malformed_profiles_are_refused(profile, text, message):
  path = profile(text)
  with pytest.raises(UserError) as error:
    output_profile.load(path)
  assert message in str(error.value)
  assert path in str(error.value)


@pytest.mark.parametrize('field', [
    'min_score: 0.0', 'max_detections: 1', 'mask_threshold: 0.5', 'dtypes: {}'])
def test_tools_that_only_select_refuse_them(profile, field):
  with pytest.raises(output_keys.OutputKeyError) as error:
    output_keys.selection_from('a', None, profile(field))
  assert 'needs exporter.exporter_main_v2' in str(error.value)


# The compact profile.


def _response(detections, size):
  rng = np.random.default_rng(0)
  shape = (1, detections)
  return {
      'detection_boxes': rng.random((*shape, 4), np.float32),
      'detection_classes': np.ones(shape, np.float32),
      # Above 99 every number has three digits: no response is longer.
      'detection_masks': rng.integers(
          100, 256, (*shape, size, size), dtype=np.uint8),
      'detection_scores': rng.random(shape, np.float32),
      'num_detections': np.full([1], detections, np.float32)}


def test_ten_detections_of_the_1024_pixel_model_are_small():
  found = output_profile.load(_COMPACT)
  outputs = _response(10, 33)
  assert found.selection.select(outputs) == list(outputs)
  dtypes = found.compact.dtypes_of(list(outputs), 90, 100)
  assert dtypes == {key: str(value.dtype) for key, value in outputs.items()}
  signature = Signature(
      'serving_default', ('serve',),
      {'input_tensor': TensorSpec('input_tensor', 'uint8', (1, None, None, 3))},
      {key: TensorSpec(key, dtypes[key], value.shape)
       for key, value in outputs.items()})
  payload = payload_sizes.measured_payload('compact', signature, outputs, 'none')
  assert payload.grpc_bytes <= 30_000
  assert payload.grpc_field_bytes <= 30_000
  assert payload.json_refusal is None and payload.rest_form == 'row'
  assert payload.row_bytes <= 100_000


# The command line.


@pytest.mark.parametrize('flag, message', [
    ('--min_score=1.5', 'min_score is 1.5'),
    ('--max_detections=0', 'max_detections is 0'),
    ('--output_dtypes=detection_masks=byte', "is 'byte'"),
    ('--min_score=0.5 --input_type=image_and_boxes_tensor', 'do not go with'),
])
def test_command_line_tells_mistakes_before_it_imports_tensorflow(
    flag, message, tmp_path):
  run = subprocess.run(
      [sys.executable, '-X', 'importtime', '-m', 'exporter.exporter_main_v2',
       '--pipeline_config_path=missing.config', '--trained_checkpoint_dir=missing',
       f'--output_directory={tmp_path / "out"}', *flag.split()],
      capture_output=True, text=True, cwd=_ROOT)
  assert run.returncode == 1
  assert 'exporter_main_v2: ' in run.stderr and message in run.stderr
  assert 'Traceback' not in run.stderr
  assert re.search(r'\| +absl.flags\b', run.stderr)
  assert not re.search(r'\| +tensorflow\b', run.stderr)
  assert not (tmp_path / 'out').exists()
