"""Slimming what the stock exporter has written, for models of several kinds."""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from exporter.detection import installed
from exporter.output_keys import OutputSelection
from exports import assert_same
from families import DEEPMAC, EFFICIENTDET, MASK_RCNN, SSD_TF_EXAMPLE

pytestmark = pytest.mark.slow

_NOBODY = 65534

# Masks; captured constants and custom gradients; asserts; strings.
_FAMILIES = (MASK_RCNN, EFFICIENTDET, DEEPMAC, SSD_TF_EXAMPLE)


def _slim(saved_model_dir, target, family):
  flags = [f'--saved_model_dir={saved_model_dir}', f'--output_directory={target}',
           f'--output_keys={family.output_keys}']
  if family.exclude_output_keys:
    flags.append(f'--exclude_output_keys={family.exclude_output_keys}')
  subprocess.run([sys.executable, '-m', 'exporter.slim_saved_model', *flags],
                 check=True, capture_output=True)


@pytest.fixture(scope='module', params=[
    pytest.param(f, id=f'{f.name}-{f.input_type}',
                 marks=[pytest.mark.both_stacks] if f is MASK_RCNN else [])
    for f in _FAMILIES])
def family(request):
  return request.param


@pytest.fixture(scope='module')
def slimmed(exports, family) -> pathlib.Path:
  folder = exports.folder(family) / 'slimmed'
  _slim(exports.stock(family) / 'saved_model', folder / 'saved_model', family)
  return folder


@pytest.fixture(scope='module')
def expected(exports, family):
  stock = exports.stock_outputs(family)
  keys = OutputSelection.parse(
      family.output_keys, family.exclude_output_keys).select(stock)
  return {key: stock[key] for key in keys}


@pytest.mark.skipif(installed.version('tensorflow') < (2, 12),
                    reason='a frozen detector takes old TensorFlows minutes')
def test_frozen_as_tf1_does(exports, family, slimmed, expected, loader_server):
  same = loader_server.run('load_jobs:run_frozen', slimmed / 'saved_model',
                           exports.inputs(family)).ok().value
  assert same == dict.fromkeys(expected, True)


@pytest.mark.every_stack
def test_outputs_are_stocks_bit_for_bit(exports, family, slimmed, expected):
  loaded = exports.load_and_run(family, slimmed)
  assert_same(loaded.signed, expected)
  assert_same(loaded.called, expected)
  assert loaded.inputs == exports.stock_signature(family)['inputs']


def test_a_session_computes_what_it_does_of_stocks(
    exports, loader_server, family, slimmed, expected, tmp_path):
  found = []
  for export in (slimmed, exports.stock(family)):
    path = tmp_path / f'{export.name}.npz'
    loader_server.run('load_jobs:run_in_session', export / 'saved_model',
                      exports.inputs(family), path, list(expected)).ok()
    with np.load(path) as f:
      found.append({key: f[key] for key in f})
  assert_same(*found)


def test_is_as_small_as_our_own_export(exports, loader_server, family, slimmed):
  """But for the gradients that ops have of their own: an export leaves them out."""
  def size(folder):
    return loader_server.run(
        'graph_walk:bytes_without_gradients', folder / 'saved_model').ok().value

  assert size(slimmed) < 1.1 * size(exports.selected(family))


@pytest.mark.skipif(os.geteuid() != 0, reason='changes to another user')
@pytest.mark.parametrize('closed, sentence', [
    ('saved_model/saved_model.pb', 'Permission denied'),
    ('.', 'no permission to write'),
])
def test_permissions_that_are_missing(exports, loader_server, closed, sentence):
  # Not under pytest's own folder, which no other user can enter.
  with tempfile.TemporaryDirectory(prefix='closed-') as name:
    folder = pathlib.Path(name)
    folder.chmod(0o777)
    (folder / 'saved_model').mkdir()
    (folder / 'saved_model/saved_model.pb').write_bytes(b'')
    os.chmod(folder / closed, 0o755 if closed == '.' else 0o600)
    done = loader_server.run(
        'load_jobs:slim', folder / 'saved_model', folder / 'slim', uid=_NOBODY)
    assert done.status == 1
    assert sentence in done.stderr
    assert 'Traceback' not in done.stderr
    assert sorted(p.name for p in folder.iterdir()) == ['saved_model']
