r"""Answers predict requests as TensorFlow Serving does, for tests and measuring.

  python -m benchmarks.prediction_server \
      --model=mask_rcnn=exported --model=ssd=/models/ssd --grpc_port=0 --rest_port=0

gRPC has `Predict` and `GetModelMetadata` of TensorFlow Serving's own protos, with
its errors, `output_filter`, and tensors as `tensor_content` (its option
`--enable_serialization_as_tensor_content`; without it floats take the same bytes).
REST has `POST /v1/models/NAME[/versions/N]:predict`. Messages may have any size.

Unlike TensorFlow Serving it is Python, listens on loopback only, and tells in how
many seconds it read the request, ran the model and wrote the answer: `read-seconds`,
`model-seconds` and `write-seconds`, in the trailing metadata or the headers. It is no
server to deploy.
"""

import gc
import json
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from concurrent import futures
from http import HTTPStatus
from http import server as http_server

import grpc
import numpy as np
from absl import flags

from benchmarks import json_request
from benchmarks.served_models import (
    ServedModel, ServedModels, ServingError, find_version)
from exporter import command_line, tensor_json
from exporter.errors import UserError
from exporter.saved_model_signature import DEFAULT_SIGNATURE

_HOST = '127.0.0.1'
_THREADS = 8
_UNLIMITED = -1

_PREDICT_PATH = re.compile(
    r'/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:predict', re.I)

_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
}


