"""Fixtures of the exporter's tests."""

import pytest

from exports import Exports
from fork_server import ForkServer


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
