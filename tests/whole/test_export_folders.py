"""What an export leaves alone in the folders that people already have."""

import pathlib
import shutil

import pytest

from exports import _fields
from families import SSD

pytestmark = pytest.mark.slow

_KEYS = 'detection_scores'


def _files(folder: pathlib.Path) -> dict[str, bytes]:
  return {str(path.relative_to(folder)): path.read_bytes()
          for path in sorted(folder.rglob('*')) if path.is_file()}


def _listing(folder: pathlib.Path) -> list[str]:
  return sorted(_files(folder))


@pytest.fixture
def zoo(tmp_path, exports):
  """Makes a folder as the model zoo ships it, with things of its owner's."""
  def make(name):
    folder = tmp_path / name
    shutil.copytree(exports.checkpoint(SSD.name), folder / 'checkpoint')
    for old in (folder / 'checkpoint').glob('ckpt-0.*'):
      old.rename(old.with_name(old.name.replace('ckpt-0', 'ckpt-7')))
    state = folder / 'checkpoint' / 'checkpoint'
    state.write_text(state.read_text().replace('ckpt-0', 'ckpt-7'))
    (folder / 'checkpoint' / 'notes.txt').write_text('mine')
    (folder / 'saved_model' / 'assets.extra').mkdir(parents=True)
    (folder / 'saved_model' / 'assets.extra' / 'mine').write_text('mine')
    (folder / 'saved_model' / 'label_map.pbtxt').write_text('mine')
    return folder
  return make


_THEIRS = ['checkpoint/ckpt-7.data-00000-of-00001', 'checkpoint/ckpt-7.index',
           'checkpoint/notes.txt', 'saved_model/assets.extra/mine',
           'saved_model/label_map.pbtxt']


def _export(server, checkpoint, target, job='export_ours', *selection):
  return server.run(f'export_jobs:{job}', _fields(SSD), checkpoint, target, *selection)


def test_the_layout_of_the_model_zoo(exporter_server, zoo):
  ours, stocks = zoo('ours'), zoo('stocks')
  theirs = {name: _files(ours)[name] for name in _THEIRS}
  running = exporter_server.start(
      'export_jobs:export_stock', _fields(SSD), stocks / 'checkpoint', stocks)
  _export(exporter_server, ours / 'checkpoint', ours, 'export_ours', _KEYS).ok()
  running.wait().ok()
  # Stock sweeps the checkpoint that it exported: its manager keeps one at most.
  assert sorted({*_listing(stocks), *_THEIRS}) == _listing(ours)
  assert {name: _files(ours)[name] for name in _THEIRS} == theirs
  # Once more, without a selection, from the older checkpoint that is still there.
  training = ours.parent / 'training'
  training.mkdir()
  for file in (ours / 'checkpoint').glob('ckpt-7.*'):
    shutil.copy(file, training)
  (training / 'checkpoint').write_text('model_checkpoint_path: "ckpt-7"')
  before = _listing(ours)
  _export(exporter_server, training, ours).ok()
  assert _listing(ours) == before
  assert {name: _files(ours)[name] for name in _THEIRS} == theirs


def test_the_first_and_the_second_export_of_both(exporter_server, exports, tmp_path):
  ours, stocks = tmp_path / 'ours', tmp_path / 'stocks'
  training = exports.checkpoint(SSD.name)
  shutil.copytree(exports.stock(SSD), stocks)
  _export(exporter_server, training, ours).ok()
  assert _listing(ours) == _listing(stocks)
  for folder in (ours, stocks):
    for name in ('saved_model/label_map.pbtxt', 'checkpoint/notes.txt', 'photo.jpg'):
      (folder / name).write_text('mine')
  running = exporter_server.start('export_jobs:export_stock', _fields(SSD), training,
                                  stocks)
  _export(exporter_server, training, ours, 'export_ours', _KEYS).ok()
  running.wait().ok()
  assert _listing(ours) == _listing(stocks)
  assert (ours / 'checkpoint' / 'notes.txt').read_text() == 'mine'


def test_into_the_folder_above_the_training(exporter_server, exports, tmp_path):
  ours, stocks = tmp_path / 'ours', tmp_path / 'stocks'
  for folder in (ours, stocks):
    shutil.copytree(exports.checkpoint(SSD.name), folder / 'training')
  before = _files(ours / 'training')
  running = exporter_server.start('export_jobs:export_stock', _fields(SSD),
                                  stocks / 'training', stocks)
  _export(exporter_server, ours / 'training', ours, 'export_ours', _KEYS).ok()
  running.wait().ok()
  assert _listing(ours) == _listing(stocks)
  assert _files(ours / 'training') == before


def test_slimming_in_place(exports, loader_server, tmp_path):
  folder = shutil.copytree(exports.stock(SSD) / 'saved_model', tmp_path / 'saved_model')
  theirs = ('label_map.pbtxt', 'assets.extra/mine', 'variables/notes.txt', 'assets/mine')
  for name in theirs:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text('mine')
  before = _files(folder)
  loader_server.run(
      'exporter.slim_saved_model:run',
      argv=['slim_saved_model', f'--saved_model_dir={folder}', '--in_place',
            f'--output_keys={_KEYS}']).ok()
  after = _files(folder)
  assert after.keys() == before.keys()
  assert {after[name] for name in theirs} == {b'mine'}
  assert len(after['saved_model.pb']) < len(before['saved_model.pb']) / 2
  assert [path.name for path in tmp_path.iterdir()] == ['saved_model']


def test_folders_as_path_objects(exporter_server, exports, tmp_path):
  assert exporter_server.run(
      'export_jobs:export_with_path_objects', exports.checkpoint(SSD.name),
      tmp_path / 'exported').ok().value == ['detection_scores']


def test_a_checkpoint_where_the_new_one_must_go_is_refused(
    exporter_server, exports, tmp_path):
  folder = tmp_path / 'exported'
  shutil.copytree(exports.checkpoint(SSD.name), folder / 'checkpoint')
  before = _files(folder)
  ended = _export(exporter_server, folder / 'checkpoint', folder, 'export_ours', _KEYS)
  assert ended.status == 1
  assert 'lies where the export writes its own ckpt-0' in ended.stderr
  assert _files(folder) == before
  assert [path.name for path in tmp_path.iterdir()] == ['exported']


def test_brackets_blanks_umlauts_and_the_folder_above_a_link(
    exporter_server, exports, tmp_path):
  run = tmp_path / 'run [v2] für mich'
  shutil.copytree(exports.checkpoint(SSD.name), run / 'training')
  (run / 'logs').mkdir()
  (tmp_path / 'link').symlink_to(run / 'logs')
  # Of the system it is the folder with the logs; by the text, the one with the link.
  training, target = (tmp_path / 'link' / '..' / name for name in ('training', 'exported*'))
  _export(exporter_server, training, target, 'export_ours', _KEYS).ok()
  plain = exports.exported(SSD, _KEYS)
  assert _listing(run / 'exported*') == _listing(plain)
  for name in ('saved_model/variables/variables.index', 'checkpoint/ckpt-0.index'):
    assert (target / name).read_bytes() == (plain / name).read_bytes()
