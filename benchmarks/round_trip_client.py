"""What a client does in a round trip: sends an image, gets NumPy arrays.

`benchmarks.round_trip` runs these functions in processes of their own, forked where
`HEAVY_MODULES` are imported already.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import http.client
import json
import resource
import time
from collections.abc import Callable, Mapping

import grpc
import numpy as np

# What the functions below import; the protos import all of TensorFlow.
HEAVY_MODULES = ('tensorflow', 'tensorflow_serving.apis.get_model_metadata_pb2',
                 'tensorflow_serving.apis.prediction_service_pb2_grpc')

_IMAGE_SHAPE = (1, 480, 640, 3)
_INPUT = 'input_tensor'
_SIGNATURE = 'serving_default'
_TIMEOUT_SECONDS = 1200

# What the server in this repository tells of each request: the seconds in which it
# read the request, ran the model, and wrote the answer.
SERVER_PARTS = ('read', 'model', 'write')

_UNLIMITED = (('grpc.max_receive_message_length', -1),
              ('grpc.max_send_message_length', -1))


@dataclasses.dataclass(frozen=True)
class Contender:
  """A way to ask for detections.

  Attributes:
    name: for the report.
    transport: 'gRPC' or 'REST'.
    address: host:port.
    model: its name at the server.
    output_filter: keys of the outputs that the request asks for, which only gRPC
      can; none for all.
  """
  name: str
  transport: str
  address: str
  model: str
  output_filter: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Reply:
  """An answer as its client has it.

  Attributes:
    outputs: arrays by output key.
    bytes: of the message or of the JSON, without headers.
    server_seconds: by `SERVER_PARTS`; None where the server does not tell.
  """
  outputs: dict[str, np.ndarray]
  bytes: int
  server_seconds: dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class Measured:
  """What some requests cost.

  Attributes:
    seconds: of each, from the sending of a request that is ready to be sent to
      outputs as arrays.
    server_seconds: as in `Reply`, of each.
    response_bytes: of one response.
    grown_bytes: by which the process grew at most, from when the request was ready.
    digests: of each output's values as float32, by key.
  """
  seconds: list[float]
  server_seconds: list[dict[str, float | None]]
  response_bytes: int
  grown_bytes: int
  digests: dict[str, str]


def measure(contender: Contender, requests: int) -> Measured:
  """Sends requests of one noise image, one after the other, on one connection.

  The first request, on which the model warms up, is not counted.

  Raises:
    RuntimeError: the server answered with an error.
  """
  # Else each collection while JSON is read would go through all of TensorFlow, which
  # a REST client does not need to import.
  gc.freeze()
  sender = {'gRPC': _grpc_sender, 'REST': _rest_sender}[contender.transport]
  send = sender(contender, noise_image())
  before = _peak_bytes()
  first = send()
  size = first.bytes
  digests = {key: _digest(array) for key, array in first.outputs.items()}
  del first  # Or two answers would be in memory at once.
  seconds, server_seconds = zip(*(_timed(send) for _ in range(requests)))
  return Measured(list(seconds), list(server_seconds), size,
                  _peak_bytes() - before, digests)


def answer_to_default_client(contender: Contender) -> str:
  """'OK', or the status with which gRPC's default 4 MB limit ends the request."""
  with grpc.insecure_channel(contender.address) as channel:
    try:
      _stub(channel).Predict(_predict_request(contender, noise_image()),
                             timeout=_TIMEOUT_SECONDS)
    except grpc.RpcError as e:
      return e.code().name
  return 'OK'


