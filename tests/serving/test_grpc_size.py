"""Bytes on gRPC: against messages written by hand and by protobuf."""

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exporter.serving import grpc_size as size

_DTYPE_NUMBERS = {'float32': 1, 'float64': 2, 'int32': 3, 'uint8': 4, 'int16': 5,
                  'int8': 6, 'string': 7, 'int64': 9, 'bool': 10, 'uint16': 17,
                  'float16': 19, 'uint32': 22, 'uint64': 23}


def test_by_hand():
  message = (
      b'\x0a\x26'                          # outputs, 38 bytes
      b'\x0a\x06scores'                    # key
      b'\x12\x1c'                          # value, 28 bytes
      b'\x08\x01'                          # dtype: DT_FLOAT
      b'\x12\x08\x12\x02\x08\x01\x12\x02\x08\x04'  # shape: 1, 4
      b'\x22\x10' + b'\0' * 16)            # tensor_content
  assert size.output_bytes('scores', (1, 4), 16) == len(message)


def test_documented_example():
  assert size.content_bytes('float32', (1, 100, 4)) == 1600
  assert size.output_bytes('detection_boxes', (1, 100, 4), 1600) == 1642


def test_nothing_is_said_of_the_size_of_strings():
  assert size.content_bytes('string', (3,)) is None
  assert size.content_bytes('variant', ()) is None
  assert size.output_bytes_as_fields('v', 'variant', np.zeros(1)) is None


@pytest.fixture(scope='module')
def response_class():
  """PredictResponse as its .proto files declare it, without TensorFlow."""
  field = descriptor_pb2.FieldDescriptorProto
  file = descriptor_pb2.FileDescriptorProto(name='t.proto', package='t',
                                            syntax='proto3')

  def message(name, *fields):
    descriptor = file.message_type.add(name=name)
    for field_name, number, kind, repeated in fields:
      f = descriptor.field.add(
          name=field_name, number=number,
          label=field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL)
      if kind.startswith('.'):
        f.type, f.type_name = field.TYPE_MESSAGE, kind
      else:
        f.type = getattr(field, 'TYPE_' + kind)

  message('Dim', ('size', 1, 'INT64', False))
  message('Shape', ('dim', 2, '.t.Dim', True))
  message(
      'Tensor', ('dtype', 1, 'INT32', False), ('shape', 2, '.t.Shape', False),
      ('tensor_content', 4, 'BYTES', False), ('float_val', 5, 'FLOAT', True),
      ('double_val', 6, 'DOUBLE', True), ('int_val', 7, 'INT32', True),
      ('string_val', 8, 'BYTES', True), ('int64_val', 10, 'INT64', True),
      ('bool_val', 11, 'BOOL', True), ('half_val', 13, 'INT32', True),
      ('uint32_val', 16, 'UINT32', True), ('uint64_val', 17, 'UINT64', True))
  message('Entry', ('key', 1, 'STRING', False), ('value', 2, '.t.Tensor', False))
  message('Response', ('outputs', 1, '.t.Entry', True))
  return message_factory.GetMessages([file])['t.Response']


_FIELDS = {'float32': 'float_val', 'float64': 'double_val', 'int32': 'int_val',
           'int16': 'int_val', 'int8': 'int_val', 'uint8': 'int_val',
           'uint16': 'int_val', 'int64': 'int64_val', 'bool': 'bool_val',
           'float16': 'half_val', 'uint32': 'uint32_val', 'uint64': 'uint64_val'}


def _response(response_class, key, array):
  response = response_class()
  entry = response.outputs.add(key=key)
  entry.value.dtype = _DTYPE_NUMBERS[array.dtype.name]
  entry.value.shape.SetInParent()
  for dim in array.shape:
    entry.value.shape.dim.add(size=dim)
  return response, entry.value


_ARRAYS = st.sampled_from(sorted(_FIELDS)).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=20)))


@settings(deadline=None)
@given(st.text(min_size=1, max_size=200), _ARRAYS)
def test_tensor_content_is_as_long_as_protobuf_writes_it(response_class, key, array):
  response, tensor = _response(response_class, key, array)
  tensor.tensor_content = array.tobytes()
  content = size.content_bytes(array.dtype.name, array.shape)
  assert content == array.nbytes
  assert size.output_bytes(key, array.shape, content) == response.ByteSize()


@settings(deadline=None)
@given(_ARRAYS)
def test_fields_are_as_long_as_protobuf_writes_them(response_class, array):
  response, tensor = _response(response_class, 'key', array)
  values = array.view(np.uint16) if array.dtype == np.float16 else array
  getattr(tensor, _FIELDS[array.dtype.name]).extend(values.ravel().tolist())
  assert size.output_bytes_as_fields(
      'key', array.dtype.name, array) == response.ByteSize()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_strings(response_class, strings):
  array = np.empty(len(strings), dtype=object)
  array[:] = strings
  response = response_class()
  entry = response.outputs.add(key='s')
  entry.value.dtype = _DTYPE_NUMBERS['string']
  entry.value.shape.dim.add(size=len(strings))
  entry.value.string_val.extend(strings)
  assert size.output_bytes_as_fields('s', 'string', array) == response.ByteSize()
  # tensor_content of strings is their lengths as varints and then all of them.
  assert size.string_content_bytes(strings) == sum(
      1 + (len(s) > 127) + len(s) for s in strings)


def test_uint8_masks_take_up_to_two_bytes_as_fields():
  values = np.full(1000, 255, np.uint8)
  as_content = size.output_bytes('m', values.shape, values.nbytes)
  assert size.output_bytes_as_fields('m', 'uint8', values) > as_content + 990


def test_the_limit_is_that_of_grpc():
  assert size.DEFAULT_LIMIT_BYTES == 4_194_304