def start_grpc(models: ServedModels, port: int) -> tuple[grpc.Server, int]:
  """Starts to answer gRPC on loopback; returns the server and its port.

  Args:
    models: what is served.
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
    bound = server.add_insecure_port(f'{_HOST}:{port}')
  except RuntimeError as e:
    raise UserError(f'The port {port} of {_HOST} cannot be listened on.') from e
  server.start()
  return server, bound


def start_rest(models: ServedModels,
               port: int) -> tuple[http_server.ThreadingHTTPServer, int]:
  """Starts to answer REST on loopback; returns the server and its port.

  Args:
    models: what is served.
    port: 0 for a free one.

  Raises:
    UserError: the port cannot be had.
  """
  class Handler(_RestHandler):
    served = models

  try:
    server = http_server.ThreadingHTTPServer((_HOST, port), Handler)
  except OSError as e:
    raise UserError(
        f'The port {port} of {_HOST} cannot be listened on: {e.strerror}.') from e
  threading.Thread(target=server.serve_forever, daemon=True).start()
  return server, server.server_port


# gRPC.


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
  context.set_trailing_metadata(_timings(start, was_read, has_run))
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


# REST.


class _RestHandler(http_server.BaseHTTPRequestHandler):
  """Answers the requests of one connection; subclasses say what is served."""

  served: ServedModels
  protocol_version = 'HTTP/1.1'  # Connections stay open.
  disable_nagle_algorithm = True  # Headers and body are two writes.

  def do_POST(self):
    body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
    try:
      answer, timings = _predict_json(self.served, self.path, body)
      self._send(HTTPStatus.OK, answer, timings)
    except ServingError as e:
      self._send_error(e)

  def do_GET(self):
    self._send_error(_malformed('GET', self.path))

  def log_message(self, *_):
    """Says nothing."""

  def _send_error(self, error: ServingError):
    status = _HTTP_STATUS.get(error.status, HTTPStatus.INTERNAL_SERVER_ERROR)
    self._send(status, _error_json(error.message))

  def _send(self, status: HTTPStatus, body: bytes,
            headers: Sequence[tuple[str, str]] = ()):
    self.send_response(status)
    self.send_header('Content-Type', 'application/json')
    self.send_header('Content-Length', str(len(body)))
    for name, value in headers:
      self.send_header(name, value)
    self.end_headers()
    self.wfile.write(body)


def _predict_json(models: ServedModels, path: str, body: bytes):
  """The JSON of the answer, and the timings."""
  match = _PREDICT_PATH.fullmatch(path)
  if not match:
    raise _malformed('POST', path)
  name, version, label = match.groups()
  model = models.find(urllib.parse.unquote(name),
                      None if version is None else int(version), label)
  start = time.monotonic()
  request = json_request.parse(body, model.signatures)
  was_read = time.monotonic()
  outputs = model.predict(request.signature, request.inputs)
  has_run = time.monotonic()
  text = _render(outputs, request.form)
  return text, _timings(start, was_read, has_run)


def _render(outputs, form: tensor_json.Form) -> bytes:
  if form == 'row':
    refusal = tensor_json.row_refusal({k: a.shape for k, a in outputs.items()})
    if refusal:
      raise ServingError(grpc.StatusCode.INVALID_ARGUMENT,
                         f'The outputs have no common batch size: {refusal}')
  try:
    return tensor_json.render(outputs, form)
  except UserError as e:
    raise ServingError(grpc.StatusCode.UNIMPLEMENTED, str(e)) from e


def _malformed(method: str, path: str) -> ServingError:
  return ServingError(grpc.StatusCode.INVALID_ARGUMENT,
                      f'Malformed request: {method} {path}')


def _error_json(message: str) -> bytes:
  return b'{ "error": ' + json.dumps(message).encode() + b' }\n'


def _timings(start: float, was_read: float, has_run: float):
  """What was done in which seconds, from the times of its steps until now."""
  times = (start, was_read, has_run, time.monotonic())
  return tuple((f'{name}-seconds', f'{end - begin:.6f}') for name, begin, end
               in zip(('read', 'model', 'write'), times, times[1:]))


# Command line.


def serve(paths: dict[str, str], grpc_port: int, rest_port: int) -> None:
  """Loads models, prints the two addresses, and answers until interrupted.

  Args:
    paths: of the models by name; see `find_version`.
    grpc_port: 0 for a free one.
    rest_port: likewise.

  Raises:
    UserError: a model cannot be loaded or a port cannot be had.
  """
  for path in paths.values():
    find_version(path)  # Mistakes are told before TensorFlow is imported.
  models = ServedModels([ServedModel(name, path) for name, path in paths.items()])
  gc.freeze()  # Collections while JSON is read need not go through TensorFlow.
  server, grpc_port = start_grpc(models, grpc_port)
  _, rest_port = start_rest(models, rest_port)
  print(f'gRPC {_HOST}:{grpc_port}\nREST {_HOST}:{rest_port}', flush=True)
  try:
    server.wait_for_termination()
  except KeyboardInterrupt:
    server.stop(None)


def _paths(models: Sequence[str]) -> dict[str, str]:
  paths = {}
  for text in models:
    name, _, path = text.partition('=')
    if not name or not path or set('/:') & set(name):
      raise UserError(f'The model {text!r} is not of the form NAME=PATH.')
    if name in paths:
      raise UserError(f'The model {name!r} is given twice.')
    paths[name] = path
  return paths


def _define_flags() -> None:
  # Not at import: tests and the round trip import this and have their own flags.
  flags.DEFINE_multi_string(
      'model', None, 'NAME=PATH: a SavedModel, an export with saved_model/ in it, or'
      ' a folder of numbered versions. Repeatable.')
  flags.DEFINE_integer('grpc_port', 8500, '0 for a free one, which is printed.',
                       lower_bound=0, upper_bound=65535)
  flags.DEFINE_integer('rest_port', 8501, 'The same for REST.',
                       lower_bound=0, upper_bound=65535)
  flags.mark_flag_as_required('model')


def main(argv):
  try:
    if len(argv) > 1:
      raise UserError(f'The argument {argv[1]!r} is not a flag.')
    serve(_paths(flags.FLAGS.model), flags.FLAGS.grpc_port, flags.FLAGS.rest_port)
  except UserError as e:
    print(f'prediction_server: {e}', file=sys.stderr)
    sys.exit(1)


if __name__ == '__main__':
  _define_flags()
  command_line.run(main)
