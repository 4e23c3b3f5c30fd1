"""Beam pipelines on the DirectRunner: ours around a Detector, and upstream's own."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from cluster_packages import needs
from families import FASTER_RCNN
from image_folders import write_images

pytestmark = [pytest.mark.slow, pytest.mark.cluster, needs('apache_beam')]


def test_run_inference_gives_a_line_for_each_image(loader_server, tmp_path):
  loader_server.run('batch_jobs:write_detector', tmp_path / 'model').ok()
  paths = write_images(tmp_path / 'photos', 25, broken=1)
  loader_server.run('beam_jobs:run_example', tmp_path / 'model',
                    tmp_path / 'photos' / '*.jpg', tmp_path / 'found').ok()
  lines = [json.loads(line) for file in tmp_path.glob('found*.jsonl')
           for line in file.read_text().splitlines()]
  rows = {line['path']: line for line in lines}
  assert sorted(line['path'] for line in lines) == paths
  assert rows[paths[3]]['error'] == 'The file is empty.'
  assert rows[paths[3]]['detection_boxes'] is None
  assert rows[paths[0]]['height'] == 24
  assert rows[paths[0]]['detection_boxes'][0] == [0.25, 0.5, 0.75, 1.0]
  # What the model says of the images differs.
  thirds = [rows[path]['detection_scores'][2] for path in paths[:3]]
  assert len(set(np.float32(thirds))) == 3


@pytest.fixture(scope='module')
def folder(exports, exporter_server, tmp_path_factory) -> pathlib.Path:
  """Stock's and our exports of a Faster R-CNN with features, and tf.Examples."""
  folder = tmp_path_factory.mktemp('context')
  with open(FASTER_RCNN.pipeline, encoding='utf-8') as f:
    config = f.read()
  marker = 'number_of_stages: 2'
  assert marker in config
  (folder / 'pipeline.config').write_text(
      config.replace(marker, f'{marker}\noutput_final_box_features: true'))
  exporter_server.run(
      'beam_jobs:export_both', folder / 'pipeline.config',
      exports.checkpoint(FASTER_RCNN.name), folder).ok()
  exporter_server.run('beam_jobs:write_examples', folder / 'examples', 6).ok()
  return folder


@pytest.mark.parametrize('name, profile, options, has', [
    ('generate_detection_data', 'context_detection', [0.1, 1],
     'image/object/class/score'),
    ('generate_embedding_data', 'context_embedding', [2, 1, 1, 'final_box_features'],
     'image/embedding'),
])
def test_upstreams_job_gives_the_same_with_ours(
    exporter_server, folder, name, profile, options, has):
  written = [exporter_server.run(
      'beam_jobs:run_upstream', name, folder / 'examples',
      folder / export / 'saved_model', folder / f'{name}-{export}', options).ok().value
             for export in ('stock', profile)]
  assert written[0] == written[1]
  assert len(written[0]) == 6 and all(has in example for example in written[0])
