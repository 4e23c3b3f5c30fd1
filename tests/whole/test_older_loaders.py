"""What was exported with TensorFlow 2.20 is served by an older one.

The export is made by the Python of the default stack, `.venv`, and loaded by this
one, in a fresh process.
"""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import subprocess

import numpy as np
import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_MAKER = _ROOT / '.venv' / 'bin' / 'python'
_HERE = importlib.metadata.version('tensorflow-cpu').rpartition('.')[0]
# The kernels of another TensorFlow round differently.
_TOLERANCE = 4e-5

pytestmark = [
    pytest.mark.slow, pytest.mark.both_stacks, pytest.mark.every_stack,
    pytest.mark.skipif(_HERE not in ('2.8', '2.10', '2.12'), reason='is hardly older')]


@pytest.fixture(scope='module')
def newer(tmp_path_factory) -> pathlib.Path:
  """A folder with exports that TensorFlow 2.20 has made."""
  if not _MAKER.exists() and 'CI' not in os.environ:
    pytest.skip('needs the default stack too: make setup')
  folder = tmp_path_factory.mktemp('newer')
  done = subprocess.run(
      [_MAKER, '-W', 'ignore', _ROOT / 'tests' / 'support' / 'newer_exports.py', folder],
      capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr[-4000:]
  return folder


def _load(loader_server, newer, name, outputs):
  return loader_server.run('load_jobs:load_and_run', newer / name / 'saved_model',
                           newer / 'inputs.npz', outputs)


@pytest.mark.parametrize('name', ['lean', 'slimmed'])
def test_a_lean_export_loads_and_computes_the_same(loader_server, newer, tmp_path, name):
  _load(loader_server, newer, name, tmp_path / 'outputs.npz').ok()
  found, expected = (np.load(path) for path in (
      tmp_path / 'outputs.npz', newer / 'outputs.npz'))
  assert sorted(found) == sorted(expected)
  for key in expected:
    np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=_TOLERANCE)


@pytest.mark.skipif(_HERE != '2.8', reason='has the op that 2.8 lacks')
def test_stocks_own_needs_an_op_that_2_8_lacks(loader_server, newer, tmp_path):
  ended = _load(loader_server, newer, 'stock', tmp_path / 'outputs.npz')
  assert ended.status == 1
  assert "Op type not registered 'DisableCopyOnRead'" in ended.stderr
