"""Exports to a place that no local path reaches."""

import os

import pytest

from cluster_packages import needs
from exporter.errors import UserError
from exporter.paths import remote
from exporter.publishing import atomic_directory
from exporter.publishing import remote_directory

tf = pytest.importorskip('tensorflow')
pytestmark = pytest.mark.both_stacks


def test_a_remote_folder_gets_every_file():
  with atomic_directory.new_directory('ram://bucket/exported') as folder:
    os.makedirs(os.path.join(folder, 'saved_model', 'variables'))
    for name in ('pipeline.config', 'saved_model/saved_model.pb',
                 'saved_model/variables/variables.index'):
      with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
        f.write(name)
  with tf.io.gfile.GFile('ram://bucket/exported/saved_model/saved_model.pb') as f:
    assert f.read() == 'saved_model/saved_model.pb'
  with tf.io.gfile.GFile('ram://bucket/exported/pipeline.config') as f:
    assert f.read() == 'pipeline.config'


def test_a_failed_run_leaves_nothing_remote():
  with pytest.raises(RuntimeError):
    with atomic_directory.new_directory('ram://bucket/failed') as folder:
      with open(os.path.join(folder, 'half'), 'w', encoding='utf-8') as f:
        f.write('half')
      raise RuntimeError
  assert not tf.io.gfile.exists('ram://bucket/failed/half')


@pytest.mark.parametrize('url', [
    'ram://bucket/replaced', pytest.param('memory://bucket/replaced', marks=needs('fsspec'))])
@pytest.mark.parametrize('breaks_at, says', [
    ('put', 'what stands there is as it was'), ('take', 'no reader takes it for complete'),
    (None, '')])
def test_what_stands_there_stays_until_all_of_the_new_one_is_there(
    tmp_path, monkeypatch, url, breaks_at, says):
  names = ('a/1', 'variables.index', 'saved_model.pb')
  old, new = (_folder(tmp_path / text, names, text) for text in ('old', 'new'))
  remote_directory.upload(str(old), url)
  folder_class = type(_opened(url))
  if breaks_at:
    _break_at_the_last(monkeypatch, folder_class, breaks_at)
    with pytest.raises(UserError, match=says):
      remote_directory.upload(str(new), url)
  else:
    remote_directory.upload(str(new), url)
  folder = _opened(url)
  found = {name: _read(url, name) for name in names if folder.exists(name)}
  assert found == {'put': dict.fromkeys(names, 'old'), None: dict.fromkeys(names, 'new'),
                   'take': {'a/1': 'new', 'variables.index': 'new'}}[breaks_at]
  assert not [name for name in folder.names() if name.startswith('.')]


def _folder(folder, names, text):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
  return folder


def _opened(url):
  if url.startswith('memory'):
    return remote.RemoteFolder(url, 'folder')
  return remote_directory._TensorFlowFolder(url)


def _read(url, name):
  if url.startswith('memory'):
    import fsspec
    return fsspec.filesystem('memory').cat_file(f'/bucket/replaced/{name}').decode()
  with tf.io.gfile.GFile(f'{url}/{name}') as f:
    return f.read()


def _break_at_the_last(monkeypatch, folder_class, method):
  """Makes a folder fail where it comes to the last file."""
  whole = getattr(folder_class, method)

  def fails(self, first, second):
    if second.endswith('saved_model.pb'):
      raise OSError('cut')
    whole(self, first, second)

  monkeypatch.setattr(folder_class, method, fails)


def test_what_readers_look_for_comes_last(tmp_path, monkeypatch):
  for name in ('saved_model.pb', 'variables.index', 'checkpoint', 'a'):
    (tmp_path / name).write_text(name)
  copied = []
  monkeypatch.setattr(tf.io.gfile, 'copy',
                      lambda source, *_, **__: copied.append(source))
  remote_directory.upload(str(tmp_path), 'ram://bucket/ordered')
  assert [os.path.basename(path) for path in copied] == [
      'a', 'variables.index', 'checkpoint', 'saved_model.pb']
