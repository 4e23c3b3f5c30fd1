"""Trained models go the whole way: export, fine-tuning, evaluation, export, server."""

from __future__ import annotations

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
_CHECKPOINTS = {
    'ssd': _SHAPES / 'trained_ssd',
    'mask_rcnn': _ROOT / 'build' / 'trained' / 'mask_rcnn'}
_BOXES = ['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections']
_KEYS = {'ssd': _BOXES, 'mask_rcnn': [*_BOXES, 'detection_masks']}
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
  return found['detection_boxes'][found['detection_scores'] >= 0.3]


def _best_overlap(box: np.ndarray, boxes: np.ndarray) -> float:
  top_left, bottom_right = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
  both = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
  areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
  return float(np.max(both / (areas - both), initial=0))


@pytest.mark.slow
@pytest.mark.both_stacks
@pytest.mark.parametrize('model, least', [('ssd', 0.4), ('mask_rcnn', 0.7)])
def test_a_lean_export_is_tuned_further_and_finds_shapes(
    tf, exporter_server, tmp_path, model, least):
  if tf.__version__.split('.')[:2] != ['2', '15']:
    pytest.skip('training is tested on TensorFlow 2.15 alone')
  if not _CHECKPOINTS[model].is_dir():
    pytest.skip('`make trained` makes this model; it is too large to ship')
  first = _export(_SHAPES / f'{model}.config', _CHECKPOINTS[model], tmp_path / 'first',
                  '--output_config=boxes')
  tuned = tmp_path / 'tuned'
  pipeline = exporter_server.run(
      'train_shapes_jobs:fine_tune', model, first / 'checkpoint' / 'ckpt-0', tuned, 4).ok().value
  changed = exporter_server.run('train_shapes_jobs:changed_variables',
                                first / 'checkpoint' / 'ckpt-0', tuned).ok().value
  # Training starts with the weights of the export, every one, and then moves them.
  assert changed['at_the_start'] == [] and changed['after']
  metrics = exporter_server.run('train_shapes_jobs:evaluate', pipeline, tuned).ok().value
  assert metrics['DetectionBoxes_Precision/mAP@.50IOU'] >= least

  second = _export(pipeline, tuned, tmp_path / 'second', '--output_config=without_intermediate')
  slim = tmp_path / 'slim'
  _python('-m', 'exporter.slim_saved_model', f'--saved_model_dir={second}',
          f'--output_directory={slim}', f'--output_keys={",".join(_KEYS[model])}')
  drawn = shapes.draw(_UNSEEN)
  with server_process.running({'shapes': slim}) as addresses:
    boxes = _found_boxes(addresses.rest, drawn.image, tmp_path / 'response.json')
  assert any(_best_overlap(box, boxes) >= 0.5 for box in drawn.boxes)

  Image.fromarray(drawn.image).save(tmp_path / 'image.png')
  shutil.copy(tuned / 'label_map.pbtxt', tmp_path)
  said = _python('-m', 'exporter.draw_detections', f'--response={tmp_path}/response.json',
                 f'--image={tmp_path}/image.png', f'--label_map={tmp_path}/label_map.pbtxt',
                 f'--output={tmp_path}/drawn.png')
  assert f'drawn.png: {len(boxes)} of ' in said
  assert (np.array(Image.open(tmp_path / 'drawn.png')) != drawn.image).any()
