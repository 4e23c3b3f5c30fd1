"""TensorFlow Serving's REST API for predict requests, for `prediction_server`.

`POST /v1/models/NAME[/versions/N]:predict`; requests are read by `json_request`,
answers are written by `exporter.serving.rest_json`.
"""

import json
import re
import threading
import time
import urllib.parse
from collections.abc import Sequence
from http import HTTPStatus
from http import server as http_server

import grpc

from benchmarks import json_request
from benchmarks.served_models import ServedModels, ServingError, part_seconds
from exporter.serving import rest_json
from exporter.errors import UserError

_PREDICT_PATH = re.compile(
    r'/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:predict', re.I)

_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
}


def start(models: ServedModels, host: str,
          port: int) -> tuple[http_server.ThreadingHTTPServer, int]:
  """Starts to answer; returns the server and its port.

  Args:
    models: what is served.
    host: the address to listen on.
    port: 0 for a free one.

  Raises:
    UserError: the port cannot be had.
  """
  class Handler(_RestHandler):
    served = models

  try:
    server = http_server.ThreadingHTTPServer((host, port), Handler)
  except OSError as e:
    raise UserError(
        f'The port {port} of {host} cannot be listened on: {e.strerror}.') from e
  threading.Thread(target=server.serve_forever, daemon=True).start()
  return server, server.server_port


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
  return text, part_seconds(start, was_read, has_run)


def _render(outputs, form: rest_json.Form) -> bytes:
  if form == 'row':
    refusal = rest_json.row_refusal({k: a.shape for k, a in outputs.items()})
    if refusal:
      raise ServingError(grpc.StatusCode.INVALID_ARGUMENT,
                         f'The outputs have no common batch size: {refusal}')
  try:
    return rest_json.render(outputs, form)
  except UserError as e:
    raise ServingError(grpc.StatusCode.UNIMPLEMENTED, str(e)) from e


def _malformed(method: str, path: str) -> ServingError:
  return ServingError(grpc.StatusCode.INVALID_ARGUMENT,
                      f'Malformed request: {method} {path}')


def _error_json(message: str) -> bytes:
  return b'{ "error": ' + json.dumps(message).encode() + b' }\n'
