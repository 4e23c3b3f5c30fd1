"""What runs in a Python worker of Spark."""

from __future__ import annotations

import contextlib
import functools
import os

from exporter.batch.detector import Detector, use_processors
from exporter.batch.part_job import PartJob
from exporter.batch.run_folder import Part

# The name under which workers find the SavedModel that they are sent.
SHIPPED_MODEL = 'model'


def run_part(job: PartJob, saved_model_dir: str | None, images, errors,
             part: Part) -> None:
  """Writes the file of a part; a worker loads the model for its first one.

  Args:
    job: what is the same for all parts.
    saved_model_dir: where the model is; None where it was sent.
    images: accumulator of the images that are done.
    errors: accumulator of those that are errors.
    part: the images.
  """
  detector = _detector(job, saved_model_dir)

  def finished(has_error: bool) -> None:
    images.add(1)
    errors.add(int(has_error))

  job.run(detector, part, finished)


@functools.lru_cache(maxsize=1)
def _detector(job: PartJob, saved_model_dir: str | None) -> Detector:
  import pyspark
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  import tensorflow as tf
  # A worker has the processors of its task; its neighbours have the others.
  processors = pyspark.TaskContext.get().cpus()
  use_processors(processors)
  with contextlib.suppress(RuntimeError):  # TensorFlow has started already.
    tf.config.threading.set_inter_op_parallelism_threads(processors)
  if saved_model_dir is None:
    saved_model_dir = pyspark.SparkFiles.get(SHIPPED_MODEL)
  return job.load(saved_model_dir)
