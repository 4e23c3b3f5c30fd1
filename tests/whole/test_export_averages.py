"""`--use_moving_averages` exports what evaluation runs."""

import numpy as np
import pytest

from families import SSD

pytestmark = [pytest.mark.slow, pytest.mark.both_stacks]


@pytest.fixture(scope='module')
def trained(exports, exporter_server, tmp_path_factory):
  """A checkpoint of training with averages, and what is in it."""
  folder = tmp_path_factory.mktemp('averages')
  exporter_server.run('average_jobs:train', SSD.name, exports.checkpoint(SSD.name),
                      folder).ok()
  return folder


@pytest.fixture(scope='module')
def averaged(exporter_server, trained, tmp_path_factory):
  target = tmp_path_factory.mktemp('averaged') / 'export'
  exporter_server.run('average_jobs:export', SSD.name, trained, target, True).ok()
  return target


def test_weights_are_the_averages_and_the_rest_is_as_it_was(
    exporter_server, trained, averaged, tmp_path):
  exporter_server.run('average_jobs:weights', SSD.name, averaged,
                      tmp_path / 'weights.npz').ok()
  with np.load(tmp_path / 'weights.npz') as f:
    found = dict(f)
  with np.load(trained / 'weights.npz') as f:
    expected = {key: f[key.replace('weight', 'average')]
                if key.replace('weight', 'average') in f else f[key]
                for key in f if key.startswith('weight/')}
    changed = [key for key in f if key.startswith('average/')
               and (f[key] != f[key.replace('average', 'weight')]).any()]
  assert len(changed) > 10 and len(changed) < len(expected)
  assert found.keys() == expected.keys()
  for key, value in expected.items():
    np.testing.assert_array_equal(found[key], value, key)


def test_detections_are_those_of_evaluation(trained, averaged, loader_server, tmp_path):
  with np.load(trained / 'weights.npz') as f:
    np.savez(tmp_path / 'in.npz', input_tensor=f['image'])
    expected = {key: f[f'output/{key}'] for key in ('detection_boxes', 'detection_scores')}
  loader_server.run('load_jobs:load_and_run', averaged / 'saved_model',
                    tmp_path / 'in.npz', tmp_path / 'out.npz').ok()
  with np.load(tmp_path / 'out.npz') as f:
    for key, value in expected.items():
      # Upstream swaps by adding and subtracting, which rounds.
      np.testing.assert_allclose(f[f'signature/{key}'], value, atol=1e-4)


def test_without_averages_is_refused(exports, exporter_server, tmp_path):
  ended = exporter_server.run('average_jobs:export', SSD.name,
                              exports.checkpoint(SSD.name), tmp_path / 'out', True)
  assert 'holds no moving averages' in ended.stderr
  assert not (tmp_path / 'out').exists()


def test_config_that_evaluates_averages_is_a_warning(
    exporter_server, trained, tmp_path):
  ended = exporter_server.run('average_jobs:export', SSD.name, trained,
                              tmp_path / 'out', False, True).ok()
  assert 'use_moving_averages exports the averages' in ended.stderr
