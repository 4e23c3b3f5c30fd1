"""Pipeline configs, and what they name, as editors on Windows leave them."""

import pathlib

import pytest

from families import CENTERNET, SSD

pytestmark = pytest.mark.slow
_LABELS = ['head', 'left_hand', 'right_hand', 'left_foot', 'right_foot']


def _as_on_windows(text: str) -> bytes:
  return b'\xef\xbb\xbf' + text.replace('\n', '\r\n').encode()


def test_byte_order_mark_and_line_ends(exporter_server, tmp_path):
  (tmp_path / 'pipeline.config').write_bytes(
      _as_on_windows(pathlib.Path(SSD.pipeline).read_text()))
  read, expected = (exporter_server.run('config_jobs:read', path).ok().value
                    for path in (tmp_path / 'pipeline.config', SSD.pipeline))
  assert read == expected and 'ssd' in read


@pytest.mark.parametrize('content', [str.encode, _as_on_windows],
                         ids=['plain', 'Windows'])
def test_keypoint_label_map(exporter_server, tmp_path, content):
  root = pathlib.Path(CENTERNET.pipeline).parent
  text = (root / 'person_keypoints.pbtxt').read_text()
  (tmp_path / 'map.pbtxt').write_bytes(content(text))
  (tmp_path / 'pipeline.config').write_text(
      pathlib.Path(CENTERNET.pipeline).read_text().replace(
          'configs/pipelines/person_keypoints.pbtxt', str(tmp_path / 'map.pbtxt')))
  assert exporter_server.run(
      'config_jobs:keypoint_labels', tmp_path / 'pipeline.config').ok().value == _LABELS
