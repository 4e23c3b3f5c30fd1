"""The command that draws detections, of models of every kind and of responses."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from exporter.serving import rest_json
from families import CENTERNET, MASK_RCNN, SSD_ENCODED, SSD_FLOAT, SSD_TF_EXAMPLE

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_OUTPUTS = {
    'detection_boxes': np.float32([[[0.1, 0.1, 0.9, 0.5]]]),
    'detection_classes': np.float32([[1]]), 'detection_scores': np.float32([[0.9]]),
    'num_detections': np.float32([1])}


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
  """A working directory with a photo, a response and a label map."""
  folder = tmp_path / 'work'
  folder.mkdir()
  Image.new('RGB', (320, 240), 'navy').save(folder / 'photo.jpg')
  (folder / 'response.json').write_bytes(rest_json.render(_OUTPUTS, 'row'))
  (folder / 'scores.json').write_text('{"predictions": [{"detection_scores": [1.0]}]}')
  (folder / 'map.pbtxt').write_text('item { id: 1 name: "person" }')
  (folder / 'file').write_text('')
  return folder


def _run(folder, *arguments):
  return subprocess.run(
      [sys.executable, '-m', 'exporter.draw_detections', *arguments], cwd=folder,
      capture_output=True, text=True, env={'PYTHONPATH': str(_ROOT), 'PATH': ''})


_GIVEN = ('--response=response.json', '--image=photo.jpg', '--output=drawn.png')


def test_draws_a_response(folder):
  run = _run(folder, *_GIVEN, '--label_map=map.pbtxt')
  assert run.returncode == 0, run.stderr
  assert run.stdout == ('drawn.png: 1 of 1 detections have a score of 0.3 or more.\n')
  with Image.open(folder / 'drawn.png') as drawn:
    assert drawn.size == (320, 240)
  assert not list(folder.glob('.drawing-*'))


def test_a_name_is_drawn_where_a_number_was(folder):
  for flags, output in (([], 'number.png'), (['--label_map=map.pbtxt'], 'name.png')):
    assert _run(folder, *_GIVEN, f'--output={output}', *flags).returncode == 0
  number, name = (np.array(Image.open(folder / f)) for f in ('number.png', 'name.png'))
  assert (number != name).any()


@pytest.mark.parametrize('args, says', [
    (['--response=none.json'], 'none.json cannot be read: No such file'),
    (['--response=photo.jpg'], 'photo.jpg is neither JSON nor'),
    (['--index=1'], 'response.json: The response has 1 images and no image 1'),
    (['--response=scores.json'], 'scores.json: The response has neither detection_boxes'),
    (['--image=none.jpg'], 'none.jpg cannot be read: No such file'),
    (['--image=map.pbtxt'], 'map.pbtxt is no image'),
    (['--image=s3://bucket/a.jpg'], 's3://bucket/a.jpg'),
    (['--output=drawn.pgn'], "did you mean '.png'?"),
    (['--output=drawn'], "'drawn' ends in ''"),
    (['--output=none/drawn.png'], 'there is no folder none'),
    (['--output=photo.jpg'], 'is the photo itself'),
    (['--label_map=photo.jpg'], 'label map photo.jpg cannot be read: it is not UTF-8'),
    (['--saved_model_dir=file'], 'not both'),
    (['stray'], "'stray' is not a flag"),
])
def test_mistakes_are_one_sentence(folder, args, says):
  before = sorted(folder.iterdir())
  run = _run(folder, *_GIVEN, *args)
  assert run.returncode == 1, run.stderr
  assert run.stdout == '' and run.stderr.count('\n') == 1
  assert run.stderr.startswith('draw_detections: ') and says in run.stderr
  assert sorted(folder.iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize('family', [
    pytest.param(f, id=f'{f.name}-{f.input_type}') for f in
    (MASK_RCNN, SSD_TF_EXAMPLE, SSD_FLOAT, SSD_ENCODED, CENTERNET)])
def test_draws_what_a_model_of_any_input_detects(
    exports, loader_server, folder, family):
  """An export folder; those without boxes say what they have."""
  export = exports.selected(family)
  ended = loader_server.run(
      'exporter.draw_detections:run', cwd=folder, argv=[
          'draw_detections', f'--saved_model_dir={export}', '--image=photo.jpg',
          '--output=drawn.png', '--min_score=0'])
  kept = family.output_keys
  if 'detection_boxes' in kept or '*' in kept and 'raw' not in kept:
    ended.ok()
    found = re.fullmatch(r'drawn.png: (\d+) of \1 detections have a score of 0 or'
                         r' more.\n', ended.stdout)
    photo, drawn = (np.array(Image.open(folder / name).convert('RGB'))
                    for name in ('photo.jpg', 'drawn.png'))
    # Of random weights Mask R-CNN may find nothing.
    assert (photo != drawn).any() == bool(int(found[1]))
  else:
    assert ended.status == 1 and 'Traceback' not in ended.stderr
    assert 'has neither detection_boxes nor detection_keypoints' in ended.stderr
