"""`detect_images` on this machine, as a command line in a process of its own."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import time

import numpy as np
from PIL import Image
import pytest

from families import CONTEXT_RCNN
from image_folders import write_images
from exporter.serving import masks

parquet = pytest.importorskip('pyarrow.parquet')

pytestmark = pytest.mark.slow

# What `write_detector` gives for each image, boxes as shares of height and width.
_BOXES = np.float32([[0.25, 0.5, 0.75, 1], [0, 0, 0.5, 0.5], [0.1, 0.1, 0.2, 0.2]])


@pytest.fixture(scope='module')
def model(loader_server, tmp_path_factory):
  folder = tmp_path_factory.mktemp('detector')
  loader_server.run('batch_jobs:write_detector', folder).ok()
  return folder


@pytest.fixture(scope='module')
def slow_model(loader_server, tmp_path_factory):
  folder = tmp_path_factory.mktemp('slow_detector')
  loader_server.run('batch_jobs:write_detector', folder, 20).ok()
  return folder


@pytest.fixture
def start(loader_server, tmp_path):
  def start(model, images, *flags):
    return loader_server.start(
        'batch_jobs:detect_images', f'--saved_model_dir={model}', f'--images={images}',
        f'--output={tmp_path / "found"}', *flags)
  return start


@pytest.fixture
def detect(start):
  return lambda *args: start(*args).wait()


def _rows(folder: pathlib.Path) -> list[dict]:
  return parquet.read_table(folder).to_pylist()


def _files(folder: pathlib.Path) -> dict[str, tuple]:
  return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino)
          for path in folder.rglob('*') if path.is_file()}


def test_rows(model, detect, tmp_path):
  (path,) = write_images(tmp_path / 'photos', 1)
  done = detect(model, path, '--columns=detection_multi*,anchors').ok()
  assert done.stdout.startswith('1 images, 0 of them errors')
  (row,) = _rows(tmp_path / 'found')
  assert [row[key] for key in ('path', 'height', 'width', 'error')] == [
      path, 24, 32, None]
  assert np.array_equal(np.float32(row['boxes']),
                        _BOXES * np.float32([24, 32, 24, 32]))
  assert row['scores'][:2] == [1, 0.5] and len(row['scores']) == 3
  assert row['classes'] == [3, 1, 2]
  assert row['class_names'] == ['cat', 'Köder', '']
  assert row['detection_multiclass_scores'] == [[1, 1]] * 3
  assert row['anchors'] == [[1] * 4] * 7


def test_masks_are_pasted_as_they_are_drawn(model, detect, tmp_path):
  from pycocotools import mask as coco_mask
  write_images(tmp_path / 'photos', 1, size=(31, 47))
  detect(model, tmp_path / 'photos').ok()
  (row,) = _rows(tmp_path / 'found')
  cells = np.tile(np.float32(np.arange(25) / 24).reshape(1, 5, 5), [3, 1, 1])
  expected = masks.full_image_masks(
      {'num_detections': np.float32(3), 'detection_boxes': _BOXES,
       'detection_masks': cells}, 31, 47)
  found = [coco_mask.decode(code) for code in row['masks']]
  assert expected.any()
  assert np.array_equal(np.array(found, bool), expected)


@pytest.mark.parametrize('flags, column, expected', [
    (['--normalized'], 'boxes', _BOXES.tolist()),
    (['--min_score=0.5'], 'classes', [3, 1]),
    (['--max_detections=1'], 'class_names', ['cat']),
    (['--max_detections=1', '--columns=detection_multiclass_scores'],
     'detection_multiclass_scores', [[1, 1]]),
    (['--masks=box', '--max_detections=1'], 'masks',
     [np.float32(np.arange(25) / np.float32(24)).reshape(5, 5).tolist()]),
    (['--masks=none'], 'masks', None),
])
def test_flags_say_what_is_in_a_row(model, detect, tmp_path, flags, column, expected):
  write_images(tmp_path / 'photos', 1)
  detect(model, tmp_path / 'photos', *flags).ok()
  (row,) = _rows(tmp_path / 'found')
  assert row.get(column) == expected


def test_class_names_of_a_label_map(model, detect, tmp_path):
  write_images(tmp_path / 'photos', 1)
  (tmp_path / 'map.pbtxt').write_text('item { id: 3 name: "dog" }')
  detect(model, tmp_path / 'photos', f'--label_map_path={tmp_path / "map.pbtxt"}').ok()
  (row,) = _rows(tmp_path / 'found')
  assert row['class_names'] == ['dog', '', '']


def test_broken_images_are_rows_with_an_error(model, detect, tmp_path):
  paths = write_images(tmp_path / 'photos', 100, broken=5)
  done = detect(model, tmp_path / 'photos').ok()
  assert done.stdout.startswith('100 images, 5 of them errors')
  rows = _rows(tmp_path / 'found')
  assert [row['path'] for row in rows] == paths
  broken = [row for row in rows if row['error'] is not None]
  assert [paths.index(row['path']) for row in broken] == [3, 23, 43, 63, 83]
  assert {row['error'] for row in broken} == {
      'The file is empty.', 'The file is damaged, or no JPEG, PNG, GIF or BMP image.'}
  assert all(row[key] is None for row in broken for key in row.keys() - {
      'path', 'error'})


def test_image_that_is_gone_or_closed_is_a_row_with_an_error(
    model, loader_server, tmp_path):
  paths = write_images(tmp_path / 'photos', 3)
  (tmp_path / 'photos' / 'folder.jpg').mkdir()
  args = [f'--saved_model_dir={model}', f'--images={tmp_path}/photos/*',
          f'--output={tmp_path / "found"}']
  loader_server.run('batch_jobs:detect_images', *args).ok()
  assert [row['path'] for row in _rows(tmp_path / 'found')] == paths
  os.unlink(paths[1])
  part = tmp_path / 'found' / 'part-000000.parquet'
  part.unlink()
  loader_server.run('batch_jobs:detect_images', *args, '--resume').ok()
  assert [row['error'] for row in _rows(tmp_path / 'found')] == [
      None, 'The file cannot be read: No such file or directory.', None]


def test_images_and_output_may_be_urls(model, loader_server, tmp_path):
  paths = write_images(tmp_path / 'photos' / 'more', 10, broken=1)
  (tmp_path / 'photos' / 'notes.txt').write_text('mine')
  flags = [f'--saved_model_dir={model}', f'--images=file://{tmp_path}/photos/**/*.jpg',
           f'--output=file://{tmp_path}/found', '--format=coco']
  loader_server.run('batch_jobs:detect_images', *flags).ok()
  images = json.loads((tmp_path / 'found' / 'images.json').read_text())
  assert [image['file_name'] for image in images] == [f'file://{p}' for p in paths]
  assert [i for i, image in enumerate(images) if 'error' in image] == [3]
  (tmp_path / 'found' / '_run' / 'part-000001.parquet').unlink()
  done = loader_server.run('batch_jobs:detect_images', *flags, '--resume').ok()
  assert done.stdout.startswith('2 images')
  for pattern in (f'file://{tmp_path}/photos', f'file://{paths[0]}'):
    done = loader_server.run(
        'batch_jobs:detect_images', flags[0], f'--images={pattern}', flags[2],
        '--overwrite').ok()
  assert done.stdout.startswith('1 images')
  done = loader_server.run('batch_jobs:detect_images', flags[0], '--images=ftp://a/b',
                           f'--output={tmp_path}/new')
  assert done.status == 1 and 'ftp://a/ cannot be reached' in done.stderr


def test_memory_does_not_grow_with_the_number_of_images(
    model, loader_server, tmp_path):
  # Decoded, the 2,000 are 221 MB.
  write_images(tmp_path / 'photos', 2000, size=(192, 192))
  peaks = [loader_server.run(
      'batch_jobs:detect_images', f'--saved_model_dir={model}',
      f'--images={tmp_path}/photos/{pattern}', f'--output={tmp_path / name}',
      '--masks=none').ok().value
           for name, pattern in (('few', '000[0-9]*'), ('many', '*'))]
  assert [len(_rows(tmp_path / name)) for name in ('few', 'many')] == [100, 2000]
  assert peaks[1] < peaks[0] + 40e6


@pytest.mark.parametrize('file_format', ['parquet', 'coco'])
def test_killed_run_is_resumed_with_every_image_once(
    slow_model, start, tmp_path, file_format):
  paths = write_images(tmp_path / 'photos', 120, broken=2)
  found = tmp_path / 'found'
  parts = found if file_format == 'parquet' else found / '_run'
  flags = [f'--format={file_format}', '--images_per_part=10']
  running = start(slow_model, tmp_path / 'photos', *flags)
  while len(list(parts.glob('part-*'))) < 2:
    time.sleep(0.02)
  os.kill(running.pid, signal.SIGKILL)
  assert running.wait().status == -signal.SIGKILL
  complete = {name: stamp for name, stamp in _files(parts).items() if 'part-' in name}
  assert 2 <= len(complete) < 12
  if file_format == 'parquet':
    assert [row['path'] for row in _rows(found)] == paths[:10 * len(complete)]
  done = start(slow_model, tmp_path / 'photos', *flags, '--resume').wait().ok()
  assert f'; {10 * len(complete)} were done before' in done.stdout
  after = _files(parts)
  assert {name: after[name] for name in complete} == complete
  assert not [name for name in after if 'incomplete' in name]
  if file_format == 'coco':
    images = json.loads((found / 'images.json').read_text())
    assert [image['file_name'] for image in images] == paths
    assert len([image for image in images if 'error' in image]) == 2
  else:
    assert [row['path'] for row in _rows(found)] == paths


def test_resuming_does_new_images_alone(model, detect, tmp_path):
  write_images(tmp_path / 'photos', 5)
  detect(model, tmp_path / 'photos').ok()
  before = _files(tmp_path / 'found')
  paths = write_images(tmp_path / 'photos' / 'more', 4)
  done = detect(model, tmp_path / 'photos', '--resume').ok()
  assert done.stdout.startswith('4 images') and '; 5 were done before' in done.stdout
  assert {**_files(tmp_path / 'found'), **before} == _files(tmp_path / 'found')
  assert [row['path'] for row in _rows(tmp_path / 'found')][5:] == paths


def test_overwriting_replaces_results_and_leaves_the_rest(model, detect, tmp_path):
  write_images(tmp_path / 'photos', 30)
  detect(model, tmp_path / 'photos', '--images_per_part=2').ok()
  (tmp_path / 'found' / 'notes.txt').write_text('mine')
  detect(model, tmp_path / 'photos' / '00007.jpg', '--overwrite', '--format=coco').ok()
  assert sorted(path.name for path in (tmp_path / 'found').iterdir()) == [
      '_run', 'detections.json', 'images.json', 'notes.txt']
  (image,) = json.loads((tmp_path / 'found' / 'images.json').read_text())
  assert image['file_name'].endswith('00007.jpg')


def test_coco_results_are_what_pycocotools_evaluates(model, detect, tmp_path):
  from pycocotools.coco import COCO
  from pycocotools.cocoeval import COCOeval
  write_images(tmp_path / 'photos', 3)
  truth = {
      'images': [{'id': 70 + i, 'file_name': f'photos/{i:05d}.jpg', 'height': 24,
                  'width': 32} for i in range(3)],
      'categories': [{'id': i, 'name': str(i)} for i in (1, 2, 3)],
      'annotations': [{'id': 1 + i, 'image_id': 70 + i, 'category_id': 3,
                       'bbox': [16, 6, 16, 12], 'area': 192, 'iscrowd': 0}
                      for i in range(3)]}
  (tmp_path / 'truth.json').write_text(json.dumps(truth))
  detect(model, tmp_path / 'photos', '--format=coco',
         f'--coco_annotations={tmp_path / "truth.json"}').ok()
  coco = COCO(str(tmp_path / 'truth.json'))
  evaluation = COCOeval(
      coco, coco.loadRes(str(tmp_path / 'found' / 'detections.json')), 'bbox')
  evaluation.evaluate()
  evaluation.accumulate()
  evaluation.summarize()
  assert evaluation.stats[0] == pytest.approx(1)
  (first, *_) = json.loads((tmp_path / 'found' / 'detections.json').read_text())
  assert first['image_id'] == 70 and first['segmentation']['size'] == [24, 32]


def test_tf_examples_are_what_upstream_trains_on(
    model, detect, exporter_server, tmp_path):
  from pycocotools import mask as coco_mask
  paths = write_images(tmp_path / 'photos', 24, broken=1)
  Image.new('RGB', (40, 20)).save(tmp_path / 'photos' / 'z.gif')
  detect(model, tmp_path / 'photos', '--format=tfrecord').ok()
  examples = exporter_server.run(
      'batch_jobs:decode_examples', tmp_path / 'found' / 'part-*.tfrecord').ok().value
  assert [example['filename'] for example in examples] == [
      *paths[:3], *paths[4:], str(tmp_path / 'photos' / 'z.gif')]
  assert examples[0]['image'] == [24, 32, 3] and examples[-1]['image'] == [20, 40, 3]
  assert examples[0]['groundtruth_boxes'] == _BOXES.tolist()
  assert examples[0]['groundtruth_classes'] == [3, 1, 2]
  (errors,) = (tmp_path / 'found').glob('errors-*.jsonl')
  assert json.loads(errors.read_text()) == {
      'path': paths[3], 'error': 'The file is empty.'}
  detect(model, tmp_path / 'photos' / '00000.jpg', '--overwrite').ok()
  (row,) = _rows(tmp_path / 'found')
  assert np.array_equal([coco_mask.decode(code) for code in row['masks']],
                        examples[0]['groundtruth_instance_masks'])


@pytest.mark.parametrize('flags, said', [
    (['--images=none/*.jpg'], "--images='none/*.jpg'"),
    (['--images={tmp_path}/empty'], 'holds no file with an extension of .jpg'),
    (['--output={tmp_path}/mine'], 'mine is not empty; --resume'),
    (['--output={tmp_path}/mine', '--overwrite'], 'no results of detect_images'),
    (['--output={tmp_path}/mine', '--resume'], 'no run to resume'),
    (['--output={tmp_path}/mine/notes.txt'], 'Not a directory'),
    (['--output={tmp_path}/found', '--resume', '--min_score=0.25'],
     'another min_score: null, and now it is 0.25'),
    (['--resume', '--overwrite'], 'exclude each other'),
    (['--columns=detection_bokses'], "did you mean 'detection_boxes'?"),
    (['--format=coco', '--normalized'], 'need --format=parquet'),
    (['--coco_annotations=truth.json'], 'needs --format=coco'),
    (['--format=coco', '--coco_annotations=none.json'], 'none.json cannot be read'),
    (['--label_map_path=none.pbtxt'], 'none.pbtxt cannot be read'),
    (['--spark_conf=spark.a=b'], 'needs --master'),
    (['--saved_model_dir={tmp_path}/empty'], 'is no SavedModel'),
    (['--signature=other'], "no signature 'other'"),
])
def test_mistake_is_a_sentence_and_changes_nothing(
    model, detect, loader_server, tmp_path, flags, said):
  write_images(tmp_path / 'photos', 1)
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'mine').mkdir()
  (tmp_path / 'mine' / 'notes.txt').write_text('mine')
  if '/found' in flags[0]:
    detect(model, tmp_path / 'photos').ok()
  before = _files(tmp_path)
  given = {'saved_model_dir': model, 'images': tmp_path / 'photos',
           'output': tmp_path / 'new'}
  flags = [flag.format(tmp_path=tmp_path) for flag in flags]
  changed = {flag.lstrip('-').partition('=')[0] for flag in flags}
  done = loader_server.run('batch_jobs:detect_images', *(
      f'--{name}={value}' for name, value in given.items() if name not in changed),
                           *flags)
  assert done.status == 1
  assert said in done.stderr and done.stderr.count('\n') == 1, done.stderr
  assert _files(tmp_path) == before and not (tmp_path / 'new').exists()


def test_export_with_side_inputs_is_refused(exports, detect, tmp_path):
  write_images(tmp_path / 'photos', 1)
  done = detect(exports.selected(CONTEXT_RCNN), tmp_path / 'photos')
  assert done.status == 1 and 'context_features [1, 10, 32]' in done.stderr
  assert not (tmp_path / 'found').exists()
