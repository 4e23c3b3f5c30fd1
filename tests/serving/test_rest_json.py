"""JSON of responses: text written by hand from what the server's writer does."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exporter.serving import rest_json
from exporter.errors import UserError

_MAX_FLOAT = np.finfo(np.float32).max


def _lines(*lines: str) -> bytes:
  return '\n'.join(lines).encode()


def _texts(array: np.ndarray) -> list[str]:
  """The values of a vector; columns give each its own line."""
  lines = rest_json.render({'x': array}, 'columnar').decode().split('\n')
  return [line.strip(' ,') for line in lines[2:-2]]


def test_one_output_in_rows_begins_on_the_line_and_ends_on_the_next():
  array = np.arange(1, 9, dtype=np.int32).reshape(2, 2, 2)
  assert rest_json.render({'int_tensor': array}, 'row') == _lines(
      '{',
      '    "predictions": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]',
      '    ]',
      '}')


def test_one_scalar_per_row():
  assert rest_json.render({'y': np.float32([2.5, 3, 4.5])}, 'row') == _lines(
      '{', '    "predictions": [2.5, 3.0, 4.5', '    ]', '}')


def test_several_outputs_in_rows_are_objects():
  outputs = {
      'num_detections': np.float32([2, 1]),
      'detection_boxes': np.float32([[[0, .25]], [[.5, 1]]]),
      'label': np.array([b'cat', b'dog'], dtype=object),
  }
  assert rest_json.render(outputs, 'row') == _lines(
      '{',
      '    "predictions": [',
      '        {',
      '            "num_detections": 2.0,',
      '            "detection_boxes": [[0.0, 0.25]],',
      '            "label": "cat"',
      '        },',
      '        {',
      '            "num_detections": 1.0,',
      '            "detection_boxes": [[0.5, 1.0]],',
      '            "label": "dog"',
      '        }',
      '    ]',
      '}')


def test_columns_put_every_value_on_its_line():
  outputs = {'a': np.uint8([[1, 2]]), 'b': np.int64(-7)}
  assert rest_json.render(outputs, 'columnar') == _lines(
      '{',
      '    "outputs": {',
      '        "a": [',
      '            [',
      '                1,',
      '                2',
      '            ]',
      '        ],',
      '        "b": -7',
      '    }',
      '}')


def test_one_output_in_columns_has_no_key():
  assert rest_json.render({'a': np.array([True, False])}, 'columnar') == _lines(
      '{', '    "outputs": [', '        true,', '        false', '    ]', '}')


def test_empty_tensors():
  # As a response cut at min_score that found nothing.
  outputs = {'boxes': np.zeros([1, 0, 4], np.float32), 'n': np.float32([0])}
  assert b'"boxes": [],\n' in rest_json.render(outputs, 'row')
  assert b'"boxes": [\n            []\n        ],' in rest_json.render(
      outputs, 'columnar')


def test_strings_of_bytes_outputs_are_base64_objects_also_on_one_line():
  outputs = {'png_bytes': np.array([[b'hello', b'tf']], dtype=object)}
  assert rest_json.render(outputs, 'row') == _lines(
      '{',
      '    "predictions": [[{',
      '                "b64": "aGVsbG8="',
      '            }, {',
      '                "b64": "dGY="',
      '            }]',
      '    ]',
      '}')


def test_bytes_suffix_means_nothing_on_numbers():
  text = rest_json.render({'size_bytes': np.int32([3])}, 'row')
  assert text == b'{\n    "predictions": [3\n    ]\n}'


def test_strings_escape_quotes_and_control_characters_only():
  text = 'a"b\\c/\n\t\x00\x1f\x7f\u00e9'.encode()
  rendered = rest_json.render({'s': np.array([text], dtype=object)}, 'row')
  assert '"a\\"b\\\\c/\\n\\t\\u0000\\u001F\x7f\u00e9"'.encode() in rendered


@pytest.mark.parametrize('value, expected', [
    (9000000, '9e+06'), (999999, '999999.0'), (1e6, '1e+06'), (0.5, '0.5'),
    (.0003, '0.0003'), (.00003, '3e-05'), (555557.5, '555557.5'),
    (0.2, '0.2'), (1 / 3, '0.333333343'), (-0.0, '-0.0'), (0, '0.0'),
    (16777216, '16777216.0'), (123456789, '123456792.0'), (100, '100.0'),
    (_MAX_FLOAT, '3.40282347e+38'),
    (math.nan, 'NaN'), (math.inf, 'Infinity'), (-math.inf, '-Infinity'),
])
def test_float32(value, expected):
  assert _texts(np.float32([value])) == [expected]


@pytest.mark.parametrize('value, expected', [
    (0.1, '0.1'), (1 / 3, '0.33333333333333331'), (1e15, '1e+15'),
    (1e16 + 2, '10000000000000002.0'), (1.7976931348623157e308,
                                        '1.7976931348623157e+308'),
])
def test_float64(value, expected):
  assert _texts(np.float64([value])) == [expected]


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32)))
def test_floats_read_back_as_the_same_numbers(values):
  text = rest_json.render({'x': values}, 'row')
  read = np.array(json.loads(text)['predictions'], np.float64).astype(np.float32)
  np.testing.assert_array_equal(read, values)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_takes_six_digits_or_nine(value):
  [text] = _texts(np.float32([value]))
  six, nine = '%.6g' % value, '%.9g' % value
  expected = six if np.float32(six) == np.float32(value) else nine
  assert text.removesuffix('.0') == expected


@pytest.mark.parametrize('shapes, words', [
    ({'a': (2, 3), 'b': (2,)}, None),
    ({}, None),
    ({'a': (1, 4), 'anchors': (300, 4)}, ['anchors', '300', 'of a', '1']),
    ({'a': (1,), 'loss': ()}, ['loss', 'scalar']),
    ({'a': (0, 4)}, ['first dimension of a', '0']),
])
def test_row_refusal(shapes, words):
  refusal = rest_json.row_refusal(shapes)
  if words is None:
    assert refusal is None
  else:
    assert all(word in refusal for word in words)


def test_render_refuses_what_the_server_does():
  with pytest.raises(UserError, match='half as JSON: it is float16'):
    rest_json.render({'half': np.float16([1])}, 'row')
  with pytest.raises(UserError, match='refuses to answer in rows'):
    rest_json.render({'a': np.float32([1]), 'b': np.float32([1, 2])}, 'row')


_KEYS = st.sampled_from(['a', 'detection_boxes', 'image_bytes', 'quo"te', 'caf\u00e9'])
_SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


@st.composite
def _tensors(draw, batch=None):
  shape = draw(_SHAPES)
  if batch is not None:
    shape = (batch, *shape)
  dtype = draw(st.sampled_from(
      [np.float32, np.float64, np.int32, np.uint8, np.int64, np.bool_, object]))
  if dtype is object:
    flat = draw(st.lists(st.binary(max_size=5), min_size=math.prod(shape),
                         max_size=math.prod(shape)))
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array.reshape(shape)
  return draw(hnp.arrays(dtype, shape))


def _size(outputs, form, batch=1):
  alone = len(outputs) == 1
  return rest_json.frame_bytes(form, len(outputs), batch) + sum(
      rest_json.output_bytes(
          key, rest_json.dtype_name(array), array.shape,
          rest_json.values_bytes(key, array), form, alone)
      for key, array in outputs.items())


@settings(deadline=None)
@given(st.dictionaries(_KEYS, _tensors(), min_size=1))
def test_size_in_columns_is_that_of_the_text(outputs):
  assert _size(outputs, 'columnar') == len(rest_json.render(outputs, 'columnar'))


@settings(deadline=None)
@given(st.integers(1, 3).flatmap(
    lambda batch: st.tuples(
        st.just(batch), st.dictionaries(_KEYS, _tensors(batch), min_size=1))))
def test_size_in_rows_is_that_of_the_text(batch_and_outputs):
  batch, outputs = batch_and_outputs
  assert _size(outputs, 'row', batch) == len(rest_json.render(outputs, 'row'))


def test_values_longer_than_a_chunk_are_all_counted():
  values = np.arange(40000, dtype=np.int32)
  assert rest_json.values_bytes('x', values) == sum(len(str(v)) for v in range(40000))
