"""Which paths are URLs."""

import pytest

from exporter.paths import plain_paths
from exporter.paths.urls import is_url


@pytest.mark.parametrize('path', [
    r'C:\models', 'C:/models', 'C://models', r'c:\\models', 'C:models', r'\\host\share',
    '/srv/models', 'models', 'a/b://c', '://models', 'run:1', ''])
def test_a_path_is_local(path):
  assert not is_url(path)


@pytest.mark.parametrize('path', [
    'gs://bucket/models', 's3://bucket', 'hdfs://host:8020/models', 'file:///models',
    'ram://models', 'abfss+x://models', 'S3://bucket'])
def test_a_path_is_a_url(path):
  assert is_url(path)


@pytest.mark.parametrize('path, plain', [
    ('s3://bucket/run [v2]', True), ('C://models', True), ('C://run [v2]', False),
    ('/srv/run [v2]', False), ('/srv/run', True)])
def test_a_url_needs_no_link_and_a_drive_does(path, plain):
  assert plain_paths._is_plain(path) == plain
