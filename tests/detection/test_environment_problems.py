"""What cannot work is one sentence with the cure, and nothing is imported for it."""

import os
import re
import sys
import types

import pytest

from exporter.detection import environment
from exporter.detection import installed
from exporter.errors import UserError
from fake_site import FakeSite


@pytest.fixture
def site(tmp_path, monkeypatch) -> FakeSite:
  """Has everything but TensorFlow, and `TF_USE_LEGACY_KERAS` is not set."""
  # Setting it first lets monkeypatch take away what `prepare` sets.
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', '')
  monkeypatch.delenv('TF_USE_LEGACY_KERAS')
  site = FakeSite(tmp_path, monkeypatch)
  site.add_api()
  return site


@pytest.fixture
def stack(site) -> FakeSite:
  """TensorFlow 2.20 with all it needs."""
  site.add('tensorflow', '2.20.0')
  site.add('tf_keras', '2.20.1')
  site.add('google.protobuf', '6.33.6', 'protobuf')
  site.add('numpy', '2.2.6')
  return site


def _assert_says(*parts: str, prepare=environment.prepare):
  with pytest.raises(UserError) as e:
    prepare()
  message = str(e.value)
  assert all(part in message for part in parts), message
  assert message.endswith('.') and '\n' not in message
  assert '. ' not in re.sub(r'\d\. ', '', message)  # One sentence.


def test_a_fitting_stack_is_prepared_without_importing_it(stack):
  environment.prepare()
  assert os.environ['TF_USE_LEGACY_KERAS'] == '1'


def test_tensorflow_2_15_needs_no_tf_keras(site):
  site.add('tensorflow', '2.15.1')
  site.add('keras', '2.15.0')
  environment.prepare()
  assert 'TF_USE_LEGACY_KERAS' not in os.environ


# A distribution of which the name does not say what it brings.
@pytest.mark.parametrize('distribution', [
    'tensorflow', 'tensorflow-gpu', 'tensorflow-cpu', 'tensorflow-cpu-aws',
    'tensorflow-rocm', 'tensorflow-macos', 'intel-tensorflow', 'my-own-build'])
@pytest.mark.parametrize('record', [True, False])
def test_tensorflow_is_known_by_what_it_brings(site, distribution, record):
  site.add('tensorflow', '2.7.4', distribution, record)
  site.add('tensorflow_io', '2.20.0', 'tensorflow-io', record)  # Of a like name.
  _assert_says('TensorFlow 2.7 is too old', '2.8 or later')


def test_a_nightly_has_the_version_that_it_is_on_the_way_to(site):
  site.add('tensorflow', '2.22.0.dev20260101', 'tf-nightly')
  site.add('tf_keras', '2.21.0.dev2026010110', 'tf-keras-nightly')
  _assert_says('tf_keras 2.21 does not fit TensorFlow 2.22', "'tf-keras==2.22.*'")


@pytest.mark.parametrize('distributions', [
    {}, {'tensorflow': '2.20.0', 'tensorflow-gpu': '2.8.0'}])
def test_where_metadata_do_not_tell_tensorflow_does(site, distributions):
  for distribution, version in distributions.items():
    site.add('tensorflow', version, distribution)
  folder = site.add('tensorflow')
  (folder / '__init__.py').write_text('__version__ = "2.6.5"\n')
  try:
    _assert_says('TensorFlow 2.6 is too old')
  finally:
    site.forget('tensorflow')


def test_tensorflow_elsewhere_on_the_path_does_not_count(stack, tmp_path):
  elsewhere = tmp_path / 'elsewhere'
  (elsewhere / 'tensorflow-2.6.0.dist-info').mkdir(parents=True)
  (elsewhere / 'tensorflow-2.6.0.dist-info' / 'METADATA').write_text(
      'Name: tensorflow\nVersion: 2.6.0\n')
  (elsewhere / 'tensorflow-2.6.0.dist-info' / 'top_level.txt').write_text('tensorflow')
  sys.path.insert(0, str(elsewhere))
  environment.prepare()


def test_tensorflow_is_missing(site):
  _assert_says("'tensorflow' is not installed", sys.prefix)
  _assert_says("'tensorflow' is not installed", prepare=environment.check_tensorflow)


def test_what_is_left_of_an_uninstalled_tensorflow_is_none(site):
  (site.folder / 'tensorflow' / 'python').mkdir(parents=True)
  assert installed.folder('tensorflow') is None
  _assert_says("'tensorflow' is not installed")


