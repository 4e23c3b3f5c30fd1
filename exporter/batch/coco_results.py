"""Writes the rows of all parts as COCO results, for pycocotools and its like."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from pyarrow import parquet

from exporter.batch.run_folder import Part, RunFolder
from exporter.errors import UserError
from exporter.paths.reading import read_text

DETECTIONS, IMAGES = 'detections.json', 'images.json'


def read_image_ids(annotations: str, paths: Sequence[str]) -> dict[str, int]:
  """Ids of images by path, of a COCO annotation file, which has names alone.

  Raises:
    UserError: it cannot be read, is none, or lacks an image.
  """
  try:
    text = read_text(annotations, 'COCO annotation file')
    ids = {image['file_name']: image['id'] for image in json.loads(text)['images']}
  except UserError:
    raise
  except (ValueError, KeyError, TypeError) as e:
    raise UserError(f'{annotations} is no COCO annotation file: it must be JSON with'
                    ' "images", each with "file_name" and "id".') from e
  return {path: _image_id(path, ids, annotations) for path in paths}


def _image_id(path: str, ids: Mapping[str, int], annotations: str) -> int:
  """Of the longest file name that the path ends in."""
  folders = path.replace(os.sep, '/').split('/')
  for first in range(len(folders)):
    name = '/'.join(folders[first:])
    if name in ids:
      return ids[name]
  raise UserError(f'The image {path} is not among those of {annotations}.')


def write(run: RunFolder, annotations: str | None) -> None:
  """Writes `detections.json`, and `images.json` with what the ids mean.

  Args:
    run: of which all parts are done.
    annotations: a COCO annotation file with the ids of the images; they count from 1
      where there is none.
  """
  parts = run.parts()
  ids = None if annotations is None else read_image_ids(
      annotations, [path for part in parts for path in part.paths])
  first = dict(zip((part.number for part in parts), _starts(parts)))

  def number(part: Part, index: int, path: str) -> int:
    return first[part.number] + index if ids is None else ids[path]

  _write_json(run, IMAGES, _entries(run, parts, number, _image_entries))
  # Last: whoever finds it has all.
  _write_json(run, DETECTIONS, _entries(run, parts, number, _result_entries))


def _starts(parts: Sequence[Part]) -> list[int]:
  return [1, *(1 + np.cumsum([len(part.paths) for part in parts])).tolist()]


def _entries(run: RunFolder, parts: Sequence[Part],
             number: Callable[[Part, int, str], int],
             of_row: Callable[[dict, int], Iterator[dict]]) -> Iterator[dict]:
  for part in parts:
    content = run.parts_folder.read(part.file_name('parquet'))
    index = 0
    for batch in parquet.ParquetFile(io.BytesIO(content)).iter_batches(64):
      for row in batch.to_pylist():
        yield from of_row(row, number(part, index, row['path']))
        index += 1


def _image_entries(row: dict, id_: int) -> Iterator[dict]:
  entry = {'id': id_, 'file_name': row['path'], 'height': row['height'],
           'width': row['width']}
  yield entry if row['error'] is None else {**entry, 'error': row['error']}


def _result_entries(row: dict, id_: int) -> Iterator[dict]:
  for i, box in enumerate(row.get('boxes') or ()):
    top, left, bottom, right = box
    entry = {'image_id': id_,
             'bbox': [round(v, 3) for v in (left, top, right - left, bottom - top)]}
    if row.get('classes') is not None:
      entry['category_id'] = row['classes'][i]
    if row.get('scores') is not None:
      entry['score'] = float(str(np.float32(row['scores'][i])))
    if row.get('masks') is not None:
      entry['segmentation'] = row['masks'][i]
    yield entry


def _write_json(run: RunFolder, name: str, entries: Iterator[dict]) -> None:
  """One after the other, as they may be many."""
  with run.folder.new_file(name) as path, open(path, 'w', encoding='utf-8') as f:
    f.write('[')
    for i, entry in enumerate(entries):
      f.write(f'{"," if i else ""}\n{json.dumps(entry)}')
    f.write('\n]\n')
