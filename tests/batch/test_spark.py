"""`detect_images --master=…`: a cluster of two executors on this machine."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from cluster_packages import needs
from image_folders import write_images

parquet = pytest.importorskip('pyarrow.parquet')

pytestmark = [pytest.mark.slow, pytest.mark.cluster, needs('pyspark')]

_ROOT = pathlib.Path(__file__).parents[2]
_CLUSTER = '--master=local-cluster[2,1,1024]'
# A megabyte is not enough for Spark, and the default of 1 GB each is too much here.
_SMALL = '--spark_conf=spark.driver.memory=512m'


@pytest.fixture(scope='module')
def model(loader_server, tmp_path_factory):
  folder = tmp_path_factory.mktemp('detector')
  loader_server.run('batch_jobs:write_detector', folder, 40).ok()
  return folder


@pytest.fixture
def start(model, tmp_path):
  """Starts the command; its executors are found by a name in their environment."""
  def start(*flags, environment=None):
    return subprocess.Popen(
        [sys.executable, '-m', 'exporter.detect_images', f'--saved_model_dir={model}',
         f'--images={tmp_path}/photos', f'--output={tmp_path}/found', *flags],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': str(_ROOT), 'TMPDIR': str(tmp_path),
             **(environment or {})})
  return start


def _end(process: subprocess.Popen) -> subprocess.CompletedProcess:
  stdout, stderr = process.communicate(timeout=300)
  return subprocess.CompletedProcess([], process.returncode, stdout, stderr)


def _paths(folder: pathlib.Path) -> list[str]:
  return parquet.read_table(folder, columns=['path'])['path'].to_pylist()


def _parts(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(folder.glob('part-*'))


def _executors(driver: int) -> list[int]:
  """Process ids of the executors below a driver's process."""
  parents, commands = {}, {}
  for folder in pathlib.Path('/proc').glob('[0-9]*'):
    try:
      status = (folder / 'stat').read_text().rpartition(')')[2].split()
      commands[int(folder.name)] = (folder / 'cmdline').read_bytes()
      parents[int(folder.name)] = int(status[1])
    except OSError:
      continue

  def is_below(pid):
    while pid in parents:
      if pid == driver:
        return True
      pid = parents[pid]
    return False

  return [pid for pid, command in commands.items()
          if b'CoarseGrainedExecutorBackend' in command and is_below(pid)]


def _wait_for(condition, process, seconds=180):
  end = time.monotonic() + seconds
  while not condition():
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < end
    time.sleep(0.05)


def test_rows_are_those_of_this_machine_though_an_executor_is_killed(start, tmp_path):
  paths = write_images(tmp_path / 'photos', 60, broken=3)
  process = start('--images_per_part=4', _CLUSTER, _SMALL)
  _wait_for(lambda: _parts(tmp_path / 'found'), process)
  executors = _executors(process.pid)
  assert len(executors) == 2
  os.kill(executors[0], signal.SIGKILL)
  assert len(_parts(tmp_path / 'found')) < 15
  done = _end(process)
  assert done.returncode == 0, done.stderr
  assert 'Each Python worker needs about 0.7 GB' in done.stderr
  assert _paths(tmp_path / 'found') == paths
  here = _end(start('--images_per_part=4', f'--output={tmp_path}/here'))
  assert here.stdout.startswith('60 images, 3 of them errors')
  names = [path.name for path in _parts(tmp_path / 'here')]
  assert len(names) == 15
  for name in names:
    here = parquet.read_table(tmp_path / 'here' / name)
    assert parquet.read_table(tmp_path / 'found' / name).equals(here)


def test_killed_driver_is_resumed_with_every_image_once(start, tmp_path):
  paths = write_images(tmp_path / 'photos', 60, broken=3)
  # The model is read where it lies; the other test sends it.
  process = start('--images_per_part=4', '--master=local[1]', _SMALL, '--noship_model')
  _wait_for(lambda: _parts(tmp_path / 'found'), process)
  process.kill()
  process.communicate()
  before = {path: path.stat().st_mtime_ns for path in _parts(tmp_path / 'found')}
  assert len(before) < 15
  # On this machine, without Spark: a run goes on wherever one likes.
  done = _end(start('--images_per_part=4', '--resume'))
  assert done.returncode == 0, done.stderr
  assert _paths(tmp_path / 'found') == paths
  after = {path: path.stat().st_mtime_ns for path in _parts(tmp_path / 'found')}
  assert len(after) == 15 and {**after, **before} == after


def _free_port() -> int:
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


@pytest.mark.parametrize('flags, environment, said', [
    (['--master=spark://127.0.0.1:{port}'], {}, 'does not answer'),
    (['--master=k8s://https://127.0.0.1:{port}'], {}, 'does not answer'),
    (['--master=yarn'], {}, 'HADOOP_CONF_DIR'),
    (['--master=locale[*]'], {}, "did you mean 'local[N]'?"),
    (['--master=local[1]'], {'PATH': '/nowhere'}, 'needs Java'),
    (['--master=local[1]'], {'JAVA_HOME': '/nowhere'}, 'JAVA_HOME is /nowhere'),
    (['--master=local[1]', '--spark_conf=memory=2'], {}, 'spark.executor.memory=2g'),
])
def test_mistake_is_a_sentence_and_writes_nothing(
    start, tmp_path, flags, environment, said):
  write_images(tmp_path / 'photos', 1)
  done = _end(start(*(flag.format(port=_free_port()) for flag in flags),
                    environment=environment))
  assert done.returncode == 1
  assert said in done.stderr and done.stderr.count('\n') == 1, done.stderr
  assert not (tmp_path / 'found').exists()
