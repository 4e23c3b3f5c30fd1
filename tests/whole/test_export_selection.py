"""Exports with a selection: the right outputs, with stock's very values."""

import pytest

from exporter.detection.key_hints import MODELS_WITH
from exporter.output_keys import OutputSelection
from exports import assert_same
from families import (
    CENTERNET, DEEPMAC, FAMILIES, FASTER_RCNN, INPUT_TYPES, MASK_RCNN, SSD)

pytestmark = [pytest.mark.slow, pytest.mark.every_stack]


_FAMILIES = (*FAMILIES, *INPUT_TYPES)


def _name(family):
  return f'{family.name}-{family.input_type}'


def _param(family):
  marks = [pytest.mark.both_stacks] if family in (MASK_RCNN, SSD, CENTERNET) else []
  return pytest.param(family, marks=marks, id=_name(family))


@pytest.fixture(scope='module', params=map(_param, _FAMILIES))
def family(request):
  return request.param


@pytest.fixture(scope='module')
def kept(exports, family):
  keys = OutputSelection.parse(
      family.output_keys, family.exclude_output_keys).select(
          exports.stock_signature(family)['outputs'])
  assert len(keys) < len(exports.stock_signature(family)['outputs'])
  return keys


@pytest.fixture(scope='module')
def loaded(exports, family):
  return exports.load_and_run(family, exports.selected(family))


def test_signature_returns_just_the_selected_outputs(loaded, kept):
  assert sorted(loaded.signed) == sorted(kept)
  assert loaded.signatures == ['serving_default']


def test_outputs_are_stocks_bit_for_bit(exports, family, loaded, kept):
  stock = exports.stock_outputs(family)
  expected = {key: stock[key] for key in kept}
  assert_same(loaded.signed, expected)
  assert_same(loaded.called, expected)


def test_input_and_output_specs_are_stocks(exports, family, loaded, kept):
  stock = exports.stock_signature(family)
  assert loaded.inputs == stock['inputs']
  assert loaded.outputs == {key: stock['outputs'][key] for key in kept}


# On other stacks `test_export_stock` shows it, with files.
@pytest.mark.parametrize('family', _FAMILIES, ids=_name)
def test_no_selection_exports_what_stock_does(exports, family):
  assert exports.unselected_signature(family) == exports.stock_signature(family)
  assert_same(exports.unselected_outputs(family), exports.stock_outputs(family))


@pytest.mark.parametrize('family, name', [
    (MASK_RCNN, 'Mask R-CNN'), (SSD, 'SSD'), (FASTER_RCNN, 'Faster R-CNN'),
    (DEEPMAC, 'DeepMAC'), (CENTERNET, 'CenterNet with a keypoint head'),
], ids=lambda value: getattr(value, 'name', value))
def test_models_with_a_key_have_it(exports, family, name):
  keys = [key for key, models in MODELS_WITH.items() if name in models.split(', ')]
  assert keys and set(keys) <= exports.stock_signature(family)['outputs'].keys()
