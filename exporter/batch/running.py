"""Runs a detector over many images: checks first, does what is missing, sums up."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from exporter.batch import image_sources
from exporter.batch.image_feeding import image_input
from exporter.batch.progress import Progress
from exporter.batch.rows import RowOptions
from exporter.errors import UserError
from exporter.saved_model.files import find_saved_model
from exporter.saved_model.signature import DEFAULT_SIGNATURE, read_signature

if TYPE_CHECKING:
  from exporter.batch.part_job import PartJob
  from exporter.batch.run_folder import Part

  Execute = Callable[[Sequence[Part], Progress], None]

FORMATS = ('parquet', 'coco', 'tfrecord')


@dataclasses.dataclass(frozen=True)
class BatchOptions:
  """What is run, and on what.

  Attributes:
    saved_model_dir: the SavedModel, or the directory with it in `saved_model/`.
    images: patterns, see `image_sources.find_images`.
    output: the output folder, local or a URL.
    file_format: one of `FORMATS`.
    rows: what a row holds.
    signature_name: which signature of the model.
    batch_size: how many images a call takes, where the model leaves that free.
    images_per_part: how many rows a file holds; None chooses by their number.
    coco_annotations: a COCO annotation file with the ids of the images.
    mode: what becomes of what is in `output`, see `RunFolder.check`.
  """
  saved_model_dir: str
  images: tuple[str, ...]
  output: str
  file_format: str = 'parquet'
  rows: RowOptions = RowOptions()
  signature_name: str = DEFAULT_SIGNATURE
  batch_size: int = 1
  images_per_part: int | None = None
  coco_annotations: str | None = None
  mode: str = 'begin'


@dataclasses.dataclass(frozen=True)
class Summary:
  """What a run did: images of this run, and of those the errors; seconds."""
  images: int
  errors: int
  skipped: int
  images_per_second: float


class Here:
  """Does parts in this process, with the model loaded once.

  Args:
    calls: how many calls of the model run at a time.
  """

  def __init__(self, calls: int):
    self.calls = calls

  @contextlib.contextmanager
  def started(self, job: PartJob, saved_model_dir: str) -> Iterator[Execute]:
    """Gives what writes the files of parts, and counts their images."""
    from exporter.batch.detector import use_processors
    use_processors(max(1, (os.cpu_count() or 1) // self.calls))
    detector = job.load(saved_model_dir)

    def execute(parts: Sequence[Part], progress: Progress) -> None:
      for part in parts:
        job.run(detector, part, progress.advance)

    yield execute


def run(options: BatchOptions, place) -> Summary:
  """Does what is missing of a run.

  Args:
    options: what.
    place: where: a `Here`, or a `spark_run.Cluster`.

  Raises:
    UserError: something is wrong with the options, the model, the images, the
      folder or the place, which is told before anything is written.
  """
  check_installed()
  # Here, as they import PyArrow.
  from exporter.batch import coco_results
  from exporter.batch.run_folder import RunFolder
  saved_model_dir = find_saved_model(options.saved_model_dir)
  _check_model(saved_model_dir, options)
  images = image_sources.find_images(options.images)
  if options.coco_annotations is not None:
    coco_results.read_image_ids(options.coco_annotations, images)
  folder = RunFolder(options.output, options.file_format)
  settings = _settings(options, saved_model_dir)
  folder.check(options.mode, settings)
  job = _job(options, folder.parts_folder.path, place.calls)
  with place.started(job, saved_model_dir) as execute:
    folder.prepare(options.mode, settings, images, options.images_per_part)
    missing = folder.missing()
    count = sum(len(part.paths) for part in missing)
    with Progress(count) as progress:
      if missing:
        execute(missing, progress)
      rate = progress.images_per_second
  if options.file_format == 'coco':
    coco_results.write(folder, options.coco_annotations)
  planned = sum(len(part.paths) for part in folder.parts())
  return Summary(progress.done, progress.errors, planned - count, rate)


def _check_model(saved_model_dir: str, options: BatchOptions) -> None:
  signature = read_signature(saved_model_dir, options.signature_name)
  image_input(signature)
  options.rows.outputs(signature)


def _job(options: BatchOptions, output: str, calls: int) -> PartJob:
  from exporter.batch.part_job import PartJob
  return PartJob(
      output, 'tfrecord' if options.file_format == 'tfrecord' else 'parquet',
      options.rows, options.signature_name, options.batch_size, calls)


def check_installed() -> None:
  """Raises UserError where a package is missing."""
  for package in ('pyarrow', 'pycocotools', 'tensorflow'):
    if importlib.util.find_spec(package) is None:
      raise UserError(
          f'detect_images needs the package {package!r}, which is not installed;'
          " pip install 'lean-detection-exporter[batch]' brings pyarrow and pycocotools,"
          ' TensorFlow is to be the one that the model was exported with.')


def _settings(options: BatchOptions, saved_model_dir: str) -> dict:
  """What must be the same where a run is resumed, by the names that people know."""
  return {
      'model': _fingerprint(saved_model_dir), 'format': options.file_format,
      'signature': options.signature_name, 'batch_size': options.batch_size,
      **dataclasses.asdict(options.rows)}


def _fingerprint(saved_model_dir: str) -> str:
  """Of the graph and the weights, whose index holds a checksum of each."""
  digest = hashlib.sha256()
  for name in ('saved_model.pb', os.path.join('variables', 'variables.index')):
    path = os.path.join(saved_model_dir, name)
    if os.path.exists(path):
      with open(path, 'rb') as f:
        digest.update(f.read())
  return digest.hexdigest()
