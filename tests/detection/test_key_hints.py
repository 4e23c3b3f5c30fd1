"""An unknown key is told with its reason."""

import doctest

import pytest

from exporter.detection import key_hints
from exporter.output_keys import OutputKeyError, OutputSelection

_DETECTIONS = ('detection_boxes', 'num_detections')
_PREDICTIONS = ('box_encodings', 'anchors')


def _said(allow=None, deny=None):
  with pytest.raises(OutputKeyError) as raised:
    key_hints.select(OutputSelection.parse(allow, deny), _DETECTIONS, _PREDICTIONS)
  return str(raised.value)


def test_examples_run():
  assert doctest.testmod(key_hints).failed == 0 < doctest.testmod(key_hints).attempted


def test_what_is_there_is_selected():
  assert key_hints.select(OutputSelection.parse('*', 'num_*'), _DETECTIONS,
                          _PREDICTIONS) == ['detection_boxes']


@pytest.mark.parametrize('allow, deny, says', [
    ('detection_masks', None, 'Models that have it: Mask R-CNN, CenterNet'),
    ('*_masks', None, "Models that have 'detection_masks': Mask R-CNN"),
    (None, 'detection_masks', 'Models that have it: Mask R-CNN'),
    ('box_encodings', None, "'box_encodings' is a tensor of the model's predict"),
    ('box_enc*', None, "'box_encodings' is a tensor of the model's predict"),
    # Others return it, but here it is known why it is missing.
    ('anchors', None, "'anchors' is a tensor of the model's predict"),
], ids=str)
def test_reason_follows_the_models_keys(allow, deny, says):
  said = _said(allow, deny)
  assert "Its outputs are detection_boxes, num_detections. " in said
  assert says in said


def test_typing_mistake_has_no_further_reason():
  assert _said('detection_box').endswith(
      "did you mean 'detection_boxes'? Its outputs are detection_boxes,"
      ' num_detections.')


def test_nothing_left_is_told_as_before():
  assert _said('num_*', 'num_*').startswith('No output is left')