def test_object_detection_is_missing(stack):
  (stack.folder / 'object_detection' / '__init__.py').unlink()
  _assert_says("'object_detection' is not installed")


def test_another_package_of_the_name_object_detection(stack):
  (stack.folder / 'object_detection' / 'builders').rmdir()
  _assert_says(str(stack.folder / 'object_detection'), 'another one', 'models/research')


def test_protos_that_nobody_compiled(stack):
  (stack.folder / 'object_detection' / 'protos' / 'pipeline_pb2.py').unlink()
  _assert_says('protos', 'not compiled', 'protoc object_detection/protos/*.proto')


@pytest.mark.parametrize('generated, protobuf, needed', [
    ('# Protobuf Python Version: 6.31.1\n', '4.25.9', '6.31'),
    ('from google.protobuf.internal import builder as _builder\n', '3.19.6', '3.20')])
def test_protos_compiled_for_a_newer_protobuf(site, generated, protobuf, needed):
  site.add('tensorflow', '2.10.1' if protobuf < '4' else '2.15.1')
  site.add('google.protobuf', protobuf, 'protobuf')
  (site.folder / 'object_detection' / 'protos' / 'pipeline_pb2.py').write_text(generated)
  _assert_says(f'protobuf {needed}', f'{protobuf[:4]} is installed', 'compile them')


@pytest.mark.parametrize('tensorflow, package, version, cure', [
    ('2.10.1', 'google.protobuf', '4.25.9', "'protobuf<3.21'"),
    ('2.17.1', 'numpy', '2.0.2', "'numpy<2'")])
def test_a_package_that_is_too_new_for_tensorflow(
    site, tensorflow, package, version, cure):
  site.add('tensorflow', tensorflow)
  site.add(package, version)
  said = f'{package.split(".")[-1]} {version[:-2]}'
  _assert_says(said, cure)
  _assert_says(said, cure, prepare=environment.check_tensorflow)


@pytest.mark.parametrize('tensorflow, keras, version, cure', [
    ('2.20.0', 'tf_keras', None, "'tf-keras==2.20.*'"),
    ('2.18.0', 'tf_keras', '2.17.0', "'tf-keras==2.18.*'"),
    ('2.15.1', 'keras', '3.0.5', "'keras==2.15.*'"),
    ('2.8.4', 'keras', None, "'keras==2.8.*'")])
def test_keras_of_another_minor_or_none(site, tensorflow, keras, version, cure):
  site.add('tensorflow', tensorflow)
  if version is not None:
    site.add(keras, version)
  _assert_says(keras, cure)


def test_tensorflow_2_15_takes_tf_keras_where_asked_to(site, monkeypatch):
  site.add('tensorflow', '2.15.1')
  site.add('keras', '3.0.5')
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', '1')
  _assert_says('needs the package tf_keras')
  site.add('tf_keras', '2.15.1')
  environment.prepare()


@pytest.mark.parametrize('value', ['0', 'false', 'yes'])
def test_keras_3_by_environment(stack, monkeypatch, value):
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', value)
  _assert_says(f'TF_USE_LEGACY_KERAS={value}', 'set it to 1')


def test_keras_3_already_imported(stack, monkeypatch):
  keras_3 = types.SimpleNamespace(__version__='3.5.0')
  monkeypatch.setitem(sys.modules, 'tensorflow',
                      types.SimpleNamespace(keras=keras_3, __version__='2.20.0'))
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', '0')
  _assert_says('Keras 3.5.0', 'TF_USE_LEGACY_KERAS=1',
               'import exporter before tensorflow')


def test_tensorflow_io_only_has_to_be_importable(stack):
  environment.prepare()
  import tensorflow_io
  assert not hasattr(tensorflow_io, '__path__')
  stack.forget('tensorflow_io')


@pytest.mark.parametrize('name, cure', [
    ('lvis', "'lvis'"), ('cv2', "'opencv-python-headless'"),
    ('official', "'tf-models-official'")])
def test_a_package_that_the_api_imports_is_missing(stack, name, cure):
  stack.forget(name)

  def import_api():
    with environment.api_imports():
      raise ModuleNotFoundError(f'No module named {name!r}', name=f'{name}.vision')
  _assert_says(f'needs the package {name!r}', f'install {cure}', prepare=import_api)


def test_a_part_that_the_api_imports_is_missing(stack):
  def import_api():
    with environment.api_imports():
      raise ModuleNotFoundError("No module named 'tensorflow.contrib'",
                                name='tensorflow.contrib')
  _assert_says(str(stack.folder / 'object_detection'), "'tensorflow.contrib'",
               prepare=import_api)
