"""Reads label maps, such as `mscoco_label_map.pbtxt`, without TensorFlow.

    names = label_map.read('label_map.pbtxt')
    names[1]  # 'person'
"""

from __future__ import annotations

import functools
import os
from typing import Any

from exporter.errors import UserError
from exporter.paths.reading import read_text
from exporter.protos.declared import message_class

# The fields of upstream's StringIntLabelMapItem that are read here.
_ITEM = {'name': (1, 'string'), 'id': (2, 'int32'), 'display_name': (3, 'string')}


def read(path: str | os.PathLike[str]) -> dict[int, str]:
  """What each class is called, by its id: `display_name`, or else `name`.

  Args:
    path: a StringIntLabelMap in protobuf's text form.

  Raises:
    UserError: the file cannot be read, is no label map, or says two things of an id.
  """
  names: dict[int, str] = {}
  for item in _parse(path, read_text(path, 'label map')).item:
    name = item.display_name or item.name
    if not item.HasField('id') or item.id < 0:
      raise UserError(
          f'The label map {path} has the item {name!r} without an id of 0 or more.')
    if not name:
      raise UserError(f'The label map {path} has no name for the id {item.id}.')
    if item.id in names:
      raise UserError(f'The label map {path} has the id {item.id} twice, for'
                      f' {names[item.id]!r} and {name!r}.')
    names[item.id] = name
  if not names:
    raise UserError(f'{path} is no label map: there is no item in it.')
  return names


def _parse(path: str | os.PathLike[str], text: str) -> Any:
  from google.protobuf import text_format
  try:
    # Keypoints, hierarchies and frequencies are none of our business.
    return text_format.Parse(text, _label_map_class()(), allow_unknown_field=True)
  except (text_format.ParseError, UnicodeError) as e:
    raise UserError(f'{path} is no label map: line {str(e).rstrip(".")}.') from e


@functools.cache
def _label_map_class() -> type:
  return message_class(
      'exporter.protos.label_map',
      {'Item': _ITEM, 'LabelMap': {'item': (1, 'Item*')}}, 'LabelMap', syntax='proto2')
