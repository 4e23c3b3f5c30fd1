"""Fixtures of the exporter's tests."""

import pytest

from exports import Exports
from fork_server import ForkServer
from serving import Serving, serve


@pytest.fixture(scope='session')
def exporter_server(tmp_path_factory):
  """Forks processes that have imported our exporter and stock's."""
  server = ForkServer(
      tmp_path_factory.mktemp('exporter_server'),
      ['exporter.exporter_lib_v2', 'object_detection.exporter_lib_v2'])
  yield server
  server.close()


@pytest.fixture(scope='session')
def loader_server(tmp_path_factory):
  """Forks processes that have imported TensorFlow, and nothing of ours."""
  server = ForkServer(tmp_path_factory.mktemp('loader_server'), ['tensorflow'])
  yield server
  server.close()


@pytest.fixture(scope='session')
def exports(tmp_path_factory, exporter_server, loader_server) -> Exports:
  return Exports(
      tmp_path_factory.mktemp('exports'), exporter_server, loader_server)


@pytest.fixture(scope='session')
def serving(tmp_path_factory, exports, loader_server) -> Serving:
  """A prediction server with all models that the serving tests ask."""
  with serve(tmp_path_factory.mktemp('serving'), exports, loader_server) as served:
    yield served
