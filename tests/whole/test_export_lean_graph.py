"""An export with a selection holds nothing that its outputs do not need."""

import numpy as np
import pytest

from exports import assert_same
from families import FAMILIES, MASK_RCNN, SSD_ENCODED

pytestmark = pytest.mark.slow

_BOXES = 'detection_boxes,detection_scores,detection_classes,num_detections'


@pytest.fixture(scope='module')
def walk(loader_server):
  def walk(export):
    return loader_server.run(
        'graph_walk:walk', export / 'saved_model').ok().value
  return walk


def _assert_lean(facts):
  assert facts['unreached_nodes'] == []
  assert facts['unused_results'] == []
  assert facts['uncalled_functions'] == []


@pytest.mark.parametrize(
    'family',
    [pytest.param(f, id=f'{f.name}-{f.input_type}',
                  marks=[pytest.mark.both_stacks] if f is MASK_RCNN else [])
     for f in (*FAMILIES, SSD_ENCODED)])
def test_every_node_is_needed_and_the_body_stands_once(exports, walk, family):
  facts = walk(exports.selected(family))
  _assert_lean(facts)
  assert set(facts['acting_ops']) <= {'Assert'}
  with_convolutions = [n for n, count in facts['conv_counts'].items() if count]
  assert len(with_convolutions) == 1
  assert max(facts['node_counts'], key=facts['node_counts'].get) == (
      with_convolutions[0])


def test_walk_finds_what_stock_leaves(exports, walk):
  facts = walk(exports.stock(MASK_RCNN))
  assert len(facts['unreached_nodes']) > 100
  assert len([n for n, count in facts['conv_counts'].items() if count]) > 1


@pytest.fixture(scope='module')
def boxes_only(exports):
  return exports.exported(MASK_RCNN, _BOXES)


def test_dropping_the_masks_drops_the_mask_head(exports, walk, boxes_only):
  with_masks, without = walk(exports.selected(MASK_RCNN)), walk(boxes_only)
  _assert_lean(without)
  left_out = list(map(tuple, with_masks['variables']))
  for shape in without['variables']:
    left_out.remove(tuple(shape))
  # Its last layer has a channel for each of the model's five classes.
  assert [shape for shape in left_out if len(shape) == 4 and shape[-1] == 5]
  assert (sum(without['node_counts'].values())
          < sum(with_masks['node_counts'].values()))


def test_dropped_variables_are_not_in_the_file(boxes_only, walk, loader_server):
  entries = loader_server.run(
      'load_jobs:checkpoint_entries',
      boxes_only / 'saved_model' / 'variables' / 'variables').ok().value
  shapes = [shape for key, shape in entries.items()
            if key.endswith('.ATTRIBUTES/VARIABLE_VALUE')]
  assert sorted(shapes) == walk(boxes_only)['variables']


@pytest.mark.both_stacks
def test_exported_checkpoint_stays_complete(exports, loader_server, tmp_path):
  """Of the trained checkpoint, all but the book-keeping of saving itself."""
  def values(folder, name):
    loader_server.run('load_jobs:checkpoint_entries', folder / 'ckpt-0',
                      tmp_path / name).ok()
    with np.load(tmp_path / name) as f:
      return {key: f[key] for key in f if not key.startswith('save_counter')}

  trained = values(exports.checkpoint(MASK_RCNN.name), 'trained.npz')
  exported = values(exports.selected(MASK_RCNN) / 'checkpoint', 'exported.npz')
  assert len(trained) > 200
  assert_same(exported, trained)


def test_kept_outputs_do_not_depend_on_what_is_dropped(exports, boxes_only):
  loaded = exports.load_and_run(MASK_RCNN, boxes_only)
  stock = exports.stock_outputs(MASK_RCNN)
  assert_same(loaded.signed, {key: stock[key] for key in _BOXES.split(',')})


def test_star_is_all_outputs_in_a_lean_graph(exports, walk):
  export = exports.exported(MASK_RCNN, '*')
  loaded = exports.load_and_run(MASK_RCNN, export)
  assert_same(loaded.signed, exports.stock_outputs(MASK_RCNN))
  assert_same(loaded.called, exports.stock_outputs(MASK_RCNN))
  assert loaded.outputs == exports.stock_signature(MASK_RCNN)['outputs']
  facts = walk(export)
  _assert_lean(facts)
  assert len(facts['node_counts']) < 20
