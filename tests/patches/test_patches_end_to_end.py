"""A patched copy of the installed `object_detection`, with TensorFlow."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import fork_edits
import fork_shapes
from exports import assert_same
from families import FIVE_KEYS, MASK_RCNN
from patches import exporter_main_edit
from patches.plan import Request

pytestmark = pytest.mark.slow

_HERE = pathlib.Path(__file__).parent
_ROOT = _HERE.parents[1]
DROPPED = ('mask_predictions', 'box_classifier_features', 'raw_detection_boxes')


def _copy(installed, root):
  shutil.copytree(installed, root / 'object_detection',
                  ignore=shutil.ignore_patterns('__pycache__'))
  return root


@pytest.fixture(scope='module')
def patched(installed, tmp_path_factory):
  """A copy whose exporter is patched, and takes the package `exporter`."""
  root = _copy(installed, tmp_path_factory.mktemp('patched'))
  fork_edits.apply(root, Request())
  return root


@pytest.fixture(scope='module')
def dropping(installed, tmp_path_factory):
  """A copy with both edits, and the selection language in a file of its own."""
  root = _copy(installed, tmp_path_factory.mktemp('dropping'))
  fork_edits.apply(root, Request(import_from=exporter_main_edit.VENDORED,
                                 drop_keys=DROPPED))
  return root


def _run(root, script, *arguments):
  """Runs a script on the `object_detection` of `root`."""
  script = root / 'object_detection' / script  # An absolute path stays itself.
  return subprocess.run(
      [sys.executable, str(_HERE / 'run_script.py'), str(script),
       *map(str, arguments)],
      env=dict(os.environ, PYTHONPATH=f'{root}{os.pathsep}{_ROOT}'),
      cwd=_ROOT, capture_output=True, text=True, timeout=900)


def _export(root, exports, target, *flags):
  return _run(
      root, 'exporter_main_v2.py', '--input_type=image_tensor',
      f'--pipeline_config_path={MASK_RCNN.pipeline}',
      f'--trained_checkpoint_dir={exports.checkpoint(MASK_RCNN.name)}',
      f'--output_directory={target}', *flags)


@pytest.mark.oldest_stack
def test_five_keys_are_exported_as_stock_and_ours_have_them(
    dropping, exports, tmp_path):
  done = _export(dropping, exports, tmp_path / 'five', f'--output_keys={FIVE_KEYS}')
  assert done.returncode == 0, done.stderr[-4000:]
  loaded = exports.load_and_run(MASK_RCNN, tmp_path / 'five')
  stock_outputs = exports.stock_outputs(MASK_RCNN)
  expected = {key: stock_outputs[key] for key in FIVE_KEYS.split(',')}
  assert_same(loaded.signed, expected)
  assert_same(loaded.called, expected)
  ours = exports.load_and_run(MASK_RCNN, exports.selected(MASK_RCNN))
  assert_same(loaded.signed, ours.signed)
  assert loaded.inputs == ours.inputs and loaded.outputs == ours.outputs
  for part in ('checkpoint/ckpt-0.index', 'pipeline.config'):
    assert (tmp_path / 'five' / part).is_file()


def test_without_our_flags_the_patched_script_exports_what_stock_does(
    patched, exports, tmp_path):
  done = _export(patched, exports, tmp_path / 'all')
  assert done.returncode == 0, done.stderr[-4000:]
  loaded = exports.load_and_run(MASK_RCNN, tmp_path / 'all')
  assert_same(loaded.signed, exports.stock_outputs(MASK_RCNN))
  assert loaded.outputs == exports.stock_signature(MASK_RCNN)['outputs']


def test_unknown_key_ends_the_script_with_one_sentence(patched, exports, tmp_path):
  done = _export(patched, exports, tmp_path / 'none', '--output_keys=detection_boxs')
  assert done.returncode == 1
  assert 'Traceback' not in done.stderr
  last = done.stderr.rstrip('\n').split('\n')[-1]
  assert last.startswith("'detection_boxs' is not an output of this model; did you"
                         " mean 'detection_boxes'?")
  assert not (tmp_path / 'none').exists()


def test_upstreams_own_exporter_tests_pass(dropping):
  done = _run(dropping, 'exporter_lib_tf2_test.py')
  assert done.returncode == 0, done.stderr[-4000:]
  assert int(re.search(r'Ran (\d+) tests', done.stderr)[1]) > 10


def test_dropping_breaks_neither_training_nor_evaluation(
    installed, dropping, exports, tmp_path):
  results = []
  for root in (installed.parent, dropping):
    output = tmp_path / f'{len(results)}.npz'
    done = _run(root, _HERE / 'meta_arch_job.py', MASK_RCNN.pipeline,
                exports.checkpoint(MASK_RCNN.name), output)
    assert done.returncode == 0, done.stderr[-4000:]
    with np.load(output) as f:
      results.append({name: f[name] for name in f})
  before, after = results
  gone = {f'{order}/detections/{key}' for order in ('tf2', 'estimator')
          for key in DROPPED}
  assert gone < set(before)
  assert_same(after, {k: v for k, v in before.items() if k not in gone})
  for order in ('tf2', 'estimator'):
    assert after[f'{order}/losses/Loss/BoxClassifierLoss/mask_loss'] > 0
  assert 'training/losses/Loss/BoxClassifierLoss/mask_loss' in after
  assert 'tf2/evaluated/detection_masks' in after


def test_every_shape_is_traced_by_tensorflow(tmp_path):
  shapes = sorted(fork_shapes.EXPORTERS)
  for shape in shapes:
    root = fork_shapes.write_fork(tmp_path / shape, *fork_shapes.EXPORTERS[shape])
    fork_edits.apply(root, Request(only='exporter'))
  # A fork that runs has compiled its protos; the stand-ins read none.
  protos = tmp_path / shapes[0] / 'object_detection' / 'protos'
  protos.mkdir()
  (protos / 'pipeline_pb2.py').touch()
  done = _run(tmp_path / shapes[0], _HERE / 'shapes_job.py',
              *[tmp_path / shape for shape in shapes])
  assert done.returncode == 0, done.stderr[-4000:]
  assert json.loads(done.stdout.split('\n')[-2]) == [[
      sorted(fork_shapes.OUTPUTS), ['detection_boxes', 'num_detections'],
      "'nothing' is not an output of this model."]] * len(shapes)
