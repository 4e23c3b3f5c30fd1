"""Exports with a label map: the names of what was detected."""

import pytest

from exporter.payload import read_payload
from exporter.saved_model.signature import read_signature
from exporter.serving.image_request import run_on_image
from families import MASK_RCNN, SSD

pytestmark = pytest.mark.slow

_MAIN = 'exporter.exporter_main_v2:run'
_NAMES = {1: 'person', 2: 'Wü"rm', 4: 'cat'}  # 3 has no entry.


@pytest.fixture
def label_map(tmp_path):
  path = tmp_path / 'my_label_map.pbtxt'
  path.write_text(''.join(f"item {{ id: {i} name: '{name}' }}\n"
                          for i, name in _NAMES.items()), encoding='utf-8')
  return path


@pytest.fixture
def run(exporter_server):
  def run(*flags):
    return exporter_server.run(_MAIN, argv=[
        'exporter_main_v2', f'--pipeline_config_path={SSD.pipeline}', *flags])
  return run


@pytest.mark.both_stacks
def test_names_of_detections_made_smaller(exports, run, tmp_path, label_map, image):
  target = tmp_path / 'exported'
  run(f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
      f'--output_directory={target}', f'--label_map_path={label_map}',
      '--output_keys=detection_classes*,num_detections', '--max_detections=7',
      '--output_dtypes=detection_*=uint8', '--verify').ok()
  copied = target / 'saved_model' / 'assets' / label_map.name
  assert copied.read_bytes() == label_map.read_bytes()
  signature = read_signature(target)
  spec = signature.outputs['detection_classes_as_text']
  assert (spec.dtype, spec.shape[0]) == ('string', 1)
  outputs = run_on_image(target, signature, image)
  classes = outputs['detection_classes']
  assert classes.shape == (1, 7) and outputs['num_detections'] == [7]
  assert [text.decode() for text in outputs['detection_classes_as_text'][0]] == [
      _NAMES.get(i, '') for i in classes[0]]
  measured = read_payload(target, image=image)
  assert measured.rest_form == 'row' and measured.grpc_bytes > 0
  assert read_payload(target).output('detection_classes_as_text').grpc_bytes is None


def test_names_alone_need_no_classes(exports, run, tmp_path, label_map, image):
  target = tmp_path / 'exported'
  run(f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
      f'--output_directory={target}', f'--label_map_path={label_map}',
      '--output_keys=detection_classes_as_text').ok()
  (text,) = run_on_image(target, read_signature(target), image).values()
  assert text.shape == (1, 10) and set(text[0]) <= {
      name.encode() for name in (*_NAMES.values(), '')}


def test_listing_has_the_names(run, label_map):
  printed = run('--list_output_keys', f'--label_map_path={label_map}').ok().stdout
  [row] = [line for line in printed.splitlines() if 'detection_classes_as_text' in line]
  assert 'string' in row and '[1, 10]' in row


def test_a_model_without_classes(exporter_server, label_map):
  ended = exporter_server.run(_MAIN, argv=[
      'exporter_main_v2', f'--pipeline_config_path={MASK_RCNN.pipeline}',
      '--config_override=model { faster_rcnn { number_of_stages: 1 } }',
      '--list_output_keys', f'--label_map_path={label_map}'])
  assert ended.status == 1
  assert ended.stderr.splitlines()[-1].startswith(
      'exporter_main_v2: A label map needs detection_classes')
