"""Reads the names of classes from a label map, without the Object Detection API.

A label map is a `StringIntLabelMap` in protobuf's text form, the `.pbtxt` that
training reads. Only the fields that name a class are declared here.
"""

from __future__ import annotations

import functools
import os

from exporter.errors import UserError
from exporter.paths.reading import read_text
from exporter.protos.declared import message_class


def read_class_names(path: str | os.PathLike) -> dict[int, str]:
  """The name of each class in a label map: `display_name`, or else `name`.

  Args:
    path: of a file such as

        item { id: 1 name: "person" }

  Raises:
    UserError: it cannot be read, is no label map, or gives a number twice.
  """
  from google.protobuf import text_format
  text = read_text(path, 'label map')
  label_map = _label_map_class()()
  try:
    text_format.Parse(text, label_map, allow_unknown_field=True)
  except text_format.ParseError as e:
    raise UserError(f'The label map {path} is not one: line {e}.') from e
  names = {}
  for item in label_map.item:
    if item.id in names:
      raise UserError(f'The label map {path} has two items with the id {item.id}.')
    names[item.id] = item.display_name or item.name
  if not names:
    raise UserError(f'The label map {path} holds no item such as'
                    ' item { id: 1 name: "person" }.')
  return names


@functools.cache
def _label_map_class():
  return message_class('exporter.serving.label_map', {
      'Item': {'name': (1, 'string'), 'id': (2, 'int32'), 'display_name': (3, 'string')},
      'LabelMap': {'item': (1, 'Item*')}}, 'LabelMap', syntax='proto2')
