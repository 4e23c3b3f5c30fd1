"""Reads the names of classes from a label map, without the Object Detection API.

A label map is a `StringIntLabelMap` in protobuf's text form, the `.pbtxt` that
training reads. Only the fields that name a class are declared here.
"""

from __future__ import annotations

import functools
import os

from exporter.errors import UserError
from exporter.paths.urls import check_is_local


def read_class_names(path: str | os.PathLike) -> dict[int, str]:
  """The name of each class in a label map: `display_name`, or else `name`.

  Args:
    path: of a file such as

        item { id: 1 name: "person" }

  Raises:
    UserError: it cannot be read, is no label map, or gives a number twice.
  """
  from google.protobuf import text_format
  check_is_local(path, 'label map')
  try:
    with open(path, encoding='utf-8-sig') as f:
      text = f.read()
  except OSError as e:
    raise UserError(f'The label map {path} cannot be read: {e.strerror or e}.') from e
  except UnicodeDecodeError as e:
    raise UserError(f'The label map {path} is not UTF-8 text: {e}.') from e
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
  from google.protobuf import descriptor_pb2
  from google.protobuf import message_factory
  field = descriptor_pb2.FieldDescriptorProto
  package = 'exporter.serving.label_map'
  file = descriptor_pb2.FileDescriptorProto(
      name=package + '.proto', package=package, syntax='proto2')
  item = file.message_type.add(name='Item')
  for name, number, kind in (('name', 1, field.TYPE_STRING), ('id', 2, field.TYPE_INT32),
                             ('display_name', 3, field.TYPE_STRING)):
    item.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
  file.message_type.add(name='LabelMap').field.add(
      name='item', number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED,
      type_name=f'.{package}.Item')
  return message_factory.GetMessages([file])[package + '.LabelMap']
