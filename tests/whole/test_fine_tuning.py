"""Trained models go the whole way: export, fine-tuning, evaluation, export, server."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image

from benchmarks import server_process
from examples.train_shapes import shapes
from exporter.serving import detections as detections_lib

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SHAPES = _ROOT / 'examples' / 'train_shapes'
_TRAINED_MASK_RCNN = _ROOT / 'build' / 'trained' / 'mask_rcnn'
_BOXES = ['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections']
_KEYS = {'ssd': _BOXES, 'mask_rcnn': [*_BOXES, 'detection_masks']}
_SURE = 0.3
_UNSEEN = 2_000_000  # Training and evaluation take other seeds.


def _python(*arguments) -> str:
  ended = subprocess.run([sys.executable, '-W', 'ignore', *map(str, arguments)], cwd=_ROOT,
                         capture_output=True, text=True, check=False)
  assert ended.returncode == 0, ended.stderr[-3000:]
  return ended.stdout


def _export(pipeline, checkpoint, folder, *flags) -> pathlib.Path:
  _python('-m', 'exporter.exporter_main_v2', f'--pipeline_config_path={pipeline}',
          f'--trained_checkpoint_dir={checkpoint}', f'--output_directory={folder}', *flags)
  return folder


def _found_boxes(rest: str, image: np.ndarray, response: pathlib.Path) -> np.ndarray:
  """Asks the server for an image, keeps its answer, returns the boxes it is sure of."""
  body = json.dumps({'instances': [image.tolist()]}).encode()
  with urllib.request.urlopen(f'http://{rest}/v1/models/shapes:predict', body) as answer:
    response.write_bytes(answer.read())
  found = detections_lib.read_response(response)
  return found['detection_boxes'][found['detection_scores'] >= _SURE]


def _best_overlap(box: np.ndarray, boxes: np.ndarray) -> float:
  top_left, bottom_right = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
  both = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
  areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
  return float(np.max(both / (areas - both), initial=0))


def _checkpoint(model: str, folder: pathlib.Path) -> tuple[pathlib.Path, bool]:
  """A folder with a checkpoint, and whether it is trained."""
  if model == 'ssd':
    return _SHAPES / 'trained_ssd', True
  if _TRAINED_MASK_RCNN.is_dir():
    return _TRAINED_MASK_RCNN, True
  # `make trained` makes the other, which is too large to ship.
  _python('-m', 'examples.random_checkpoint',
          f'--pipeline_config_path={_SHAPES}/{model}.config', f'--output_directory={folder}')
  return folder, False


@pytest.fixture(scope='module')
def upstream_trains(tf):
  if tf.__version__.startswith('2.12.') and sys.version_info >= (3, 11):
    pytest.skip('tf-models-official 2.12 has dataclasses that Python 3.11 refuses')
  if importlib.util.find_spec('tensorboard') is None:
    pytest.skip('upstream writes summaries, which takes TensorBoard; TensorFlow 2.21 brings none')


@pytest.mark.slow
@pytest.mark.oldest_stack
@pytest.mark.parametrize('model, least', [('ssd', 0.4), ('mask_rcnn', 0.7)])
def test_a_lean_export_is_tuned_further_and_served(
    upstream_trains, exporter_server, tmp_path, model, least):
  checkpoint, trained = _checkpoint(model, tmp_path / 'checkpoint')
  first = _export(_SHAPES / f'{model}.config', checkpoint, tmp_path / 'first',
                  '--output_config=boxes')
  tuned = tmp_path / 'tuned'
  pipeline = exporter_server.run(
      'train_shapes_jobs:fine_tune', model, first / 'checkpoint' / 'ckpt-0', tuned, 3).ok().value
  changed = exporter_server.run('train_shapes_jobs:changed_variables',
                                first / 'checkpoint' / 'ckpt-0', tuned).ok().value
  # Training starts with the weights of the export, every one, and then moves them.
  assert changed['at_the_start'] == [] and changed['after']
  metrics = exporter_server.run('train_shapes_jobs:evaluate', pipeline, tuned).ok().value
  for kind in ('Boxes', 'Masks')[:1 + (model == 'mask_rcnn')]:
    assert metrics[f'Detection{kind}_Precision/mAP@.50IOU'] >= (least if trained else 0)

  second = _export(pipeline, tuned, tmp_path / 'second', '--output_config=without_intermediate')
  slim = tmp_path / 'slim'
  _python('-m', 'exporter.slim_saved_model', f'--saved_model_dir={second}',
          f'--output_directory={slim}', f'--output_keys={",".join(_KEYS[model])}')
  drawn = shapes.draw(_UNSEEN)
  with server_process.running({'shapes': slim}) as addresses:
    boxes = _found_boxes(addresses.rest, drawn.image, tmp_path / 'response.json')
  assert len(boxes)
  assert not trained or any(_best_overlap(box, boxes) >= 0.5 for box in drawn.boxes)

  Image.fromarray(drawn.image).save(tmp_path / 'image.png')
  shutil.copy(tuned / 'label_map.pbtxt', tmp_path)
  said = _python('-m', 'exporter.draw_detections', f'--response={tmp_path}/response.json',
                 f'--image={tmp_path}/image.png', f'--label_map={tmp_path}/label_map.pbtxt',
                 f'--output={tmp_path}/drawn.png', f'--min_score={_SURE}')
  assert f'drawn.png: {len(boxes)} of ' in said
  assert (np.array(Image.open(tmp_path / 'drawn.png')) != drawn.image).any()
