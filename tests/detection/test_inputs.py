"""The flags that describe side inputs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.detection.inputs import SideInput, SideInputError, parse_side_inputs

NAMES = 'context_features,valid_context_size'


@pytest.mark.parametrize('types', [
    'tf.float32,tf.int32', 'float,integer', 'float32,int32', ' float , tf.int32 '])
def test_upstreams_example(types):
  assert parse_side_inputs('1,2000,2057/1', types, NAMES) == [
      SideInput((1, 2000, 2057), 'float32', 'context_features'),
      SideInput((1,), 'int32', 'valid_context_size')]


def test_the_three_words_of_upstreams_help():
  types = [s.dtype for s in parse_side_inputs('1/1/1', 'string,integer,float', 'a,b,c')]
  assert types == ['string', 'int32', 'float32']


def test_minus_one_is_an_unknown_size():
  assert parse_side_inputs('1,-1,9', 'float', 'a')[0].shape == (1, None, 9)


def test_empty_shape_is_a_scalar():
  assert [s.shape for s in parse_side_inputs('/2', 'float,float', 'a,b')] == [
      (), (2,)]


@pytest.mark.parametrize('type_', [
    'bool', 'tf.bool', 'int64', 'tf.uint8', 'tf.float16', 'tf.string', 'bfloat16'])
def test_tensorflows_names(type_):
  assert parse_side_inputs('1', type_, 'a')[0].dtype == type_.removeprefix('tf.')


@pytest.mark.parametrize('type_', [
    '__import__("os").system("true")', 'tf', 'tf.', 'floats', 'tf.tf.float32',
    'float32()', 'tf.Variable', '', 'complex', 'np.float32', 'FLOAT'])
def test_other_types_are_errors_and_never_evaluated(type_):
  with pytest.raises(SideInputError, match='side_input_types holds'):
    parse_side_inputs('1', type_, 'a')


def test_misspelt_type_names_the_nearest():
  with pytest.raises(SideInputError, match="did you mean 'float32'"):
    parse_side_inputs('1', 'tf.flaot32', 'a')


@pytest.mark.parametrize('shape', [
    '1,a', '1,,2', '1.5', '[1,2]', '1;2', '-2', '2**9', '1,-1,-3', '(1,)', ',', f'1,{2**63}'])
def test_malformed_shapes(shape):
  with pytest.raises(SideInputError, match='side_input_shapes holds') as e:
    parse_side_inputs(shape, 'float', 'a')
  assert repr(shape) in str(e.value)


@pytest.mark.parametrize('flags', [
    ('1/1', 'float', 'a'), ('1', 'float,float', 'a'), ('1', 'float', 'a,b')])
def test_lists_of_different_length(flags):
  with pytest.raises(SideInputError, match='one of each for every input'):
    parse_side_inputs(*flags)


@pytest.mark.parametrize('names, problem', [
    ('', 'needs a name'), ('a,', 'needs a name'), ('a,a', 'twice')])
def test_names_must_be_there_and_differ(names, problem):
  with pytest.raises(SideInputError, match=problem):
    parse_side_inputs('1/1', 'float,float', names)


def test_nothing_given_is_an_error():
  with pytest.raises(SideInputError):
    parse_side_inputs('', '', '')


_inputs = st.lists(
    st.builds(SideInput,
              st.lists(st.none() | st.integers(0, 9999), max_size=4).map(tuple),
              st.sampled_from(['float32', 'int32', 'string', 'int64', 'bool']),
              st.text('abcdef_', min_size=1, max_size=9)),
    min_size=1, max_size=4, unique_by=lambda side_input: side_input.name)


@given(_inputs, st.booleans())
def test_what_is_written_out_is_read_back(inputs, with_tf):
  shapes = '/'.join(
      ','.join('-1' if size is None else str(size) for size in one.shape)
      for one in inputs)
  types = ','.join(('tf.' if with_tf else '') + one.dtype for one in inputs)
  assert parse_side_inputs(
      shapes, types, ','.join(one.name for one in inputs)) == inputs


@given(st.text(), st.text(), st.text())
def test_any_text_is_read_or_is_a_clear_error(shapes, types, names):
  try:
    assert parse_side_inputs(shapes, types, names)
  except SideInputError as e:
    assert str(e)
