"""Makes message classes of tables, without the generated code of their project.

Fields that are not in the table are skipped when bytes are parsed, so that a message
takes neither the import of TensorFlow nor the time for what nobody asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# By name: the number, and a scalar type or another message of the table; * repeats it.
Fields = Mapping[str, 'tuple[int, str]']


def message_class(package: str, messages: Mapping[str, Fields], name: str,
                  syntax: str = 'proto3') -> type:
  """The class of one message of a table.

    >>> item = {'name': (1, 'string'), 'sizes': (2, 'int32*')}
    >>> message_class('doc.example', {'Item': item}, 'Item')(name='a', sizes=[1]).name
    'a'

  Args:
    package: a name that nothing else in the process declares; call once for it.
    messages: the fields of each message, by its name.
    name: of the message whose class is wanted.
    syntax: 'proto2' where it matters whether a scalar was given.
  """
  from google.protobuf import descriptor_pb2
  from google.protobuf import message_factory
  file = descriptor_pb2.FileDescriptorProto(
      name=f'{package}.proto', package=package, syntax=syntax)
  for message, fields in messages.items():
    descriptor = file.message_type.add(name=message)
    for field, (number, type_name) in fields.items():
      descriptor.field.append(_field(package, messages, field, number, type_name))
  return message_factory.GetMessages([file])[f'{package}.{name}']


def _field(package: str, messages: Mapping[str, Fields], name: str, number: int,
           type_name: str) -> Any:
  from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
  repeated = type_name.endswith('*')
  type_name = type_name.rstrip('*')
  field = Field(name=name, number=number,
                label=Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL)
  if type_name in messages:
    field.type = Field.TYPE_MESSAGE
    field.type_name = f'.{package}.{type_name}'
  else:
    field.type = getattr(Field, 'TYPE_' + type_name.upper())
  return field
