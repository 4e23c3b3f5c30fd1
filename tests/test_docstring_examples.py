"""The examples in the docstrings of what people call."""

import pytest

import doctest_jobs
from families import SSD


@pytest.fixture(scope='module')
def folder(tmp_path_factory, exports):
  """What the examples find in the working directory, one after the other."""
  folder = tmp_path_factory.mktemp('docstring_examples')
  (folder / 'training').symlink_to(exports.checkpoint(SSD.name))
  (folder / 'pipeline.config').symlink_to(SSD.pipeline)
  return folder


def test_selection():
  tries, failures, printed = doctest_jobs.run('exporter.output_keys', 'OutputSelection')
  assert (tries > 0, failures) == (True, 0), printed


def test_declared_messages():
  tries, failures, printed = doctest_jobs.run('exporter.protos.declared', 'message_class')
  assert (tries > 0, failures) == (True, 0), printed


def test_walk():
  tries, failures, printed = doctest_jobs.run('exporter.graph.walk', 'reached')
  assert (tries > 0, failures) == (True, 0), printed


@pytest.mark.slow
def test_export_report_and_slim(exporter_server, folder):
  # In this order: the others read what the first one writes.
  for module, name in (('exporter.exporter_lib_v2', 'export_inference_graph'),
                       ('exporter.payload', 'read_payload'),
                       ('exporter.batch.detector', 'Detector'),
                       ('exporter.slimming', 'slim_saved_model')):
    tries, failures, printed = exporter_server.run(
        'doctest_jobs:run', module, name, cwd=folder).ok().value
    assert (tries > 0, failures) == (True, 0), printed
