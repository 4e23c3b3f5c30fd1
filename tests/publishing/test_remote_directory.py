"""Exports to a place that only TensorFlow's file systems reach."""

import os

import pytest

from exporter.publishing import atomic_directory

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


def test_what_readers_look_for_comes_last(tmp_path, monkeypatch):
  for name in ('saved_model.pb', 'variables.index', 'checkpoint', 'a'):
    (tmp_path / name).write_text(name)
  copied = []
  monkeypatch.setattr(tf.io.gfile, 'copy',
                      lambda source, *_, **__: copied.append(source))
  from exporter.publishing import remote_directory
  remote_directory.upload(str(tmp_path), 'ram://bucket/ordered')
  assert [os.path.basename(path) for path in copied] == [
      'a', 'variables.index', 'checkpoint', 'saved_model.pb']
