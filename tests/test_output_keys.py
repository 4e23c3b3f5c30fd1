"""The selection of outputs: lists, globs, profiles and what is wrong with them."""

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.output_keys import (
    OutputKeyError, OutputSelection, load_profile, parse_patterns, read_profile,
    profiles_in, selection_from)
from exporter.paths.profiles import FOLDER

# As a Mask R-CNN returns them.
MODEL = ['detection_boxes', 'detection_classes', 'detection_masks',
         'detection_scores', 'num_detections', 'raw_detection_boxes',
         'raw_detection_scores']


@pytest.fixture
def profile(tmp_path):
  def write(text, encoding='utf-8'):
    path = tmp_path / 'profile.yaml'
    path.write_bytes(text.encode(encoding))
    return str(path)
  return write


def select(allow=None, deny=None, available=MODEL):
  return OutputSelection.parse(allow, deny).select(available)


def test_exact_keys():
  assert select('num_detections,detection_boxes') == [
      'detection_boxes', 'num_detections']


@pytest.mark.parametrize('glob, kept', [
    ('detection_*', MODEL[:4]),
    ('*_scores', ['detection_scores', 'raw_detection_scores']),
    ('detection_[bc]*', ['detection_boxes', 'detection_classes']),
    ('detection_[!bcm]*', ['detection_scores']),
    ('num_detection?', ['num_detections']),
    ('*', MODEL),
])
def test_globs(glob, kept):
  assert select(glob) == kept


def test_pattern_that_is_a_key_means_that_key():
  model = ['a[0]', 'a0', 'b*', 'bc', 'bd']
  assert select('a[0]', available=model) == ['a[0]']
  assert select('b*', available=model) == ['b*']
  assert select(deny='a[0],b*', available=model) == ['a0', 'bc', 'bd']
  assert select('a[0]', available=model[1:]) == ['a0']


def test_key_with_a_comma_is_named_in_a_list_or_by_a_glob(profile):
  model = ['a,b', 'a', 'b']
  path = profile('output_keys: ["a,b"]')
  assert load_profile(path).select(model) == ['a,b']
  assert select('a,b', available=model) == ['a', 'b']
  assert select('a?b', available=model) == ['a,b']
  with pytest.raises(OutputKeyError, match="'a,b', 'c'; .* a list of a YAML profile"):
    select('a,b', available=['a,b', 'c'])


def test_globs_match_whole_keys_with_their_case():
  with pytest.raises(OutputKeyError):
    select('Detection_*')
  with pytest.raises(OutputKeyError):
    select('detection')


def test_deny_is_taken_from_what_allow_left():
  assert select('detection_*', '*_masks,*_classes') == [
      'detection_boxes', 'detection_scores']


def test_deny_alone_starts_from_all():
  assert select(deny='raw_*') == MODEL[:5]


def test_nothing_given_keeps_all():
  assert select() == MODEL


def test_order_is_the_models_not_the_lists():
  assert select('num_detections,detection_*') == MODEL[:5]


def test_key_named_twice_comes_once():
  assert select('detection_boxes,detection_*,detection_boxes') == MODEL[:4]


def test_blanks_and_empty_places_do_not_count():
  assert parse_patterns(' detection_boxes , ,raw_* ,') == (
      'detection_boxes', 'raw_*')


@pytest.mark.parametrize('given_, nearest', [
    ('detection_box', 'detection_boxes'),
    ('dectection_scores', 'detection_scores'),
    ('num_detection', 'num_detections'),
])
def test_unknown_key_names_the_nearest_and_lists_all(given_, nearest):
  with pytest.raises(OutputKeyError) as e:
    select(given_)
  assert f"did you mean '{nearest}'" in str(e.value)
  assert repr(given_) in str(e.value)
  for key in MODEL:
    assert key in str(e.value)


def test_unknown_key_with_nothing_near_has_no_guess():
  with pytest.raises(OutputKeyError) as e:
    select('zzz')
  assert 'did you mean' not in str(e.value)
  assert 'detection_boxes' in str(e.value)


def test_glob_that_matches_nothing_is_an_error():
  with pytest.raises(OutputKeyError, match="'keypoint_\\*'"):
    select('detection_boxes,keypoint_*')


