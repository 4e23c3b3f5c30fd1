"""Does parts of a run, on this machine or in a worker of a cluster."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

from exporter.batch.detector import Detector, in_batches
from exporter.batch.image_feeding import PreparedImage
from exporter.batch.rows import Row, RowOptions, make_row
from exporter.batch.run_folder import Part
from exporter.batch.storage import Folder, read_file
from exporter.errors import UserError

# Rows that are held before they are written.
_ROWS_AT_A_TIME = 64

_In = TypeVar('_In')
_Out = TypeVar('_Out')


@dataclasses.dataclass(frozen=True)
class PartJob:
  """What is the same for all parts of a run; can be pickled.

  Attributes:
    output: the output folder.
    file_format: 'parquet' or 'tfrecord'.
    options: what a row holds.
    signature_name: of the model.
    batch_size: how many images a call takes, where the model leaves that free.
    calls: how many calls of the model run at a time.
    ahead: how many images are decoded before the model wants them.
  """
  output: str
  file_format: str
  options: RowOptions
  signature_name: str
  batch_size: int = 1
  calls: int = 1
  ahead: int = 8

  def load(self, saved_model_dir: str) -> Detector:
    from exporter.saved_model.signature import read_signature
    signature = read_signature(saved_model_dir, self.signature_name)
    return Detector(saved_model_dir, self.options.outputs(signature),
                    self.signature_name, self.batch_size)

  def run(self, detector: Detector, part: Part,
          finished: Callable[[bool], None] = lambda has_error: None) -> None:
    """Writes the file of a part.

    Args:
      detector: from `load`.
      part: its images.
      finished: called after each image, with whether its row is an error.
    """
    folder = Folder(self.output)
    write = {'parquet': _write_parquet, 'tfrecord': _write_tfrecord}[self.file_format]
    rows = _told(self._rows(detector, part.paths), finished)
    write(folder, part, _chunks(rows, _ROWS_AT_A_TIME), detector, self.options)

  def _rows(self, detector: Detector, paths: Iterable[str]
            ) -> Iterator[tuple[Row, bytes]]:
    """Rows in the order of `paths`, with the files where those are wanted."""
    keeps_file = self.file_format == 'tfrecord'
    with contextlib.ExitStack() as stack:
      # Closed in this order: calls first, then what reads for them.
      readers = stack.enter_context(futures.ThreadPoolExecutor(self.calls + 1))
      callers = stack.enter_context(futures.ThreadPoolExecutor(self.calls))
      loaded = _ahead(readers, lambda item: _load(detector, *item, keeps_file),
                      enumerate(paths), max(self.ahead, 2 * detector.batch_size))
      groups = _ahead(callers, lambda group: self._call(detector, group),
                      in_batches(loaded, detector.batch_size), self.calls + 1)
      yield from _in_order(groups)

  def _call(self, detector: Detector, group) -> list[tuple[int, Row, bytes]]:
    detected = detector.call([prepared for _, prepared in group])
    return [(index, make_row(path, one, self.options), encoded)
            for ((index, path, encoded), _), one in zip(group, detected)]


def _load(detector: Detector, index: int, path: str, keeps_file: bool
          ) -> tuple[tuple[int, str, bytes], PreparedImage]:
  try:
    encoded = read_file(path)
  except (OSError, UserError) as e:
    reason = getattr(e, 'strerror', None) or str(e).splitlines()[0]
    return (index, path, b''), PreparedImage(
        error=f'The file cannot be read: {reason.rstrip(".")}.')
  return (index, path, encoded if keeps_file else b''), detector.prepare(encoded)


def _ahead(pool: futures.Executor, function: Callable[[_In], _Out],
           items: Iterable[_In], count: int) -> Iterator[_Out]:
  """Maps in order, `count` items ahead of who takes the results, and no more."""
  waiting: collections.deque[futures.Future] = collections.deque()
  for item in items:
    waiting.append(pool.submit(function, item))
    if len(waiting) >= count:
      yield waiting.popleft().result()
  while waiting:
    yield waiting.popleft().result()


def _in_order(groups: Iterable[list[tuple[int, Row, bytes]]]
              ) -> Iterator[tuple[Row, bytes]]:
  early, following = {}, 0
  for group in groups:
    early.update((index, (row, encoded)) for index, row, encoded in group)
    while following in early:
      yield early.pop(following)
      following += 1


def _told(rows, finished):
  for row, encoded in rows:
    yield row, encoded
    finished(row['error'] is not None)


def _chunks(items: Iterable[_In], size: int) -> Iterator[list[_In]]:
  chunk = []
  for item in items:
    chunk.append(item)
    if len(chunk) == size:
      yield chunk
      chunk = []
  if chunk:
    yield chunk


def _write_parquet(folder: Folder, part: Part, chunks, detector: Detector,
                   options: RowOptions) -> None:
  from pyarrow import parquet
  from exporter.batch import arrow_rows
  schema = arrow_rows.schema_of(detector, options)
  with folder.new_file(part.file_name('parquet')) as path, \
      parquet.ParquetWriter(path, schema, compression='zstd') as writer:
    for chunk in chunks:
      writer.write_table(arrow_rows.table_of([row for row, _ in chunk], schema))


def _write_tfrecord(folder: Folder, part: Part, chunks, detector: Detector,
                    options: RowOptions) -> None:
  """Also a file with the images that are no example, which is there first."""
  del detector, options
  import tensorflow as tf
  from exporter.batch.tf_examples import tf_example
  errors = []
  with folder.new_file(part.file_name('tfrecord')) as path:
    with tf.io.TFRecordWriter(path) as writer:
      for row, encoded in (pair for chunk in chunks for pair in chunk):
        if row['error'] is None:
          writer.write(tf_example(row, encoded))
        else:
          errors.append(json.dumps({'path': row['path'], 'error': row['error']}))
    if errors:
      folder.write(f'errors-{part.number:06d}.jsonl',
                   ''.join(f'{line}\n' for line in errors).encode())
