"""Exports with a selection in every loader that there is, in fresh processes."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from exports import assert_same
from families import EFFICIENTDET, FAMILIES, INPUT_TYPES, MASK_RCNN

pytestmark = pytest.mark.slow

_SUPPORT = pathlib.Path(__file__).resolve().parents[1] / 'support'


def _params(families):
  return [pytest.param(f, id=f'{f.name}-{f.input_type}') for f in families]


def _kept(exports, family):
  stock = exports.stock_outputs(family)
  loaded = exports.load_and_run(family, exports.selected(family))
  return {key: stock[key] for key in loaded.outputs}


@pytest.fixture(scope='module')
def session(exports, loader_server):
  """Runs in a session of TensorFlow 1: outputs, and tensor names."""
  def session(family):
    export = exports.selected(family)
    outputs = export.parent / 'session.npz'
    names = loader_server.run(
        'load_jobs:run_in_session', export / 'saved_model', exports.inputs(family),
        outputs).ok().value
    with np.load(outputs) as f:
      return {key: f[key] for key in f}, names
  return session


@pytest.mark.parametrize('family', _params((*FAMILIES, *INPUT_TYPES)))
def test_session_loader(exports, session, family):
  assert_same(session(family)[0], _kept(exports, family))


@pytest.mark.parametrize('family', [MASK_RCNN, EFFICIENTDET], ids=lambda f: f.name)
def test_frozen_as_tf1_does(exports, loader_server, family):
  same = loader_server.run(
      'load_jobs:run_frozen', exports.selected(family) / 'saved_model',
      exports.inputs(family)).ok().value
  assert same == dict.fromkeys(_kept(exports, family), True)


# The C API is given numbers; a string tensor would need TensorFlow's headers.
@pytest.mark.parametrize('family', _params((*FAMILIES, INPUT_TYPES[0])))
def test_c_api(exports, session, family, tmp_path):
  _, (inputs, outputs) = session(family)
  request = tmp_path / 'request.json'
  request.write_text(json.dumps({
      'saved_model': str(exports.selected(family) / 'saved_model'),
      'inputs_path': str(exports.inputs(family)),
      'outputs_path': str(tmp_path / 'outputs.npz'),
      'inputs': inputs, 'outputs': outputs}))
  done = subprocess.run(
      [sys.executable, _SUPPORT / 'c_api_session.py', request], check=False,
      capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:]
  with np.load(tmp_path / 'outputs.npz') as f:
    assert_same({key: f[key] for key in f}, _kept(exports, family))


@pytest.mark.both_stacks
def test_saved_model_cli(exports, loader_server, session, tmp_path):
  cli = 'tensorflow.python.tools.saved_model_cli:main'
  saved_model = str(exports.selected(MASK_RCNN) / 'saved_model')
  expected, _ = session(MASK_RCNN)  # It runs one too.
  shown = loader_server.run(cli, argv=[
      'saved_model_cli', 'show', '--dir', saved_model, '--all']).ok().stdout
  for key in expected:
    assert f"outputs['{key}'] tensor_info" in shown
  with np.load(exports.inputs(MASK_RCNN)) as f:
    np.save(tmp_path / 'image.npy', f['input_tensor'])
  loader_server.run(cli, argv=[
      'saved_model_cli', 'run', '--dir', saved_model, '--tag_set', 'serve',
      '--signature_def', 'serving_default', '--inputs',
      f'input_tensor={tmp_path}/image.npy', '--outdir', f'{tmp_path}/out']).ok()
  found = {path.stem: np.load(path) for path in (tmp_path / 'out').iterdir()}
  assert_same(found, expected)
