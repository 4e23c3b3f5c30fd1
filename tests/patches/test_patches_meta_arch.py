"""The edit of FasterRCNNMetaArch.postprocess, and what it refuses to drop."""

import ast

import libcst as cst
import libcst.matchers as m
import pytest

import fork_shapes
from patches import meta_arch_edit
from patches import prediction_keys
from patches import structure
from patches.prediction_keys import DropKeysError
from patches.structure import UnrecognisedSource

SHAPES = sorted(fork_shapes.META_ARCHES)
TWO = ('box_classifier_features', 'mask_predictions')


def _class(source):
  namespace = {}
  exec(compile(source, 'meta_arch', 'exec'), namespace)  # pylint: disable=exec-used
  return namespace['FasterRCNNMetaArch']


def _edited(source, keys=TWO):
  module = structure.parse(source.encode(), 'meta_arch.py')
  return meta_arch_edit.apply(module, 'meta_arch.py', keys).code


@pytest.mark.parametrize('shape', SHAPES)
def test_three_stages_drop_the_keys_and_nothing_else(shape):
  source = fork_shapes.META_ARCHES[shape]
  before, after = _class(source)(), _class(_edited(source))()
  expected = before.postprocess(before.predict(0, 0), 0)
  assert set(TWO) < set(expected)
  for key in TWO:
    del expected[key]
  assert after.postprocess(after.predict(0, 0), 0) == expected


@pytest.mark.parametrize('shape', SHAPES)
def test_loss_is_the_same_after_postprocess(shape):
  # As the Estimator's evaluation does: postprocess first, loss of the same dict.
  source = fork_shapes.META_ARCHES[shape]
  losses = []
  for code in (source, _edited(source)):
    model = _class(code)()
    predictions = model.predict(0, 0)
    model.postprocess(predictions, 0)
    losses.append(model.loss(predictions, 0))
  assert losses[0] == losses[1]
  assert losses[0]['Loss/masks'] is not None


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('options', [
    {'number_of_stages': 1}, {'number_of_stages': 2},
    {'number_of_stages': 3, 'is_training': True}])
def test_fewer_stages_and_training_are_as_before(shape, options):
  source = fork_shapes.META_ARCHES[shape]
  before, after = _class(source)(**options), _class(_edited(source))(**options)
  expected = before.postprocess(before.predict(0, 0), 0)
  assert after.postprocess(after.predict(0, 0), 0) == expected


@pytest.mark.parametrize('shape', SHAPES)
def test_edit_is_seen_and_its_keys_read(shape):
  module = structure.parse(fork_shapes.META_ARCHES[shape].encode(), 'file')
  assert meta_arch_edit.dropped_keys(module) is None
  edited = meta_arch_edit.apply(module, 'file', TWO)
  assert meta_arch_edit.dropped_keys(edited) == TWO


@pytest.mark.parametrize('key', sorted(
    prediction_keys.LOSS_KEYS | prediction_keys.EVALUATOR_KEYS))
def test_needed_keys_are_refused_by_name(key):
  reader = 'loss' if key in prediction_keys.LOSS_KEYS else 'the evaluator'
  with pytest.raises(DropKeysError, match=f"'{key}', which {reader} needs"):
    _edited(fork_shapes.META_ARCHES['tensors only'], ('mask_predictions', key))


def test_key_that_a_fork_s_own_loss_needs_is_refused():
  source = fork_shapes.META_ARCHES['tensors only'].replace(
      "prediction_dict['anchors']",
      "prediction_dict['anchors'] + prediction_dict['box_classifier_features']")
  with pytest.raises(DropKeysError, match='which loss needs'):
    _edited(source)


def test_unknown_key_is_refused_with_the_nearest():
  with pytest.raises(DropKeysError) as error:
    _edited(fork_shapes.META_ARCHES['tensors only'], ('mask_prediction',))
  assert "did you mean 'mask_predictions'?" in str(error.value)
  assert 'box_classifier_features' in str(error.value)


