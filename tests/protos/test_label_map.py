"""Label maps, as they are read without TensorFlow."""

import pytest

from exporter.errors import UserError
from exporter.protos import label_map

_MAP = '''
# A comment.
item { name: "/m/01g317" id: 1 display_name: "Mensch" }
item: { id: 3, name: 'cat' keypoints { id: 0 label: "nose" } frequency: FREQUENT }
item { name: "ba\\303\\244r" id: 90 ancestor_ids: [4, 5] }
'''


@pytest.fixture
def path(tmp_path):
  path = tmp_path / 'label_map.pbtxt'
  path.write_text(_MAP, encoding='utf-8')
  return path


def test_display_names_go_before_names(path):
  assert label_map.read(path) == {1: 'Mensch', 3: 'cat', 90: 'baär'}


def test_what_other_tools_write(path):
  path.write_text('\ufeff# ours\ritem {\r\n  id: 2\r\n  name: "Ärztin"\r\n  future: 3\r\n}\r\n',
                  encoding='utf-8', newline='')
  assert label_map.read(path) == {2: 'Ärztin'}


@pytest.mark.parametrize('text, words', [
    ('item { id: 1 name: "a" } item { id: 1 name: "b" }',
     ['the id 1 twice', "'a' and 'b'"]),
    ('item { name: "a" }', ["the item 'a' without an id"]),
    ('item { id: -1 name: "a" }', ["'a' without an id of 0"]),
    ('item { id: 2 }', ['no name for the id 2']),
    ('item { id: 1 name: "a"', ['is no label map: line 1']),
    ('item { id: one }', ['is no label map: line 1']),
    ('model { ssd { num_classes: 4 } }', ['no item']),
    ('{"1": "person"}', ['is no label map']),
    ('person\ncat\n', ['is no label map']),
    ('', ['no item']),
])
def test_what_is_no_label_map(path, text, words):
  path.write_text(text)
  _assert_refused(path, *words, path)


def test_what_cannot_be_read(path, tmp_path):
  _assert_refused(tmp_path / 'none.pbtxt', 'none.pbtxt cannot be read')
  _assert_refused(tmp_path, 'cannot be read')
  _assert_refused('nowhere://bucket/label_map.pbtxt', 'cannot be reached')
  path.write_bytes(bytes(range(256)))
  _assert_refused(path, 'not UTF-8 text')


def _assert_refused(path, *words):
  with pytest.raises(UserError) as raised:
    label_map.read(path)
  sentence = str(raised.value)
  assert '\n' not in sentence
  for word in words:
    assert str(word) in sentence
