"""What an export leaves alone in the folders that people already have."""

import pathlib
import shutil

import pytest

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
  from exports import _fields
  return server.run(f'export_jobs:{job}', _fields(SSD), checkpoint, target, *selection)


@pytest.mark.parametrize('selection', [(), (_KEYS,)], ids=['all', 'selected'])
def test_the_layout_of_the_model_zoo(exporter_server, zoo, selection):
  ours, stocks = zoo('ours'), zoo('stocks')
  theirs = {name: _files(ours)[name] for name in _THEIRS}
  _export(exporter_server, ours / 'checkpoint', ours, 'export_ours', *selection).ok()
  _export(exporter_server, stocks / 'checkpoint', stocks, 'export_stock').ok()
  # Stock sweeps the checkpoint that it exported: its manager keeps one at most.
  assert sorted({*_listing(stocks), *_THEIRS}) == _listing(ours)
  assert {name: _files(ours)[name] for name in _THEIRS} == theirs
  # Once more, from the older checkpoint that is still there.
  training = ours.parent / 'training'
  training.mkdir()
  for file in (ours / 'checkpoint').glob('ckpt-7.*'):
    shutil.copy(file, training)
  (training / 'checkpoint').write_text('model_checkpoint_path: "ckpt-7"')
  before = _listing(ours)
  _export(exporter_server, training, ours, 'export_ours', *selection).ok()
  assert _listing(ours) == before
  assert {name: _files(ours)[name] for name in _THEIRS} == theirs


def test_into_the_folder_above_the_training(exporter_server, exports, tmp_path):
  training = tmp_path / 'project' / 'training'
  shutil.copytree(exports.checkpoint(SSD.name), training)
  before = _files(training)
  _export(exporter_server, training, tmp_path / 'project', 'export_ours', _KEYS).ok()
  assert _files(training) == before
  assert (tmp_path / 'project' / 'saved_model' / 'saved_model.pb').is_file()


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


@pytest.mark.parametrize('selection', [(), (_KEYS,)], ids=['all', 'selected'])
def test_brackets_in_the_names_of_folders(
    exporter_server, loader_server, exports, tmp_path, selection):
  training = tmp_path / 'run [v2]' / 'training'
  shutil.copytree(exports.checkpoint(SSD.name), training)
  target = tmp_path / 'run [v2]' / 'exported*'
  _export(exporter_server, training, target, 'export_ours', *selection).ok()
  plain = tmp_path / 'plain'
  _export(exporter_server, training, plain, 'export_ours', *selection).ok()
  assert _listing(target) == _listing(plain)
  for name in ('saved_model/variables/variables.index', 'checkpoint/ckpt-0.index'):
    assert (target / name).read_bytes() == (plain / name).read_bytes()
