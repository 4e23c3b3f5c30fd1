"""Signatures are read from bytes written here field by field, by the format."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import UserError
from exporter.saved_model.files import find_saved_model, parse_tag_set
from exporter.saved_model.signature import TensorSpec, read_signature, read_signatures

_FLOAT, _UINT8, _STRING = 1, 4, 7


def _varint(n: int) -> bytes:
  n %= 1 << 64
  out = bytearray()
  while n >= 128:
    out.append(n % 128 + 128)
    n //= 128
  return bytes(out + bytes([n]))


def _field(number: int, value: bytes | str | int) -> bytes:
  if isinstance(value, int):
    return _varint(number << 3) + _varint(value)
  value = value.encode() if isinstance(value, str) else value
  return _varint(number << 3 | 2) + _varint(len(value)) + value


def _shape(dims) -> bytes:
  if dims is None:
    return _field(3, 1)  # unknown_rank
  return b''.join(_field(2, _field(1, dim) + _field(2, 'name')) for dim in dims)


def _tensor(dtype: int, dims) -> bytes:
  return _field(1, 'StatefulPartitionedCall:0') + _field(2, dtype) + _field(
      3, _shape(dims))


def _entry(key: str, value: bytes) -> bytes:
  return _field(1, key) + _field(2, value)


def _signature(inputs: dict, outputs: dict) -> bytes:
  return (b''.join(_field(1, _entry(k, _tensor(*v))) for k, v in inputs.items())
          + b''.join(_field(2, _entry(k, _tensor(*v))) for k, v in outputs.items())
          + _field(3, 'tensorflow/serving/predict'))


def _graph(signatures: dict, tags=('serve',)) -> bytes:
  info = _field(1, 'version') + b''.join(_field(4, tag) for tag in tags)
  graph_def = b'any bytes: the graph is skipped'
  return _field(1, info) + _field(2, graph_def) + b''.join(
      _field(5, _entry(k, v)) for k, v in signatures.items())


def _write(directory, *graphs: bytes):
  directory.mkdir(parents=True, exist_ok=True)
  (directory / 'saved_model.pb').write_bytes(
      _field(1, 1) + b''.join(_field(2, graph) for graph in graphs))
  return directory


_DETECT = _signature(
    {'input_tensor': (_UINT8, [1, -1, -1, 3])},
    {'detection_boxes': (_FLOAT, [1, 100, 4]), 'anchors': (_FLOAT, [-1, 4]),
     'names': (_STRING, None), 'scalar': (_FLOAT, [])})


def test_reads_dtypes_and_shapes(tmp_path):
  signature = read_signature(_write(tmp_path, _graph({'serving_default': _DETECT})))
  assert signature.name == 'serving_default'
  assert signature.tags == ('serve',)
  assert signature.inputs == {
      'input_tensor': TensorSpec('input_tensor', 'uint8', (1, None, None, 3))}
  assert list(signature.outputs.items()) == [
      ('anchors', TensorSpec('anchors', 'float32', (None, 4))),
      ('detection_boxes', TensorSpec('detection_boxes', 'float32', (1, 100, 4))),
      ('names', TensorSpec('names', 'string', None)),
      ('scalar', TensorSpec('scalar', 'float32', ())),
  ]


def test_takes_an_export_directory_too(tmp_path):
  saved_model = _write(tmp_path / 'saved_model', _graph({'serving_default': _DETECT}))
  assert find_saved_model(tmp_path) == str(saved_model)
  assert find_saved_model(saved_model) == str(saved_model)
  assert read_signature(tmp_path) == read_signature(saved_model)


def test_takes_the_graph_with_the_tag_serve(tmp_path):
  train = _signature({}, {'loss': (_FLOAT, [])})
  _write(tmp_path, _graph({'serving_default': train}, ['serve', 'tpu']),
         _graph({'serving_default': _DETECT}, ['serve']))
  signature = read_signature(tmp_path)
  assert 'detection_boxes' in signature.outputs
  assert signature.tags == ('serve',)


def test_takes_the_only_graph_whatever_its_tag(tmp_path):
  _write(tmp_path, _graph({'predict': _DETECT}, ['eval']))
  assert list(read_signatures(tmp_path)) == ['predict']


def test_several_graphs_without_the_tag_serve(tmp_path):
  _write(tmp_path, _graph({}, ['train']), _graph({}, ['serve', 'gpu']), _graph({}, []))
  with pytest.raises(UserError, match=r'tags serve and.*train; serve,gpu; \(none\)'):
    read_signatures(tmp_path)


def test_takes_the_graph_with_the_tags_that_are_named(tmp_path):
  _write(tmp_path, _graph({'serving_default': _DETECT}, ['serve']),
         _graph({'on_tpu': _DETECT}, ['serve', 'tpu']))
  assert list(read_signatures(tmp_path, ['tpu', 'serve'])) == ['on_tpu']
  assert list(read_signatures(tmp_path, parse_tag_set(' tpu, serve,'))) == ['on_tpu']
  with pytest.raises(UserError, match='tags tpu and.*are: serve; serve,tpu'):
    read_signatures(tmp_path, ['tpu'])


def test_tags_that_are_named_are_never_ignored(tmp_path):
  _write(tmp_path, _graph({'serving_default': _DETECT}, ['serve']))
  with pytest.raises(UserError, match='tags serve,tpu and.*are: serve'):
    read_signatures(tmp_path, ['serve', 'tpu'])
  with pytest.raises(UserError, match="tag_set is ' ,', which names no tag"):
    parse_tag_set(' ,')


def test_takes_the_newest_complete_version(tmp_path):
  graph = _graph({'serving_default': _DETECT})
  for name in ('2', '10', '9', 'x'):
    _write(tmp_path / name, graph)
  (tmp_path / '11').mkdir()  # A server would wait for it.
  assert find_saved_model(tmp_path) == str(tmp_path / '10')
  # What was exported last is not a version of it.
  _write(tmp_path / 'saved_model', graph)
  assert find_saved_model(tmp_path) == str(tmp_path / 'saved_model')


def test_unknown_signature_names_the_nearest(tmp_path):
  _write(tmp_path, _graph({'serving_default': _DETECT, 'predict_boxes': _DETECT,
                           '__saved_model_init_op': _signature({}, {})}))
  with pytest.raises(UserError) as e:
    read_signature(tmp_path, 'serving_defualt')
  message = str(e.value)
  assert "'serving_defualt'; did you mean 'serving_default'?" in message
  assert 'are predict_boxes, serving_default.' in message


def test_signature_without_outputs(tmp_path):
  _write(tmp_path, _graph({'init': _signature({}, {})}))
  with pytest.raises(UserError, match='no outputs'):
    read_signature(tmp_path, 'init')


def test_missing_directory(tmp_path):
  with pytest.raises(UserError, match='no directory .*nowhere'):
    read_signature(tmp_path / 'nowhere')


def test_a_file_is_no_directory(tmp_path):
  saved_model = _write(tmp_path, _graph({'serving_default': _DETECT}))
  with pytest.raises(UserError, match='is a file'):
    read_signature(saved_model / 'saved_model.pb')


def test_directory_without_a_saved_model(tmp_path):
  with pytest.raises(UserError, match='no saved_model.pb in it'):
    read_signature(tmp_path)


@pytest.mark.parametrize('content', [
    b'', b'this is no protobuf at all', _field(1, 1),
    _field(2, _graph({'serving_default': _DETECT}))[:-5],
])
def test_damaged_file(tmp_path, content):
  (tmp_path / 'saved_model.pb').write_bytes(content)
  with pytest.raises(UserError, match='damaged or no SavedModel'):
    read_signature(tmp_path)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_damage_is_a_user_error_or_still_readable(tmp_path_factory, data):
  content = bytearray(_field(2, _graph({'serving_default': _DETECT})))
  for _ in range(data.draw(st.integers(1, 4))):
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
        st.integers(0, 255))
  directory = tmp_path_factory.mktemp('damaged')
  (directory / 'saved_model.pb').write_bytes(content)
  try:
    read_signature(directory)
  except UserError as e:
    assert str(directory) in str(e)