def output_keys(address: str, model: str) -> tuple[str, ...]:
  """Keys of a model's outputs, from its metadata."""
  from tensorflow_serving.apis import get_model_metadata_pb2
  request = get_model_metadata_pb2.GetModelMetadataRequest(
      metadata_field=['signature_def'])
  request.model_spec.name = model
  with grpc.insecure_channel(address, _UNLIMITED) as channel:
    try:
      response = _stub(channel).GetModelMetadata(request, timeout=_TIMEOUT_SECONDS)
    except grpc.RpcError as e:
      raise _failure(model, address, e) from None
  signatures = get_model_metadata_pb2.SignatureDefMap()
  response.metadata['signature_def'].Unpack(signatures)
  return tuple(sorted(signatures.signature_def[_SIGNATURE].outputs))


def noise_image() -> np.ndarray:
  """uint8 [1, 480, 640, 3], always the same."""
  return np.random.RandomState(0).randint(256, size=_IMAGE_SHAPE, dtype=np.uint8)


def _timed(send: Callable[[], Reply]) -> tuple[float, dict[str, float | None]]:
  start = time.monotonic()
  reply = send()
  return time.monotonic() - start, reply.server_seconds


def _grpc_sender(contender: Contender, image: np.ndarray) -> Callable[[], Reply]:
  import tensorflow as tf
  stub = _stub(grpc.insecure_channel(contender.address, _UNLIMITED))
  request = _predict_request(contender, image)

  def send():
    try:
      response, call = stub.Predict.with_call(request, timeout=_TIMEOUT_SECONDS)
    except grpc.RpcError as e:
      raise _failure(contender.model, contender.address, e) from None
    outputs = {key: tf.make_ndarray(tensor)
               for key, tensor in response.outputs.items()}
    return Reply(outputs, response.ByteSize(),
                 _server_seconds(dict(call.trailing_metadata())))

  return send


def _stub(channel: grpc.Channel):
  from tensorflow_serving.apis import prediction_service_pb2_grpc
  return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def _predict_request(contender: Contender, image: np.ndarray):
  import tensorflow as tf
  from tensorflow_serving.apis import predict_pb2
  request = predict_pb2.PredictRequest(output_filter=contender.output_filter)
  request.model_spec.name = contender.model
  request.model_spec.signature_name = _SIGNATURE
  request.inputs[_INPUT].CopyFrom(tf.make_tensor_proto(image))
  return request


def _rest_sender(contender: Contender, image: np.ndarray) -> Callable[[], Reply]:
  connection = http.client.HTTPConnection(
      contender.address, timeout=_TIMEOUT_SECONDS)
  path = f'/v1/models/{contender.model}:predict'
  request = _json_request(image)

  def send():
    connection.request('POST', path, request)
    response = connection.getresponse()
    text = response.read()
    parsed = json.loads(text)
    if response.status != 200:
      raise RuntimeError(f'{contender.model} at {contender.address} answers'
                         f' {response.status}: {parsed.get("error")}')
    outputs = {key: np.array(values) for key, values in parsed['outputs'].items()}
    return Reply(outputs, len(text), _server_seconds(response.headers))

  return send


def _json_request(image: np.ndarray) -> bytes:
  # `inputs`, as stock's outputs of many first dimensions cannot be rows. By lines
  # of pixels: what lists of all numbers take would hide what the answer takes.
  lines = ','.join(json.dumps(line.tolist()) for line in image[0])
  return f'{{"inputs": {{"{_INPUT}": [[{lines}]]}}}}'.encode()


def _server_seconds(told: Mapping[str, str]) -> dict[str, float | None]:
  names = {part: f'{part}-seconds' for part in SERVER_PARTS}
  return {part: float(told[name]) if name in told else None
          for part, name in names.items()}


def _failure(model: str, address: str, error: grpc.RpcError) -> RuntimeError:
  # An RpcError cannot be sent to another process.
  return RuntimeError(
      f'{model} at {address} answers {error.code().name}: {error.details()}')


def _digest(array: np.ndarray) -> str:
  return hashlib.sha256(array.astype(np.float32).tobytes()).hexdigest()


def _peak_bytes() -> int:
  """The largest that this process has been; after a fork, what it is."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
