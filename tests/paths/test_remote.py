"""File systems behind URLs, as they are where something is wrong with them."""

import os

import pytest

from cluster_packages import needs
from exporter.errors import UserError
from exporter.paths import remote
from exporter.paths.file_systems import connecting, errors_told


@pytest.mark.parametrize('url', ['memory://bucket/file', 'memory://bucket/file/below/it'])
@needs('fsspec')
def test_a_file_in_place_of_a_folder_is_told_early(url):
  import fsspec
  fsspec.filesystem('memory').pipe_file('/bucket/file', b'')
  with pytest.raises(UserError, match=f'output {url} cannot be made: /bucket/file is a file'):
    remote.check_writable(url, 'output')
  remote.check_writable('memory://bucket/folder', 'output')


@pytest.mark.parametrize('url', ['http://host/out', 'HTTPS://host/out'])
def test_what_a_web_server_gives_is_not_written(url):
  with pytest.raises(UserError, match=f'output {url} cannot be written: a web server'):
    remote.check_writable(url, 'output')


@needs('fsspec')
def test_a_place_that_cannot_be_looked_into_is_not_empty(monkeypatch):
  from fsspec.implementations.memory import MemoryFileSystem
  assert remote.names('memory://bucket/none', 'folder') == []
  assert remote.names('MEMORY://bucket/none', 'folder') == []

  def refuse(*_, **__):
    raise ConnectionError('cut')

  monkeypatch.setattr(MemoryFileSystem, 'ls', refuse)
  monkeypatch.setattr(MemoryFileSystem, 'find', lambda *_, **__: {})  # As fsspec's own.
  with pytest.raises(UserError, match='folder memory://bucket/none cannot be read: cut'):
    remote.names('memory://bucket/none', 'folder')


def test_java_leaves_signals_to_python_and_what_it_needs_is_said(monkeypatch):
  monkeypatch.setenv('LIBHDFS_OPTS', '-Xmx1g')
  with pytest.raises(UserError, match='hdfs://nowhere/a cannot be reached: gone; hdfs://'
                     r' needs a NameNode that answers, Java \(JAVA_HOME\)'):
    with connecting('hdfs://nowhere/a', 'folder'):
      raise OSError('gone')
  assert os.environ['LIBHDFS_OPTS'] == '-Xmx1g -Xrs'
  with pytest.raises(UserError, match='s3://nowhere/a cannot be reached: gone[.]$'):
    with connecting('s3://nowhere/a', 'folder'):
      raise OSError('gone')


def test_where_hadoop_says_more_is_told():
  with pytest.raises(UserError, match='The work: .*255; --verbosity=1 shows what Hadoop says'):
    with errors_told('work'):
      raise OSError(255, 'HDFS list failed. Detail: [errno 255] Unknown error 255')
