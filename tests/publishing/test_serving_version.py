"""The folders that TensorFlow Serving polls."""

import os
import pathlib
import threading

import pytest

from exporter.publishing import atomic_directory
from exporter.publishing import serving_version
from exporter.errors import UserError

_FILES = ('saved_model.pb', 'variables/variables.index', 'assets/labels.txt')


def _write_saved_model(folder: pathlib.Path):
  for name in _FILES:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f'content of {name}')


def _content(folder: pathlib.Path) -> dict[str, str]:
  return {str(path.relative_to(folder)): path.read_text()
          for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('inside', [False, True])
def test_a_version_has_the_same_files(tmp_path, inside):
  saved_model = tmp_path if inside else tmp_path / 'saved_model'
  _write_saved_model(saved_model)
  expected = _content(saved_model)
  serving_version.add_version(str(saved_model), str(tmp_path), 3)
  assert _content(tmp_path / '3') == expected


@pytest.mark.parametrize('version', [0, -1])
def test_versions_that_are_no_versions(tmp_path, version):
  with pytest.raises(UserError, match=f'version {version} is not a positive'):
    serving_version.check_version_is_new(str(tmp_path), version)


@pytest.mark.parametrize('existing, version, sentence', [
    (['3'], 3, 'has a version 3 already'),
    (['2', '3', '11'], 3, 'the next free one is 12'),
    (['0003'], 3, 'has a version 3 already'),  # The server reads numbers too.
])
def test_a_version_is_never_replaced(tmp_path, existing, version, sentence):
  for name in existing:
    (tmp_path / name).mkdir()
  with pytest.raises(UserError, match=sentence):
    serving_version.check_version_is_new(str(tmp_path), version)


@pytest.mark.parametrize('existing', [
    [], ['1', '2'], ['saved_model', 'checkpoint', 'pipeline.config', '3.bak']])
def test_new_versions(tmp_path, existing):
  for name in existing:
    (tmp_path / name).mkdir()
  serving_version.check_version_is_new(str(tmp_path), 3)
  serving_version.check_version_is_new(str(tmp_path / 'not' / 'yet'), 3)


def test_a_server_that_polls_never_sees_half_a_version(tmp_path):
  base = tmp_path / 'model'
  (base / '1').mkdir(parents=True)
  _write_saved_model(base / '1')
  seen, stop = [], threading.Event()

  def poll():
    while not stop.is_set():
      for version in ('1', '2'):
        if (base / version).is_dir():
          missing = [name for name in _FILES if not (base / version / name).exists()]
          seen.append((version, missing))

  poller = threading.Thread(target=poll)
  poller.start()
  try:
    with atomic_directory.new_directory(str(base), owned=('saved_model',)) as new:
      saved_model = os.path.join(new, 'saved_model')
      _write_saved_model(pathlib.Path(saved_model))
      serving_version.add_version(saved_model, new, 2)
    while ('2', []) not in seen:
      assert poller.is_alive()
  finally:
    stop.set()
    poller.join()
  # Between the look for a folder and the look into it, the folders are exchanged
  # at most once, and both have version 1.
  assert not [(version, missing) for version, missing in seen if missing]
