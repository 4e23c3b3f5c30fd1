"""The YAML profiles in configs/outputs/ select what their comments say."""

import pathlib

import pytest

from exporter import output_keys
from exporter.detection import output_profile
from families import by_name

_ROOT = pathlib.Path(__file__).parents[2]
_PROFILES = _ROOT / 'configs' / 'outputs'

_BOXES = {'detection_boxes', 'detection_classes', 'detection_scores',
          'num_detections'}
_RAW = {'raw_detection_boxes', 'raw_detection_scores'}
_ANCHORED = _BOXES | _RAW | {
    'detection_anchor_indices', 'detection_multiclass_scores'}
_CENTERNET = _BOXES | {'detection_boxes_strided', 'detection_multiclass_scores'}

# What the stock exporter's models return, by pipeline.
_MODEL_KEYS = {
    'ssd_mobilenet_v2_small': _ANCHORED,
    'efficientdet_d0_small': _ANCHORED,
    'faster_rcnn_resnet50_small': _ANCHORED,
    # With output_final_box_features.
    'faster_rcnn_with_features': _ANCHORED | {'detection_features'},
    'context_rcnn_resnet50_small': _ANCHORED,
    'mask_rcnn_resnet50_small': _ANCHORED | {
        'anchors', 'box_classifier_features', 'class_predictions_with_background',
        'detection_masks', 'final_anchors', 'image_shape', 'mask_predictions',
        'num_proposals', 'proposal_boxes', 'proposal_boxes_normalized',
        'refined_box_encodings', 'rpn_box_encodings',
        'rpn_objectness_predictions_with_background'},
    'centernet_keypoints_small': _CENTERNET | {
        'detection_keypoints', 'detection_keypoint_scores'},
    'deepmac_small': _CENTERNET | {'detection_masks'},
}
_WITH_MASKS = ['mask_rcnn_resnet50_small', 'deepmac_small']
_WITH_KEYPOINTS = ['centernet_keypoints_small']
_WITH_FEATURES = ['faster_rcnn_with_features']


def _select(profile, model):
  selection = output_profile.load(_PROFILES / f'{profile}.yaml').selection
  return set(selection.select(sorted(_MODEL_KEYS[model])))


@pytest.mark.parametrize('model', _MODEL_KEYS)
def test_boxes(model):
  assert _select('boxes', model) == _BOXES


@pytest.mark.parametrize('model', _WITH_MASKS)
def test_boxes_and_masks(model):
  assert _select('boxes_and_masks', model) == _BOXES | {'detection_masks'}


@pytest.mark.parametrize('model', _MODEL_KEYS)
def test_context_detection(model):
  assert _select('context_detection', model) == _BOXES - {'detection_classes'}


@pytest.mark.parametrize('model', _WITH_FEATURES)
def test_context_embedding(model):
  assert _select('context_embedding', model) == _BOXES - {'detection_classes'} | {
      'detection_features'}


@pytest.mark.parametrize('model', _WITH_KEYPOINTS)
def test_keypoints(model):
  assert _select('keypoints', model) == _BOXES | {
      'detection_keypoints', 'detection_keypoint_scores'}


@pytest.mark.parametrize('model', _MODEL_KEYS)
def test_without_intermediate(model):
  dropped = _MODEL_KEYS[model] - _select('without_intermediate', model)
  assert dropped == {
      'mask_rcnn_resnet50_small':
          _MODEL_KEYS[model] - _BOXES - {
              'detection_anchor_indices', 'detection_masks',
              'detection_multiclass_scores'},
      'centernet_keypoints_small': {'detection_boxes_strided'},
      'deepmac_small': {'detection_boxes_strided'},
  }.get(model, _RAW)


@pytest.mark.parametrize('profile, wanted, models', [
    ('boxes_and_masks', 'detection_masks', _WITH_MASKS),
    ('keypoints', 'detection_keypoint*', _WITH_KEYPOINTS),
    ('context_embedding', 'detection_features', _WITH_FEATURES),
])
def test_is_refused_for_models_without(profile, wanted, models):
  for model in _MODEL_KEYS.keys() - set(models):
    with pytest.raises(output_keys.OutputKeyError) as error:
      _select(profile, model)
    assert repr(wanted) in str(error.value)


@pytest.mark.parametrize(
    'profile', sorted(path.stem for path in _PROFILES.glob('*.yaml')))
def test_drops_outputs_of_some_model(profile):
  model = {'keypoints': 'centernet_keypoints_small',
           'context_embedding': 'faster_rcnn_with_features'}.get(
               profile, 'mask_rcnn_resnet50_small')
  assert _select(profile, model) < _MODEL_KEYS[model]


@pytest.mark.slow
@pytest.mark.both_stacks
@pytest.mark.parametrize('model', [
    'ssd_mobilenet_v2_small', 'mask_rcnn_resnet50_small',
    'centernet_keypoints_small'])
def test_models_return_the_keys_that_these_tests_assume(exports, model):
  outputs = exports.stock_signature(by_name(model))['outputs']
  assert outputs.keys() == _MODEL_KEYS[model]
