"""Faster and Mask R-CNN with one stage: region proposals, which have no classes."""

import numpy as np
import pytest

from families import MASK_RCNN

pytestmark = pytest.mark.slow

_MAIN = 'exporter.exporter_main_v2:run'
_FLAGS = ('exporter_main_v2', f'--pipeline_config_path={MASK_RCNN.pipeline}',
          '--config_override=model { faster_rcnn { number_of_stages: 1 } }')


def test_proposals_are_those_of_the_first_of_several_stages(
    exports, exporter_server, tmp_path):
  target = tmp_path / 'exported'
  exporter_server.run(_MAIN, argv=[
      *_FLAGS, f'--trained_checkpoint_dir={exports.checkpoint(MASK_RCNN.name)}',
      f'--output_directory={target}', '--output_keys=detection_*,num_detections',
      '--verify']).ok()
  proposals = exports.load_and_run(MASK_RCNN, target).signed
  assert sorted(proposals) == ['detection_boxes', 'detection_multiclass_scores',
                               'detection_scores', 'num_detections']
  all_stages = exports.stock_outputs(MASK_RCNN)
  np.testing.assert_array_equal(proposals['num_detections'], all_stages['num_proposals'])
  np.testing.assert_array_equal(
      proposals['detection_boxes'], all_stages['proposal_boxes_normalized'])


def test_proposals_are_listed(exporter_server):
  printed = exporter_server.run(_MAIN, argv=[*_FLAGS, '--list_output_keys']).ok().stdout
  assert 'detection_boxes' in printed and 'detection_classes' not in printed
