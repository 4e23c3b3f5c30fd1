"""The installed object_detection under current TensorFlow, Keras and protobuf."""

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import types

import pytest

from exporter.detection import environment
from exporter.detection import import_hooks
from exporter.detection.environment import EnvironmentProblem
from exporter.errors import UserError
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
from exporter.detection import import_hooks
environment.prepare()
environment.prepare()
print([m for m in ("tensorflow", "keras", "tf_keras", "object_detection")
       if m in sys.modules])
print(len([f for f in sys.meta_path if "OldProto" in type(f).__name__]))
''')
  assert done.stdout.splitlines() == ['[]', '1'], done.stderr


@pytest.mark.parametrize('missing', ['tensorflow', 'object_detection'])
def test_missing_package_is_named(monkeypatch, missing):
  find_spec = importlib.util.find_spec
  monkeypatch.setattr(importlib.util, 'find_spec',
                      lambda name: None if name == missing else find_spec(name))
  with pytest.raises(EnvironmentProblem, match=f"'{missing}' is not installed"):
    environment.prepare()


def test_missing_tf_keras_is_named(monkeypatch):
  find_spec = importlib.util.find_spec
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '2.20.0')
  monkeypatch.setattr(importlib.util, 'find_spec',
                      lambda name: None if name == 'tf_keras' else find_spec(name))
  with pytest.raises(EnvironmentProblem, match='need the package tf_keras'):
    environment.prepare()


def test_tensorflow_2_15_needs_no_tf_keras(monkeypatch):
  find_spec = importlib.util.find_spec
  monkeypatch.delenv('TF_USE_LEGACY_KERAS', raising=False)
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '2.15.1')
  monkeypatch.setattr(importlib.util, 'find_spec',
                      lambda name: None if name == 'tf_keras' else find_spec(name))
  environment.prepare()
  assert 'TF_USE_LEGACY_KERAS' not in os.environ


def test_keras_3_already_imported_says_what_to_do(monkeypatch):
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: '2.20.0')
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
  keras_3 = types.SimpleNamespace(__version__='3.5.0')
  monkeypatch.setitem(sys.modules, 'tensorflow',
                      types.SimpleNamespace(keras=keras_3))
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', '0')
  with pytest.raises(EnvironmentProblem) as e:
    environment.prepare()
  assert 'Keras 3.5.0' in str(e.value)
  assert 'TF_USE_LEGACY_KERAS=1' in str(e.value)
  assert 'import exporter before tensorflow' in str(e.value)


# What protoc wrote up to 3.7 and up to 3.18, and writes since.
_OLDEST = r'''
DESCRIPTOR = _descriptor.FileDescriptor(
  name='x.proto', package='p', syntax='proto2',
  serialized_pb=_b('\n\x07x.proto\x12\x01p\xff')
)
'''
_OLD = r'''
DESCRIPTOR = _descriptor.FileDescriptor(
  name='x.proto', package='p', syntax='proto2',
  serialized_pb=b'\n\x07x.proto\x12\x01p'
)
'''
_NEW = r'''
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x07x.proto\x12\x01p')
'''


@pytest.mark.parametrize('source, found', [
    (_OLDEST, b'\n\x07x.proto\x12\x01p\xff'), (_OLD, b'\n\x07x.proto\x12\x01p'),
    (_NEW, None), ('f(serialized_pb=compute())', None)])
def test_descriptor_is_taken_from_old_modules_alone(tmp_path, source, found):
  path = tmp_path / 'x_pb2.py'
  path.write_text(source)
  assert import_hooks._old_file_descriptor(str(path)) == found


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


def _with_versions(monkeypatch, **versions):
  """Says that these distributions are installed, by name."""
  def version(name):
    try:
      return versions[name.replace('-', '_')]
    except KeyError:
      raise importlib.metadata.PackageNotFoundError(name) from None
  monkeypatch.setattr(importlib.metadata, 'version', version)
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name)


@pytest.mark.parametrize('versions, said', [
    ({'tensorflow': '2.7.4'}, 'TensorFlow 2.7 is too old'),
    ({'tensorflow_cpu': '2.10.1', 'protobuf': '4.25.9'}, "'protobuf<3.21'"),
    ({'tensorflow': '2.18.0', 'tf_keras': '2.17.0'}, "'tf-keras==2.18.*'"),
    ({'tf_nightly': '2.22.0.dev20260101', 'tf_keras': '2.21.0'},
     "'tf-keras==2.22.*'"),
])
def test_says_what_does_not_fit(monkeypatch, versions, said):
  _with_versions(monkeypatch, **versions)
  with pytest.raises(UserError, match=re.escape(said)):
    environment.prepare()


def test_refuses_keras_3_by_environment(monkeypatch):
  _with_versions(monkeypatch, tensorflow='2.20.0', tf_keras='2.20.1')
  monkeypatch.delitem(sys.modules, 'tensorflow', raising=False)
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', '0')
  with pytest.raises(UserError, match='TF_USE_LEGACY_KERAS=0'):
    environment.prepare()


def test_finds_tensorflow_under_another_name(monkeypatch, tmp_path):
  info = tmp_path / 'tensorflow_rocm-2.6.0.dist-info'
  info.mkdir()
  (info / 'METADATA').write_text('Name: tensorflow-rocm\nVersion: 2.6.0\n')
  (info / 'top_level.txt').write_text('tensorflow\n')
  _with_versions(monkeypatch)
  monkeypatch.setattr(sys, 'path', [str(tmp_path)])
  with pytest.raises(UserError, match='TensorFlow 2.6 is too old'):
    environment.prepare()
