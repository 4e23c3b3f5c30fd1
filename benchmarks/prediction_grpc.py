"""The gRPC of TensorFlow Serving's `PredictionService`, for `prediction_server`.

`Predict` and `GetModelMetadata`, in TensorFlow Serving's own protos. Tensors are
answered as `tensor_content`, as with its `--enable_serialization_as_tensor_content`;
without that option floats take the same bytes.
"""

import time
from collections.abc import Callable
from concurrent import futures

import grpc
import numpy as np

from benchmarks.served_models import (
    ServedModel, ServedModels, ServingError, part_seconds)
from exporter.errors import UserError
from exporter.saved_model.signature import DEFAULT_SIGNATURE

_THREADS = 8
_UNLIMITED = -1


def start(models: ServedModels, host: str, port: int) -> tuple[grpc.Server, int]:
  """Starts to answer; returns the server and its port.

  Args:
    models: what is served.
    host: the address to listen on.
    port: 0 for a free one.

  Raises:
    UserError: the port cannot be had.
  """
  from tensorflow_serving.apis import prediction_service_pb2_grpc
  server = grpc.server(
      futures.ThreadPoolExecutor(_THREADS),
      options=[('grpc.max_receive_message_length', _UNLIMITED),
               ('grpc.max_send_message_length', _UNLIMITED),
               ('grpc.so_reuseport', 0)])
  prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
      _servicer(models), server)
  try:
    bound = server.add_insecure_port(f'{host}:{port}')
  except RuntimeError as e:
    raise UserError(f'The port {port} of {host} cannot be listened on.') from e
  server.start()
  return server, bound


def _servicer(models: ServedModels):
  # Here and below, not above: --help should not wait for TensorFlow.
  from tensorflow_serving.apis import prediction_service_pb2_grpc

  class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The methods that detection clients call; others are UNIMPLEMENTED."""

    def Predict(self, request, context):
      return _answered(context, lambda: _predict(models, request, context))

    def GetModelMetadata(self, request, context):
      return _answered(context, lambda: _metadata(models, request))

  return Servicer()


def _answered(context, answer: Callable):
  try:
    return answer()
  except ServingError as e:
    context.abort(e.status, e.message)


def _predict(models: ServedModels, request, context):
  from tensorflow_serving.apis import predict_pb2
  model = _model(models, request)
  signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
  start = time.monotonic()
  inputs = {key: _from_proto(key, tensor) for key, tensor in request.inputs.items()}
  was_read = time.monotonic()
  outputs = model.predict(signature, inputs, request.output_filter)
  has_run = time.monotonic()
  response = predict_pb2.PredictResponse()
  _fill_model_spec(response.model_spec, model)
  response.model_spec.signature_name = signature
  for key, array in outputs.items():
    _fill_proto(response.outputs[key], array)
  context.set_trailing_metadata(part_seconds(start, was_read, has_run))
  return response


def _metadata(models: ServedModels, request):
  from tensorflow_serving.apis import get_model_metadata_pb2
  model = _model(models, request)
  if list(request.metadata_field) != ['signature_def']:
    raise ServingError(grpc.StatusCode.INVALID_ARGUMENT,
                       f'Metadata field {", ".join(request.metadata_field)!r} is not'
                       " supported; ask for 'signature_def'")
  signatures = get_model_metadata_pb2.SignatureDefMap()
  for name, signature_def in model.signature_defs.items():
    signatures.signature_def[name].CopyFrom(signature_def)
  response = get_model_metadata_pb2.GetModelMetadataResponse()
  _fill_model_spec(response.model_spec, model)
  response.metadata['signature_def'].Pack(signatures)
  return response


def _model(models: ServedModels, request) -> ServedModel:
  if not request.HasField('model_spec'):
    raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, 'Missing ModelSpec')
  spec = request.model_spec
  version = spec.version.value if spec.HasField('version') else None
  return models.find(spec.name, version, spec.version_label)


def _fill_model_spec(spec, model: ServedModel) -> None:
  spec.name = model.name
  spec.version.value = model.version


def _from_proto(key: str, tensor) -> np.ndarray:
  import tensorflow as tf
  try:
    return tf.make_ndarray(tensor)
  except (TypeError, ValueError) as e:
    raise ServingError(grpc.StatusCode.INVALID_ARGUMENT,
                       f'tensor parsing error: {key}') from e


def _fill_proto(tensor, array: np.ndarray) -> None:
  import tensorflow as tf
  if array.dtype == object:
    tensor.CopyFrom(tf.make_tensor_proto(array))
    return
  # make_tensor_proto writes single values as float_val and so on.
  tensor.dtype = tf.as_dtype(array.dtype).as_datatype_enum
  tensor.tensor_shape.SetInParent()
  for size in array.shape:
    tensor.tensor_shape.dim.add(size=size)
  tensor.tensor_content = array.tobytes()
