"""Fixtures of the exporter's tests."""

import os
import pathlib
import subprocess
from collections.abc import Callable

import pytest

from exporter.detection import environment
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


@pytest.fixture(scope='session')
def tf():
  """TensorFlow, set up as every command of ours sets it up."""
  environment.prepare()
  import tensorflow
  return tensorflow


@pytest.fixture
def image(tf, tmp_path) -> pathlib.Path:
  """A PNG of noise."""
  path = tmp_path / 'image.png'
  noise = tf.random.stateless_uniform([96, 128, 3], [1, 2], 0, 256, tf.int32)
  path.write_bytes(tf.io.encode_png(tf.cast(noise, tf.uint8)).numpy())
  return path


@pytest.fixture
def save(tf, tmp_path) -> Callable[..., pathlib.Path]:
  """`save(module, signatures)` writes a TF2 SavedModel and gives its folder."""
  def save_module(module, signatures=None, name='source', **options):
    path = tmp_path / name
    tf.saved_model.save(module, str(path), signatures=signatures, **options)
    return path
  return save_module


@pytest.fixture
def slim(tf, tmp_path):
  """`slim(source, outputs)` runs `write_lean` and proves the result.

  The new SavedModel must hold no dead part, take the same inputs, and give the
  same kept outputs, bit for bit, in the TF2 and the v1 loader. Returns its folder
  and what pruning left out.
  """
  import saved_models
  from exporter.saved_model import writing

  def slim_and_compare(source, outputs, inputs=None, name='lean', loaders=('v2', 'v1')):
    """`inputs` are arrays by name, by signature; None runs nothing."""
    target = tmp_path / name
    pruned = writing.write_lean(str(source), str(target), outputs)
    saved_models.check_is_lean(target, outputs)
    if inputs is not None:
      saved_models.check_computes_the_same(source, target, outputs, inputs, loaders)
    return target, pruned
  return slim_and_compare


@pytest.fixture
def small_disk(tmp_path):
  """Makes a disk of some size, and returns its folder."""
  folder = tmp_path / 'disk'
  folder.mkdir()

  def small_disk(size: str) -> pathlib.Path:
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', folder],
        check=False, capture_output=True)
    if mounted.returncode:
      pytest.skip(f'may not mount: {mounted.stderr.decode().strip()}')
    return folder

  yield small_disk
  if os.path.ismount(folder):
    subprocess.run(['umount', folder], check=True)
