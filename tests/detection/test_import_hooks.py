"""What finds modules for the Object Detection API."""

import importlib
import sys

import pytest

from exporter.detection import import_hooks
from fake_site import FakeSite

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


@pytest.fixture
def site(tmp_path, monkeypatch) -> FakeSite:
  """Packages of today, and the finders."""
  site = FakeSite(tmp_path, monkeypatch)
  import_hooks.install()
  return site


def _write(site, **modules: str):
  """Writes modules by name, `__` for `.`, and the packages that they lie in."""
  for name, source in modules.items():
    *packages, module = name.split('__')
    folder = site.folder
    for package in packages:
      folder /= package
      folder.mkdir(exist_ok=True)
      (folder / '__init__.py').touch()
    (folder / f'{module}.py').write_text(source)
  importlib.invalidate_caches()


@pytest.fixture
def forget(site):
  """What a test imported of the fake packages must not be found by others."""
  yield
  # Not by monkeypatch, which would bring them back.
  for name in list(sys.modules):
    if name.partition('.')[0] in ('tensorflow', 'keras', 'official', 'tensorflow_io'):
      del sys.modules[name]


def test_official_has_moved_a_package(site, forget):
  _write(site, official__legacy__image_classification__efficientnet__model='HERE = 1')
  _write(site, official__vision__detection='')
  # As forks of 2021 import it.
  from official.vision.image_classification.efficientnet import model
  new = importlib.import_module(
      'official.legacy.image_classification.efficientnet.model')
  assert model is new
  assert new.__spec__.name == new.__name__
  assert not hasattr(new, '__path__')


def test_a_package_that_has_not_moved_is_left_alone(site, forget):
  _write(site, official__legacy__image_classification__model='NEW = 1',
         official__vision__image_classification__model='OLD = 1')
  from official.vision.image_classification import model
  assert hasattr(model, 'OLD')


@pytest.mark.parametrize('place', ['keras__applications', 'keras__src__applications'])
def test_keras_applications_left_tensorflow(site, forget, place):
  package = place.replace('__', '.')
  _write(site, **{f'{place}__resnet': 'class ResNet50: pass\nbackend = 1\n'},
         tensorflow__python__keras__backend='')
  (site.folder / 'tensorflow' / '__init__.py').write_text(
      f'import types\nfrom {package} import resnet\n'
      'keras = types.SimpleNamespace(applications=resnet)\n')
  from tensorflow.python.keras.applications import resnet
  assert resnet is sys.modules[f'{package}.resnet']
  assert resnet.backend == 1  # What tf.keras.applications.resnet does not show.


def test_an_absent_tensorflow_io_is_empty(site, forget):
  import tensorflow_io
  assert not [name for name in vars(tensorflow_io) if not name.startswith('__')]


def test_a_tensorflow_io_that_is_there_is_taken(site, forget):
  (site.folder / 'tensorflow_io.py').write_text('image = 1')
  import tensorflow_io
  assert tensorflow_io.image == 1


@pytest.mark.parametrize('there', [True, False])
def test_an_absent_estimator_is_empty(site, forget, there):
  _write(site, tensorflow__compat__v1__train='')
  if there:
    (site.folder / 'tensorflow' / 'compat' / 'v1' / '__init__.py').write_text('estimator = 1')
  from tensorflow.compat.v1 import estimator
  assert (estimator == 1) == there


def test_what_is_nowhere_stays_missing(site, forget):
  _write(site, official__legacy__detection='', tensorflow__python__keras__backend='')
  with pytest.raises(ModuleNotFoundError, match='official'):
    importlib.import_module('official.vision.image_classification')
