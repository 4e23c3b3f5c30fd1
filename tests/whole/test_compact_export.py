"""Compact exports return what NumPy makes of the stock export's outputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compact_reference import compact_in_numpy
from exporter.output_keys import OutputSelection
from exports import assert_same
from families import DEEPMAC, FIVE_KEYS, MASK_RCNN, SSD, SSD_FLOAT

pytestmark = pytest.mark.slow

_MASK_RCNN_FLOAT = dataclasses.replace(
    MASK_RCNN, input_type='float_image_tensor', batch=2)

# A min_score of this is put between two scores of the model, so that the images
# of the batch keep some detections each, and not the same number.
_BETWEEN = 'between'


@dataclasses.dataclass(frozen=True)
class _Case:
  name: str
  family: object
  allow: str | None
  options: dict
  dtypes: dict = dataclasses.field(default_factory=dict)


_CASES = [
    _Case('masks in bytes', _MASK_RCNN_FLOAT, FIVE_KEYS, {'min_score': _BETWEEN},
          {'detection_masks': 'uint8', 'detection_classes': 'uint8',
           'num_detections': 'int32'}),
    _Case('everything, masks 0 and 1', _MASK_RCNN_FLOAT, None,
          {'max_detections': 3, 'mask_threshold': 0.5},
          {'detection_boxes': 'float16'}),
    _Case('scores not kept', SSD_FLOAT,
          'detection_boxes,detection_anchor_indices,num_detections',
          {'min_score': _BETWEEN, 'max_detections': 5},
          {'detection_anchor_indices': 'int32'}),
    _Case('no detection', SSD_FLOAT, 'detection_*,num_detections',
          {'min_score': 1.0}),
]


def _param(case):
  marks = [pytest.mark.both_stacks] if case in _CASES[:1] else []
  return pytest.param(case, marks=marks, id=case.name)


@pytest.fixture(scope='module', params=map(_param, _CASES))
def case(request, exports):
  case = request.param
  options = dict(case.options)
  if options.get('min_score') == _BETWEEN:
    options['min_score'] = _min_score(exports.stock_outputs(case.family))
  return dataclasses.replace(case, options=options)


@pytest.fixture(scope='module')
def expected(exports, case):
  stock = exports.stock_outputs(case.family)
  kept = OutputSelection.parse(case.allow).select(stock)
  return compact_in_numpy(stock, kept, **case.options, dtypes=case.dtypes)


@pytest.fixture(scope='module')
def loaded(exports, exporter_server, case):
  target = exports.folder(case.family) / f'compact-{case.name}'
  exporter_server.run(
      'compact_jobs:export', dataclasses.asdict(case.family),
      exports.checkpoint(case.family.name), target, case.allow,
      {**case.options, 'dtypes': case.dtypes}).ok()
  return exports.load_and_run(case.family, target)


def test_outputs_are_stocks_compacted_in_numpy(case, loaded, expected):
  if case.options.get('min_score', 1) < 1:
    assert len(set(expected['num_detections'].tolist())) == 2
  assert_same(loaded.signed, expected)
  assert_same(loaded.called, expected)


def test_signature_says_what_the_outputs_are(exports, case, loaded, expected):
  stock = exports.stock_signature(case.family)
  assert loaded.inputs == stock['inputs']
  shapes = {key: list(stock['outputs'][key][1]) for key in expected}
  for key, shape in shapes.items():
    if key.startswith('detection_'):
      shape[1] = None
  assert loaded.outputs == {
      key: [str(value.dtype), shapes[key]] for key, value in expected.items()}


def test_masks_for_given_boxes_are_not_cut(exports, exporter_server):
  job = exporter_server.run(
      'compact_jobs:export', dataclasses.asdict(DEEPMAC),
      exports.checkpoint(DEEPMAC.name), exports.folder(DEEPMAC) / 'compact',
      None, {'min_score': 0.5})
  assert job.status == 1
  assert 'do not go with input type image_and_boxes_tensor' in job.stderr
  assert not (exports.folder(DEEPMAC) / 'compact').exists()


def test_refusals_leave_nothing_behind(exports, exporter_server):
  target = exports.folder(SSD_FLOAT) / 'refused'
  job = exporter_server.run(
      'compact_jobs:export', dataclasses.asdict(SSD_FLOAT),
      exports.checkpoint(SSD_FLOAT.name), target, None,
      {'dtypes': {'detection_scores': 'int32'}})
  assert job.status == 1
  assert 'detection_scores cannot be int32' in job.stderr
  assert not target.exists()


def test_modules_that_users_have_added_need_not_know_of_them(exporter_server):
  assert exporter_server.run(
      'compact_jobs:make_upstream_style_module',
      SSD.pipeline).ok().value == 'UsersModule'


def _min_score(stock) -> float:
  """A score that the two images reach with different numbers of detections."""
  scores = [image[:int(count)] for image, count in zip(
      stock['detection_scores'], stock['num_detections'])]
  for score in sorted(np.unique(np.concatenate(scores)), reverse=True):
    counts = [int((image >= score).sum()) for image in scores]
    if min(counts) and len(set(counts)) == 2:
      return float(score)
  raise AssertionError('The scores of both images are the same.')
