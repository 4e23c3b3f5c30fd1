"""Exports with fixed input shapes: static outputs, and a batch like single images."""

import pytest

from exporter.saved_model.signature import read_signature
from families import (
    CENTERNET, CONTEXT_NAMES, CONTEXT_RCNN, DEEPMAC, MASK_RCNN, SSD, SSD_ENCODED)

pytestmark = pytest.mark.slow

_MAIN = 'exporter.exporter_main_v2:run'

# Convolutions over several images add up in another order. Boxes are in units of the
# image, scores and masks go from 0 to 1.
_TOLERANCE = 1e-3


@pytest.fixture
def export(exporter_server, exports, tmp_path):
  """Exports a family on the command line; gives the folder."""
  def export(family, *flags):
    exporter_server.run(_MAIN, argv=[
        'exporter_main_v2', f'--pipeline_config_path={family.pipeline}',
        f'--trained_checkpoint_dir={exports.checkpoint(family.name)}',
        f'--output_directory={tmp_path / "exported"}',
        f'--input_type={family.input_type}', *flags]).ok()
    return tmp_path / 'exported'
  return export


def _selection(family):
  flags = [f'--output_keys={family.output_keys}']
  if family.exclude_output_keys:
    flags.append(f'--exclude_output_keys={family.exclude_output_keys}')
  return flags


@pytest.mark.parametrize('family, shape', [
    pytest.param(SSD, '3,96,128,3', marks=pytest.mark.both_stacks),
    (MASK_RCNN, '2,-1,-1,3'), (CENTERNET, '3,96,128,3'), (DEEPMAC, '2,96,128,3'),
], ids=lambda value: getattr(value, 'name', value))
def test_a_batch_is_as_single_images(export, exports, loader_server, family, shape):
  batch = int(shape[0])
  target = export(family, f'--input_shape={shape}', *_selection(family), '--verify')
  facts = loader_server.run(
      'shape_jobs:compare', exports.selected(family) / 'saved_model',
      target / 'saved_model').ok().value
  single = read_signature(exports.selected(family))
  assert facts['shapes']['input_tensor'] == [
      None if size == '-1' else int(size) for size in shape.split(',')]
  for key, spec in single.outputs.items():
    # DeepMAC gives a mask for each box, of which there can be any number.
    sizes = [1 if size is None else size for size in spec.shape[1:]]
    found = [1 if size is None else size for size in facts['shapes'][key][1:]]
    assert (facts['shapes'][key][0], found) == (batch, sizes), key
  assert sorted(facts['differences']) == sorted(single.outputs)
  assert max(facts['differences'].values()) <= _TOLERANCE, facts['differences']


def test_strings_of_a_fixed_batch_made_smaller(export):
  target = export(SSD_ENCODED, '--input_shape=2', '--verify', '--max_detections=3',
                  '--output_keys=detection_scores,detection_boxes,num_detections')
  signature = read_signature(target)
  assert signature.inputs['input_tensor'].shape == (2,)
  assert signature.outputs['num_detections'].shape == (2,)


def test_an_unknown_batch_of_pixels(export):
  target = export(SSD, '--input_shape=-1,96,96,3', '--output_keys=detection_*')
  signature = read_signature(target)
  assert signature.inputs['input_tensor'].shape == (None, 96, 96, 3)
  assert signature.outputs['detection_boxes'].shape == (None, 10, 4)


def test_side_inputs_have_the_batch_that_they_are_told(export):
  target = export(
      CONTEXT_RCNN, '--input_shape=2,96,128,3', '--use_side_inputs', '--verify',
      '--side_input_shapes=2,10,32/2', '--side_input_types=float,integer',
      f'--side_input_names={CONTEXT_NAMES}', '--output_keys=detection_boxes')
  signature = read_signature(target)
  assert signature.inputs['context_features'].shape == (2, 10, 32)
  assert signature.outputs['detection_boxes'].shape == (2, 10, 4)


def test_without_a_selection_the_layout_is_upstreams(export):
  target = export(SSD, '--input_shape=2,96,96,3')
  signature = read_signature(target)
  assert signature.inputs['input_tensor'].shape == (2, 96, 96, 3)
  assert signature.outputs['raw_detection_boxes'].shape == (2, 172, 4)


def test_listing_of_a_batch(exporter_server):
  printed = exporter_server.run(_MAIN, argv=[
      'exporter_main_v2', f'--pipeline_config_path={CENTERNET.pipeline}',
      '--list_output_keys', '--input_type=float_image_tensor',
      '--input_shape=2,-1,-1,3']).ok().stdout
  assert 'bytes for 2 images' in printed and '[2, 8, 5, 2]' in printed


def test_a_batch_that_the_model_cannot_take_is_one_sentence(exporter_server):
  ended = exporter_server.run(_MAIN, argv=[
      'exporter_main_v2', f'--pipeline_config_path={CENTERNET.pipeline}',
      '--list_output_keys', '--input_type=float_image_tensor'])
  assert (ended.status, ended.stdout) == (1, '')
  assert 'Traceback' not in ended.stderr
  sentence = ended.stderr.splitlines()[-1]
  assert sentence.startswith(
      'exporter_main_v2: The model cannot take inputs of the shape -1,-1,-1,3: ')
  assert 'input_shape=1,-1,-1,3' in sentence
