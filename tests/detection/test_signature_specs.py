"""What flags and profiles say of further signatures, without TensorFlow."""

import pytest

from exporter.detection import output_profile, signature_specs
from exporter.detection.compact_options import CompactOptions
from exporter.detection.signature_specs import SignatureSpec
from exporter.errors import UserError
from exporter.output_keys import OutputSelection, load_profile

_BYTES = 'encoded_image_string_tensor'
_SELECTION = OutputSelection.parse('detection_*')
_MAIN = SignatureSpec('image_tensor', None, _SELECTION, CompactOptions(min_score=0.3))


def _specs(*added, main=_MAIN, entries=()):
  return signature_specs.all_of(main, dict(entries), added)


def test_an_added_signature_is_as_the_main_one():
  specs = _specs(f'from_bytes:{_BYTES}', 'examples:tf_example')
  assert list(specs) == ['serving_default', 'from_bytes', 'examples']
  assert specs['from_bytes'] == SignatureSpec(
      _BYTES, (1,), _SELECTION, CompactOptions(min_score=0.3))


@pytest.mark.parametrize('main, input_type, shape', [
    (SignatureSpec('image_tensor'), 'float_image_tensor', (1, None, None, 3)),
    (SignatureSpec('image_tensor', (4, 96, 96, 3)), _BYTES, (4,)),
    (SignatureSpec('image_tensor', (None, 96, 96, 3)), _BYTES, None),
    (SignatureSpec(_BYTES), 'image_tensor', (None, None, None, 3)),
    (SignatureSpec(_BYTES), 'tf_example', None),
    (SignatureSpec(_BYTES, (1,)), 'image_tensor', None),
])
def test_an_added_signature_takes_as_many_images(main, input_type, shape):
  assert _specs(f'added:{input_type}', main=main)['added'].shape == shape


_PROFILE = '''
output_keys: ["detection_*"]
max_detections: 50
signatures:
  serving_default: {input_shape: [2, 96, 96, 3]}
  from_bytes:
    input_type: encoded_image_string_tensor
    input_shape: [1]
    output_keys: [detection_boxes]
    max_detections: 20
  any: {input_type: tf_example, input_shape: -1}
  same: {input_type: tf_example}
'''


@pytest.fixture
def profile(tmp_path):
  def profile(text=_PROFILE):
    path = tmp_path / 'profile.yaml'
    path.write_text(text)
    return str(path)
  return profile


def test_a_profile_describes_signatures(profile):
  loaded = output_profile.load(profile())
  specs = _specs(main=SignatureSpec('image_tensor', None, loaded.selection,
                                    loaded.compact), entries=loaded.signatures)
  most = CompactOptions(max_detections=50)
  assert specs == {
      'serving_default': SignatureSpec('image_tensor', (2, 96, 96, 3), _SELECTION, most),
      'from_bytes': SignatureSpec(_BYTES, (1,), OutputSelection.parse('detection_boxes'),
                                  CompactOptions(max_detections=20)),
      'any': SignatureSpec('tf_example', (None,), _SELECTION, most),
      'same': SignatureSpec('tf_example', (2,), _SELECTION, most)}


def test_the_slimmer_refuses_such_a_profile(profile):
  with pytest.raises(UserError, match="'signatures', which needs"):
    load_profile(profile('signatures: {a: {input_type: tf_example}}'))


@pytest.mark.parametrize('text, words', [
    ('signatures: [a]', ['must be a mapping']),
    ('signatures: {}', ['must be a mapping']),
    ('signatures: {a: }', ['a of signatures', 'no input_type']),
    ('signatures: {a: x}', ["is 'x'", 'a mapping with any of input_type']),
    ('signatures: {a: {input_typ: tf_example}}', ["did you mean 'input_type'"]),
    ('signatures: {a: {input_type: tf_exampel}}', ["did you mean 'tf_example'"]),
    ('signatures: {a: {input_type: tf_example, input_shape: [1, 2]}}',
     ['a of signatures', '2 dimensions']),
    ('signatures: {a: {input_type: tf_example, input_shape: {}}}', ['list of sizes']),
    ('signatures: {a: {input_type: tf_example, min_score: 2}}', ['min_score is 2']),
    ('signatures: {a: {input_type: tf_example, output_keys: 3}}', ['output_keys']),
    ('signatures: {__a: {input_type: tf_example}}', ["'__a'", 'begins with a letter']),
    ('signatures: {1: {input_type: tf_example}}', ['the signature name 1']),
])
def test_what_is_no_signature_in_a_profile(profile, text, words):
  _assert_refused(lambda: output_profile.load(profile(text)), *words, 'profile.yaml')


@pytest.mark.parametrize('added, words', [
    (['from_bytes'], ['NAME:INPUT_TYPE']),
    ([':tf_example'], ['NAME:INPUT_TYPE']),
    (['a:tf_exampel'], ["add_signature is 'a:tf_exampel'", "did you mean 'tf_example'"]),
    (['a b:tf_example'], ["'a b'", 'begins with a letter']),
    (['serving_default:tf_example'], ["signature 'serving_default' already"]),
    (['a:tf_example', 'a:image_tensor'], ["signature 'a' already"]),
])
def test_what_cannot_be_added(added, words):
  _assert_refused(lambda: _specs(*added), *words)


def test_side_inputs_and_cuts_must_fit_each_signature():
  _assert_refused(lambda: SignatureSpec(_BYTES).check(use_side_inputs=True),
                  'need the input type image_tensor')
  boxes = SignatureSpec('image_and_boxes_tensor', None, None,
                        CompactOptions(max_detections=1))
  _assert_refused(boxes.check, 'do not go with')


def _assert_refused(call, *words):
  with pytest.raises(UserError) as raised:
    call()
  for word in words:
    assert word in str(raised.value)