def test_denied_key_that_does_not_exist_is_an_error():
  with pytest.raises(OutputKeyError, match="'raw_detection_boxs'"):
    select(deny='raw_detection_boxs')


def test_denied_key_may_be_one_that_allow_left_out():
  assert select('num_detections', 'raw_*') == ['num_detections']


def test_empty_result_is_an_error_that_names_both_lists():
  with pytest.raises(OutputKeyError) as e:
    select('detection_*', 'detection_*')
  assert 'output_keys=detection_*' in str(e.value)
  assert 'exclude_output_keys=detection_*' in str(e.value)


@pytest.mark.parametrize('text', ['', ' ', ',', ' , '])
def test_list_without_a_pattern_is_an_error(text):
  with pytest.raises(OutputKeyError, match='^output_keys is'):
    OutputSelection.parse(allow=text)
  with pytest.raises(OutputKeyError, match='^exclude_output_keys is'):
    OutputSelection.parse(deny=text)


# Profiles.


def test_profile_of_lists(profile):
  path = profile('output_keys: [detection_boxes, "detection_s*"]\n'
                 'exclude_output_keys:\n- "*_scores"\n')
  assert load_profile(path) == OutputSelection(
      ('detection_boxes', 'detection_s*'), ('*_scores',))


def test_profile_of_comma_separated_strings(profile):
  path = profile('output_keys: detection_boxes, num_detections\n')
  assert load_profile(path) == OutputSelection(
      ('detection_boxes', 'num_detections'), ())


def test_profile_with_one_list_only(profile):
  path = profile('exclude_output_keys: ["raw_*"]')
  assert load_profile(path) == OutputSelection(None, ('raw_*',))


@pytest.mark.parametrize('text, problem', [
    ('output_keys: [detection_boxes', 'not valid YAML'),
    ('output_keys: *detection', 'quotes'),
    ('- detection_boxes', 'a list'),
    ('detection_boxes', 'a string'),
    ('', 'nothing'),
    ('output_keys: 3', '3'),
    ('output_keys: [1, 2]', r'\[1, 2\]'),
    ('output_keys: {a: b}', "{'a': 'b'}"),
    ('output_keys: []', 'names no output key'),
    ('output_keys: ""', 'names no output key'),
    ('outputs: [detection_boxes]', "'outputs'"),
    ('1: [detection_boxes]', 'unknown entry 1'),
    ('output_keys: !!python/object:os.system {}', 'not valid YAML'),
])
def test_malformed_profile_is_one_clear_error(profile, text, problem):
  path = profile(text)
  with pytest.raises(OutputKeyError, match=problem) as e:
    load_profile(path)
  assert path in str(e.value)
  assert '\n' not in str(e.value)


def test_unknown_entry_names_the_nearest(profile):
  with pytest.raises(OutputKeyError, match="did you mean 'output_keys'"):
    load_profile(profile('output_key: [a]'))


def test_profile_that_is_not_utf8(profile):
  with pytest.raises(OutputKeyError, match='cannot be read'):
    load_profile(profile('output_keys: [détection]', 'latin-1'))


def test_missing_profile_and_folder(tmp_path):
  for path in (tmp_path / 'none.yaml', tmp_path):
    with pytest.raises(OutputKeyError, match='cannot be read'):
      load_profile(path)


# Flags and profile together.


def test_shipped_profile_by_its_bare_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert 'boxes' in profiles_in(FOLDER)
  for name, path in profiles_in(FOLDER).items():
    assert read_profile(name, FOLDER) == read_profile(path)
  (tmp_path / 'boxes').mkdir()  # A folder is no profile.
  assert 'detection_boxes' in load_profile('boxes', FOLDER).allow
  assert 'detection_boxes' in selection_from(None, None, 'boxes', FOLDER).allow


def test_file_without_extension_goes_before_the_shipped_profile(profile, monkeypatch):
  path = pathlib.Path(profile('output_keys: [mine]'))
  monkeypatch.chdir(path.parent)
  path.rename(path.parent / 'boxes')
  assert load_profile('boxes', FOLDER).allow == ('mine',)