@pytest.mark.parametrize('text', ['', ' , '])
def test_empty_list_of_keys_is_refused(text):
  with pytest.raises(DropKeysError, match='names no key'):
    prediction_keys.parse_drop_keys(text)


def test_keys_are_parsed_in_order_and_once():
  assert prediction_keys.parse_drop_keys(' b, a,b,') == ('b', 'a')


@pytest.mark.parametrize('old,new,looked_for', [
    ('class FasterRCNNMetaArch', 'class Other', 'a class FasterRCNNMetaArch'),
    ('def postprocess', 'def finish', 'with a method postprocess'),
    ('def loss', 'def losses', 'a method loss'),
    ('if self._number_of_stages == 3:\n      # No', 'if self._masks:\n      # No',
     '`if self._number_of_stages == 3:`'),
    ('      return prediction_dict\n\n  def loss', '      return 1, 2\n\n  def loss',
     'a return of the prediction dict'),
])
def test_unknown_meta_arch_is_refused_with_what_was_looked_for(
    old, new, looked_for):
  source = fork_shapes.META_ARCHES['tensors only']
  assert old in source
  with pytest.raises(UnrecognisedSource) as error:
    _edited(source.replace(old, new))
  assert looked_for in str(error.value)
  assert 'meta_arch.py' in str(error.value)


@pytest.fixture(scope='module')
def installed_module(installed):
  name = 'meta_architectures/faster_rcnn_meta_arch.py'
  return structure.parse((installed / name).read_bytes(), name)


def test_installed_revision_is_edited_in_one_place(installed_module):
  edited = meta_arch_edit.apply(installed_module, 'file', TWO).code
  before = installed_module.code.splitlines()
  after = edited.splitlines()
  first = next(i for i, line in enumerate(before) if line != after[i])
  assert before[first] == '      return prediction_dict'
  added = len(after) - len(before)
  assert after[first + 1 + added:] == before[first + 1:]
  ast.parse(edited)


def test_installed_loss_needs_the_keys_that_are_known(installed_module):
  meta_arch = structure.class_named(installed_module, 'FasterRCNNMetaArch')
  assert prediction_keys._required_by_loss(meta_arch) == prediction_keys.LOSS_KEYS


def test_installed_evaluator_needs_the_keys_that_are_known(installed):
  module = structure.parse((installed / 'eval_util.py').read_bytes(), 'eval_util')
  function = structure.function_named(module.body, 'result_dict_for_batched_example')
  required = {
      read.slice[0].slice.value.attr.value
      for read in m.findall(function, m.Subscript(
          value=m.Name('detections'),
          slice=[m.SubscriptElement(m.Index(m.Attribute()))]))}
  # What is read only where it is there, and never comes from Mask R-CNN.
  optional = {'detection_surface_coords', 'detection_keypoints',
              'detection_keypoint_scores', 'detection_keypoint_depths'}
  assert required - optional == prediction_keys.EVALUATOR_KEYS


def test_droppable_of_the_installed_revision(installed_module):
  meta_arch = structure.class_named(installed_module, 'FasterRCNNMetaArch')
  with pytest.raises(DropKeysError) as error:
    prediction_keys.check_drop_keys(['anchors'], meta_arch, 'file')
  listed = str(error.value).partition('droppable are ')[2].rstrip('.').split(', ')
  # All of these, and no needed key, are outputs of the published Mask R-CNN.
  assert {'box_classifier_features', 'detection_anchor_indices',
          'detection_multiclass_scores', 'final_anchors', 'mask_predictions',
          'proposal_boxes_normalized', 'raw_detection_boxes',
          'raw_detection_scores'} <= set(listed)
  assert not set(listed) & (
      prediction_keys.LOSS_KEYS | prediction_keys.EVALUATOR_KEYS)
  prediction_keys.check_drop_keys(listed, meta_arch, 'file')


def test_edit_imports_no_name_of_libcst_into_the_fork():
  edited = _edited(fork_shapes.META_ARCHES['whole dict'])
  tree = cst.parse_module(edited)
  assert not m.findall(tree, m.Import() | m.ImportFrom())
