"""The plan of a run: parts, and which of them are missing."""

import os

import pytest

pytest.importorskip('pyarrow')

# pylint: disable=g-import-not-at-top,g-bad-import-order
from exporter.batch import storage
from exporter.batch.run_folder import RunFolder
from exporter.batch.storage import Folder
from exporter.errors import UserError

_IMAGES = [f'/photos/{i}.jpg' for i in range(10)]


@pytest.fixture(params=['', 'file://'])
def run(request, tmp_path) -> RunFolder:
  return RunFolder(f'{request.param}{tmp_path}/found', 'parquet')


def test_parts_hold_each_image_once(run):
  run.prepare('begin', {}, _IMAGES, 4)
  assert [part.number for part in run.parts()] == [0, 1, 2]
  assert [len(part.paths) for part in run.parts()] == [4, 4, 2]
  assert [path for part in run.parts() for path in part.paths] == _IMAGES


@pytest.mark.parametrize('count, size', [(1, 1), (100, 8), (2000, 62), (100_000, 256)])
def test_size_of_parts_follows_the_number_of_images(run, count, size):
  run.prepare('begin', {}, [f'/{i:06d}.jpg' for i in range(count)])
  assert len(run.parts()[0].paths) == size


def test_missing_are_those_without_their_file(run):
  run.prepare('begin', {}, _IMAGES, 4)
  run.parts_folder.write('part-000001.parquet', b'')
  assert [part.number for part in run.missing()] == [0, 2]


def test_resuming_adds_parts_and_changes_none(run):
  run.prepare('begin', {'a': 1}, _IMAGES[:3], 2)
  run.prepare('resume', {'a': 1}, _IMAGES, 5)
  run.prepare('resume', {'a': 1}, _IMAGES[5:], 5)
  assert [part.paths for part in run.parts()] == [
      tuple(_IMAGES[:2]), tuple(_IMAGES[2:3]), tuple(_IMAGES[3:8]), tuple(_IMAGES[8:])]


@pytest.mark.parametrize('mode', ['begin', 'overwrite'])
def test_run_that_was_killed_before_it_was_begun_is_begun_anew(run, mode):
  run.prepare('begin', {}, _IMAGES, 1)
  run.folder.within('_run').remove({'settings.json'})
  run.prepare(mode, {}, _IMAGES[:1])
  assert [part.paths for part in run.parts()] == [(_IMAGES[0],)]


@pytest.mark.parametrize('mode, names, said', [
    ('begin', ['notes.txt'], 'is not empty'),
    ('overwrite', ['notes.txt'], 'no results of detect_images'),
    ('resume', ['notes.txt'], 'no run to resume'),
    ('resume', [], 'no run to resume')])
def test_what_does_not_fit_is_told(run, mode, names, said):
  for name in names:
    run.folder.write(name, b'mine')
  with pytest.raises(UserError, match=said):
    run.prepare(mode, {}, _IMAGES)
  assert run.folder.names() == set(names)


def test_other_settings_are_named(run):
  run.prepare('begin', {'model': 'a', 'min_score': None}, _IMAGES)
  with pytest.raises(UserError, match='another min_score: null, and now it is 0.5'):
    run.check('resume', {'model': 'a', 'min_score': 0.5})
  run.check('resume', {'model': 'a', 'min_score': None})


def test_file_appears_complete_or_not_at_all(run):
  folder = Folder(run.folder.path)
  with pytest.raises(RuntimeError):
    with folder.new_file('part') as path:
      with open(path, 'wb') as f:
        f.write(b'half')
      raise RuntimeError
  assert folder.names() == set()
  folder.write('part', b'whole')
  assert folder.names() == {'part'} and folder.read('part') == b'whole'


def test_a_folder_named_as_a_home_is_none():
  with pytest.raises(UserError, match='The output directory ~/found begins with'):
    RunFolder('~/found', 'parquet').check('begin', {})


def test_removing_what_is_missing_is_no_mistake(run, monkeypatch):
  """HDFS does not say that it is missing, but of an input/output error."""
  from pyarrow import fs

  class Files(fs.LocalFileSystem):

    def delete_file(self, path):
      if not os.path.exists(path):
        raise OSError(5, 'HDFS delete failed')
      super().delete_file(path)

  monkeypatch.setattr(storage, '_file_system', lambda root: (Files(), '/'))
  folder = run.folder.within('x')
  folder.write('there', b'')
  folder.remove({'there', 'missing'})
  assert not folder.names()
