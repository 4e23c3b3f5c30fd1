"""The output folder of a run: what is to be done, what is done, and with what.

`_run/` holds the settings and the plan, which divides the images into numbered
parts. A part is done when its file is there, which appears complete; whoever does a
part, once or again, writes the same rows under the same name. So nothing is lost and
nothing is there twice, whatever was killed.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Sequence

import pyarrow as pa
from pyarrow import parquet

from exporter.batch.storage import Folder
from exporter.errors import UserError
from exporter.paths.home_folders import check_is_expanded

# Readers of a folder of Parquet files pass over what begins so.
_RUN = '_run'
_SETTINGS = 'settings.json'
_PLAN = re.compile(r'images-(\d{5})\.parquet')
# Files in the output folder that runs write, and an overwriting one removes.
_RESULT = re.compile(r'part-\d{6}\.(parquet|tfrecord)|errors-\d{6}\.jsonl|'
                     r'(detections|images)\.json')
# At least so many parts, where there are images enough, and at most so large ones.
_FEWEST_PARTS, _SMALLEST_PART, _LARGEST_PART = 32, 8, 256


@dataclasses.dataclass(frozen=True)
class Part:
  """Images whose rows go into one file."""
  number: int
  paths: tuple[str, ...]

  def file_name(self, extension: str) -> str:
    return f'part-{self.number:06d}.{extension}'


class RunFolder:
  """The output folder of a run.

  Args:
    path: local, or a URL.
    file_format: 'parquet', 'coco' or 'tfrecord'.
  """

  def __init__(self, path: str, file_format: str):
    self.folder = Folder(path)
    self._run = self.folder.within(_RUN)
    # COCO's one file is made of all parts, which nobody else is to find.
    self.parts_folder = self._run if file_format == 'coco' else self.folder
    self._extension = 'tfrecord' if file_format == 'tfrecord' else 'parquet'

  def check(self, mode: str, settings: dict) -> None:
    """Tells what keeps `prepare` from succeeding, and changes nothing.

    Args:
      mode: 'begin', in an empty folder; 'resume', what is missing of a run with the
        same settings; or 'overwrite', which removes the results of another.
      settings: of this run, by the names that the user knows.

    Raises:
      UserError: what is in the folder does not fit, or its name begins with `~`.
    """
    if not self.folder.path.strip():
      raise UserError(f'The output directory {self.folder.path!r} names no folder.')
    check_is_expanded(self.folder.path, 'output directory')
    names, of_run = self.folder.names(), self._run.names()
    if mode == 'begin' and (names - {_RUN} or _SETTINGS in of_run):
      raise UserError(
          f'The output directory {self.folder.path} is not empty; --resume goes on with'
          ' a run that was begun there, --overwrite replaces its results.')
    if mode == 'overwrite' and names and _RUN not in names:
      raise UserError(
          f'The output directory {self.folder.path} holds files and no results of'
          ' detect_images; --overwrite replaces those alone. Give another directory.')
    if mode == 'resume':
      self._check_resumes(of_run, settings)

  def prepare(self, mode: str, settings: dict, images: Sequence[str],
              images_per_part: int | None = None) -> None:
    """Writes what is to be done.

    Args:
      mode: see `check`.
      settings: the same.
      images: all images; a run that is resumed gets those that it lacks.
      images_per_part: how many rows a file holds; None chooses by their number.
    """
    self.check(mode, settings)
    if mode == 'resume':
      self.folder.clear_incomplete()
      self._run.clear_incomplete()
      planned = {path for part in self.parts() for path in part.paths}
      more = [path for path in images if path not in planned]
      if more:
        self._write_plan(more, len(self._plans()), images_per_part)
      return
    # First the settings, without which a folder is of no run that can be resumed.
    self._run.remove({_SETTINGS})
    self._run.remove(self._run.names())
    self.folder.remove({name for name in self.folder.names() if _RESULT.fullmatch(name)})
    self._write_plan(images, 0, images_per_part)
    self._run.write(_SETTINGS, json.dumps(settings, indent=2).encode())

  def _check_resumes(self, of_run: set[str], settings: dict) -> None:
    if _SETTINGS not in of_run:
      raise UserError(f'There is no run to resume in {self.folder.path}; it begins'
                      ' without --resume.')
    begun = json.loads(self._run.read(_SETTINGS))
    for name, value in settings.items():
      if begun.get(name) != json.loads(json.dumps(value)):
        raise UserError(
            f'The run in {self.folder.path} was begun with another {name}:'
            f' {_short(begun.get(name))}, and now it is {_short(value)}; resume it with'
            ' the same, or give another output directory.')

  def parts(self) -> list[Part]:
    """All parts, done or not, in the order of their numbers."""
    paths: dict[int, list[str]] = {}
    for name in self._plans():
      table = parquet.read_table(io.BytesIO(self._run.read(name)))
      for path, number in zip(*(table[c].to_pylist() for c in ('path', 'part'))):
        paths.setdefault(number, []).append(path)
    return [Part(number, tuple(paths[number])) for number in sorted(paths)]

  def missing(self) -> list[Part]:
    """The parts that are still to be done."""
    names = self.parts_folder.names()
    return [part for part in self.parts()
            if part.file_name(self._extension) not in names]

  def _plans(self) -> list[str]:
    return sorted(name for name in self._run.names() if _PLAN.fullmatch(name))

  def _write_plan(self, images: Sequence[str], index: int, size: int | None) -> None:
    first = max((part.number for part in self.parts()), default=-1) + 1
    size = size or min(max(len(images) // _FEWEST_PARTS, _SMALLEST_PART), _LARGEST_PART)
    table = pa.table({
        'path': pa.array(images, pa.string()),
        'part': pa.array([first + i // size for i in range(len(images))], pa.int32())})
    with self._run.new_file(f'images-{index:05d}.parquet') as path:
      parquet.write_table(table, path)


def _short(value) -> str:
  text = json.dumps(value)
  return text if len(text) <= 80 else text[:77] + '...'
