"""Checks the label map that a CenterNet for keypoints needs to be built."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from google.protobuf import text_format

from exporter.detection import environment
from exporter.errors import UserError, did_you_mean
from exporter.paths.file_systems import is_served
from exporter.paths.reading import read_bytes, read_text
from exporter.paths.urls import is_url

with environment.api_imports():
  from object_detection.protos import model_pb2
  from object_detection.protos import string_int_label_map_pb2


@contextlib.contextmanager
def readable(model: model_pb2.DetectionModel) -> Iterator[model_pb2.DetectionModel]:
  """A model config whose keypoint label map upstream's builder can read.

  It is `model` itself, except where the label map is not as upstream reads one, with
  a byte order mark; then a copy of the file stands in for the length of the block.

  Raises:
    UserError: the label map cannot be read, or lacks a class that the config names.
  """
  tasks = model.center_net.keypoint_estimation_task
  path = model.center_net.keypoint_label_map_path
  if not tasks or is_url(path) and not is_served(path):
    yield model
    return
  text = read_text(path, 'keypoint_label_map_path of the pipeline config')
  _check_classes(text, path, [task.keypoint_class_name for task in tasks])
  if not is_url(path) and read_bytes(path, 'keypoint label map') == text.encode():
    yield model
    return
  with tempfile.TemporaryDirectory() as folder:
    copy = model_pb2.DetectionModel()
    copy.CopyFrom(model)
    copy.center_net.keypoint_label_map_path = os.path.join(folder, 'label_map.pbtxt')
    with open(copy.center_net.keypoint_label_map_path, 'w', encoding='utf-8') as f:
      f.write(text)
    yield copy


def _check_classes(text: str, path: str, wanted: list[str]) -> None:
  label_map = string_int_label_map_pb2.StringIntLabelMap()
  try:
    text_format.Parse(text, label_map)
  except text_format.ParseError as e:
    raise UserError(f'The keypoint label map {path} is not a StringIntLabelMap: line'
                    f' {" ".join(str(e).split())}') from e
  names = [item.name for item in label_map.item if item.keypoints]
  for name in wanted:
    if name not in names:
      raise UserError(
          f'The keypoint label map {path} has no class {name!r} with keypoints, which'
          ' the pipeline config names as keypoint_class_name'
          f'{did_you_mean(name, names) or "."} Those with keypoints are'
          f' {", ".join(names) or "none"}.')