@pytest.mark.parametrize('name, nearest', [
    ('box', "did you mean 'boxes'?"), ('Boxes', "did you mean 'boxes'?"),
    ('qqq', "profile 'qqq'. Shipped")])
def test_unknown_profile_names_the_nearest_and_lists_all(name, nearest):
  with pytest.raises(OutputKeyError) as error:
    load_profile(name, FOLDER)
  assert nearest in str(error.value)
  assert ', '.join(profiles_in(FOLDER)) in str(error.value)


def test_no_flag_is_no_selection():
  assert selection_from(None, None, None) is None


def test_flag_wins_over_the_profiles_list_of_the_same_name(profile):
  path = profile('output_keys: [a, b]\nexclude_output_keys: [c]')
  assert selection_from('x', None, path) == OutputSelection(('x',), ('c',))
  assert selection_from(None, 'x', path) == OutputSelection(('a', 'b'), ('x',))
  assert selection_from(None, None, path) == OutputSelection(('a', 'b'), ('c',))


def test_flags_without_profile():
  assert selection_from('a,b', 'c', None) == OutputSelection(('a', 'b'), ('c',))


@pytest.mark.parametrize('flags', [
    ('', None, None), (None, '', None), (None, None, '')])
def test_flag_given_but_empty_is_an_error(flags):
  with pytest.raises(OutputKeyError):
    selection_from(*flags)


# What holds for every model and every selection.

_names = st.text('abc_', min_size=1, max_size=4)
_models = st.lists(_names, min_size=1, max_size=8, unique=True)
_patterns = st.text('abc_*?', min_size=1, max_size=4)
_selections = st.builds(
    OutputSelection,
    st.none() | st.lists(_patterns, min_size=1, max_size=3).map(tuple),
    st.lists(_patterns, max_size=2).map(tuple))


def _select_or_none(selection, available):
  try:
    return selection.select(available)
  except OutputKeyError:
    return None


@given(_selections, _models)
def test_result_is_a_subset_in_the_models_order(selection, model):
  kept = _select_or_none(selection, model)
  if kept is not None:
    assert kept
    assert kept == [key for key in model if key in kept]


@given(_selections, _models)
def test_every_key_is_kept_or_denied_or_not_allowed(selection, model):
  kept = _select_or_none(selection, model)
  if kept is None:
    return
  for key in model:
    allowed = selection.allow is None or any(
        OutputSelection((p,)).select(model).count(key) for p in selection.allow)
    denied = any(
        OutputSelection((p,)).select(model).count(key) for p in selection.deny)
    assert (key in kept) == (allowed and not denied)


@given(st.lists(_patterns, min_size=1, max_size=3).map(tuple), _models)
def test_selecting_twice_is_selecting_once(allow, model):
  selection = OutputSelection(allow)
  kept = _select_or_none(selection, model)
  if kept is not None:
    assert selection.select(kept) == kept


@given(_models)
def test_star_is_the_identity(model):
  assert OutputSelection(('*',)).select(model) == model


@given(_models, st.data())
def test_denying_keys_removes_just_them(model, data):
  denied = data.draw(st.lists(st.sampled_from(model), unique=True))
  kept = _select_or_none(OutputSelection(None, tuple(denied)), model)
  left = [key for key in model if key not in denied]
  assert kept == (left or None)


@given(_models, st.data())
def test_exact_keys_are_returned_exactly(model, data):
  wanted = data.draw(st.lists(st.sampled_from(model), min_size=1, unique=True))
  assert set(OutputSelection(tuple(wanted)).select(model)) == set(wanted)


@given(_selections)
def test_printed_flags_parse_to_the_same_selection(selection):
  flags = dict(part.split('=', 1) for part in str(selection).split(' ')
               if '=' in part)
  assert OutputSelection.parse(
      flags.get('output_keys'), flags.get('exclude_output_keys')) == selection


@given(st.text(), st.text())
def test_any_text_parses_or_is_a_clear_error(allow, deny):
  try:
    OutputSelection.parse(allow, deny).select(MODEL)
  except OutputKeyError as e:
    assert str(e)
