"""The installed object_detection under current TensorFlow, Keras and protobuf."""

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from families import SSD

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SUPPORT = pathlib.Path(__file__).resolve().parents[1] / 'support'


def python(*args, path=(), **options):
  return subprocess.run(
      [sys.executable, '-W', 'ignore', *args], capture_output=True, text=True,
      check=False, env={**os.environ, 'PYTHONPATH': os.pathsep.join(
          map(str, [*path, _ROOT, _SUPPORT]))}, **options)


# Keras is one package under every TensorFlow, which tensorflow-cpu is not.
needs_keras_3 = pytest.mark.skipif(
    importlib.metadata.version('keras').startswith('2.'),
    reason='TensorFlow up to 2.15 brings Keras 2')


def test_prepare_imports_neither_tensorflow_nor_the_api():
  done = python('-c', '''
import sys
from exporter.detection import environment
environment.prepare()
environment.prepare()
print([m for m in ("tensorflow", "keras", "tf_keras", "object_detection")
       if m in sys.modules])
print(len([f for f in sys.meta_path if "OldProto" in type(f).__name__]))
''')
  assert done.stdout.splitlines() == ['[]', '1'], done.stderr


@pytest.fixture(scope='module')
def checkout(tmp_path_factory, exporter_server) -> pathlib.Path:
  """A `models/research` whose protos a current protoc has compiled."""
  research = tmp_path_factory.mktemp('models') / 'research'
  installed = pathlib.Path(importlib.util.find_spec(
      'object_detection').submodule_search_locations[0])
  shutil.copytree(installed, research / 'object_detection',
                  ignore=shutil.ignore_patterns('*.pyc', '*_pb2.py'))
  exporter_server.run('environment_jobs:write_new_protos',
                      research / 'object_detection' / 'protos').ok()
  return research


@pytest.mark.slow
@pytest.mark.both_stacks
def test_installed_old_protos_are_built_with_the_fast_parser(exporter_server):
  exporter_server.run('environment_jobs:check_messages').ok()
  parser = exporter_server.run('environment_jobs:protobuf_parser').ok().value
  assert parser in ('upb', 'cpp')  # The latter is that of protobuf 3.
  modules = exporter_server.run('environment_jobs:proto_modules').ok().value
  assert len(modules) > 30
  # Protobuf 3 takes old protos as they are.
  expected = 'SourceFileLoader' if parser == 'cpp' else '_OldProtoLoader'
  assert {loader for _, loader, _ in modules} == {expected}


@pytest.mark.skipif(
    importlib.util.find_spec('google.protobuf.internal.builder') is None,
    reason='protobuf before 3.20 cannot run what a current protoc writes')
@pytest.mark.slow
@pytest.mark.both_stacks
def test_checkout_with_new_protos_works_untouched(checkout):
  before = {path: path.stat().st_mtime_ns
            for path in checkout.rglob('*') if '__pycache__' not in str(path)}
  done = python('-c', '''
import json, sys
from exporter import exporter_lib_v2
from exporter.detection import pipeline_config
import environment_jobs
sizes = exporter_lib_v2.list_outputs(
    "image_tensor", pipeline_config.read(sys.argv[1]))
print(json.dumps([environment_jobs.proto_modules(), [s.key for s in sizes],
                  exporter_lib_v2.model_builder.__file__]))
''', SSD.pipeline, path=[checkout])
  assert done.returncode == 0, done.stderr[-3000:]
  modules, keys, builder = json.loads(done.stdout.splitlines()[-1])
  assert builder.startswith(str(checkout))
  assert {loader for _, loader, _ in modules} == {'SourceFileLoader'}
  assert all(file.startswith(str(checkout)) for _, _, file in modules)
  assert 'detection_boxes' in keys
  assert before == {path: path.stat().st_mtime_ns
                    for path in checkout.rglob('*') if '__pycache__' not in str(path)}


@pytest.mark.slow
@needs_keras_3
def test_tensorflow_imported_with_keras_3(loader_server):
  message = loader_server.run('environment_jobs:prepare_after_keras', '3').ok().value
  assert 'Keras 3' in message and 'TF_USE_LEGACY_KERAS=1' in message


@pytest.mark.slow
@needs_keras_3
def test_tensorflow_imported_with_keras_not_yet_used(loader_server):
  module = loader_server.run('environment_jobs:keras_after_prepare').ok().value
  assert module.startswith('tf_keras.')


@pytest.mark.slow
@pytest.mark.both_stacks
def test_layers_are_those_of_keras_2(exporter_server):
  version = exporter_server.run('environment_jobs:prepare_after_keras', '2')
  # Keras 2 as tf.keras has no version of its own on the newer stack.
  assert version.status == 0 or "no attribute '__version__'" in version.stderr
