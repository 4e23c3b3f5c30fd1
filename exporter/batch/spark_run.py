"""Does the parts of a run on Apache Spark, one model in each Python worker."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence

from exporter.batch import spark_checks, spark_worker
from exporter.batch.part_job import PartJob
from exporter.batch.progress import Progress
from exporter.batch.run_folder import Part
from exporter.errors import UserError
from exporter.paths.plain_paths import without_parents
from exporter.saved_model.files import file_bytes

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_EXECUTOR = 30
# Of a process that has imported TensorFlow; and what loading takes for each byte of
# `saved_model.pb`, as measured on the 1024 px Mask R-CNN, stock's and ours.
_IMPORTS_BYTES, _BYTES_PER_GRAPH_BYTE = 650e6, 60
_ROOM_TO_RUN = 1.5


@dataclasses.dataclass(frozen=True)
class Cluster:
  """Where Spark runs.

  Attributes:
    master: `local[*]`, `local-cluster[2,1,1024]`, `spark://…`, `yarn`, `k8s://…`.
    settings: of Spark, by name, which win over ours.
    ships_model: whether workers are sent the SavedModel; they read it from the path
      that we were given, which they must all reach, where not.
    calls: how many calls of the model run at a time in each worker.
  """
  master: str
  settings: dict[str, str] = dataclasses.field(default_factory=dict)
  ships_model: bool = True
  calls: int = 1

  @contextlib.contextmanager
  def started(self, job: PartJob, saved_model_dir: str) -> Iterator[Callable]:
    """Gives what writes the files of parts, each in a task, and counts their images.

    Says how much memory a worker needs before Spark is started.

    Raises:
      UserError: Spark cannot be started, or a task failed on all its attempts.
    """
    spark_checks.check_spark(self.master)
    needed = worker_memory(saved_model_dir)
    print(f'Each Python worker needs about {needed / 1e9:.1f} GB beside Spark\'s own'
          ' memory, and what the model computes with; there is one for each task that'
          ' an executor runs at a time.', file=sys.stderr)
    context = self._start(saved_model_dir)
    try:
      self._wait_for_executor(context)
      with tempfile.TemporaryDirectory() as staging:
        model = None if self.ships_model else os.path.abspath(
            without_parents(saved_model_dir))
        if self.ships_model:
          archive = _zip(saved_model_dir, os.path.join(staging, 'model.zip'), '')
          context.addArchive(f'{archive}#{spark_worker.SHIPPED_MODEL}')
        # Ours, whatever version the workers have, and also where they have none.
        context.addPyFile(_zip(_PACKAGE, os.path.join(staging, 'exporter.zip'),
                               'exporter', '.py'))
        yield functools.partial(_execute, context, job, model)
    finally:
      context.stop()

  def _start(self, saved_model_dir: str):
    import pyspark
    conf = pyspark.SparkConf().setMaster(self.master).setAppName('detect_images')
    conf.set('spark.ui.showConsoleProgress', 'false')
    conf.set('spark.log.level', 'FATAL')  # What fails ends in a sentence.
    if spark_checks.is_on_this_machine(self.master):
      os.environ.setdefault('PYSPARK_PYTHON', sys.executable)
      conf.set('spark.driver.host', '127.0.0.1')
    for name, value in self.settings.items():
      conf.set(name, value)
    workers = (int(conf.get('spark.executor.cores', '1'))
               // int(conf.get('spark.task.cpus', '1')))
    megabytes = round(worker_memory(saved_model_dir) * _ROOM_TO_RUN * workers / 1e6)
    # Without it YARN and Kubernetes end executors whose Python grows.
    conf.setIfMissing('spark.executor.memoryOverhead', f'{megabytes}m')
    try:
      return pyspark.SparkContext(conf=conf)
    except Exception as e:  # Py4J's, PySpark's own, or a bare Exception.
      raise UserError(f'Spark cannot be started on --master={self.master}:'
                      f' {_reason(e)}') from e

  def _wait_for_executor(self, context) -> None:
    """A master is looked for in the background, and given up after a minute."""
    waiting = threading.Timer(_SECONDS_TO_EXECUTOR, print, [
        f'{self.master} has not given us an executor yet; we wait for one.'],
                              {'file': sys.stderr})
    waiting.start()
    try:
      context.parallelize([0], 1).count()
    except Exception as e:
      reason = _reason(e)
      if context._jsc.sc().isStopped():  # pylint: disable=protected-access
        reason = 'what answers there does not take applications of Spark.'
      raise UserError(f'Spark cannot be started on --master={self.master}:'
                      f' {reason}') from e
    finally:
      waiting.cancel()


def _execute(context, job: PartJob, model: str | None, parts: Sequence[Part],
             progress: Progress) -> None:
  counts = [context.accumulator(0), context.accumulator(0)]
  ended = threading.Event()

  def look():
    while not ended.wait(_SECONDS_BETWEEN_LOOKS):
      progress.update(*(count.value for count in counts))

  looking = threading.Thread(target=look)
  looking.start()
  try:
    context.parallelize(parts, len(parts)).foreach(
        functools.partial(spark_worker.run_part, job, model, *counts))
  except Exception as e:
    raise UserError('A part failed on each of its attempts; what is done stays, and'
                    f' --resume goes on: {_reason(e)}') from e
  finally:
    ended.set()
    looking.join()
    progress.update(*(count.value for count in counts))


def worker_memory(saved_model_dir: str) -> int:
  """Bytes that a process needs that has loaded a SavedModel, about."""
  graph, variables = file_bytes(saved_model_dir)
  return round(_IMPORTS_BYTES + variables + graph * _BYTES_PER_GRAPH_BYTE)


def _zip(folder: str, path: str, prefix: str, extension: str = '') -> str:
  with zipfile.ZipFile(path, 'w') as archive:
    for parent, _, names in os.walk(folder):
      for name in names:
        file = os.path.join(parent, name)
        if name.endswith(extension):
          archive.write(file, os.path.join(prefix, os.path.relpath(file, folder)))
  return path


def _reason(error: Exception) -> str:
  """The sentence in what Spark says of an error of a worker, or its first line."""
  text = str(error)
  for pattern in (r'UserError: (.+)', r"(ModuleNotFoundError: .+)",
                  r'Caused by: [\w.]+: (.+)', r'^[\w.]+(?:Error|Exception): (.+)'):
    found = re.search(pattern, text, re.M)
    if found:
      return found[1].strip().rstrip('.') + '.'
  lines = text.strip().splitlines() or [type(error).__name__]
  return lines[0][:300].rstrip('.') + '.'
