"""What finds modules for the Object Detection API."""

import pytest

from exporter.detection import import_hooks

# What protoc wrote up to 3.7 and up to 3.18, and writes since.
_OLDEST = r'''
DESCRIPTOR = _descriptor.FileDescriptor(
  name='x.proto', package='p', syntax='proto2',
  serialized_pb=_b('\n\x07x.proto\x12\x01p\xff')
)
'''
_OLD = r'''
DESCRIPTOR = _descriptor.FileDescriptor(
  name='x.proto', package='p', syntax='proto2',
  serialized_pb=b'\n\x07x.proto\x12\x01p'
)
'''
_NEW = r'''
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x07x.proto\x12\x01p')
'''


@pytest.mark.parametrize('source, found', [
    (_OLDEST, b'\n\x07x.proto\x12\x01p\xff'), (_OLD, b'\n\x07x.proto\x12\x01p'),
    (_NEW, None), ('f(serialized_pb=compute())', None)])
def test_descriptor_is_taken_from_old_modules_alone(tmp_path, source, found):
  path = tmp_path / 'x_pb2.py'
  path.write_text(source)
  assert import_hooks._old_file_descriptor(str(path)) == found
