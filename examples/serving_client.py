r"""Asks TensorFlow Serving for detections, on gRPC or on REST. Made to be copied.

  python serving_client.py --image=street.jpg --model=mask_rcnn --grpc=localhost:8500
  python serving_client.py --image=street.jpg --model=mask_rcnn --rest=localhost:8501

prints what is in the photo. For a model that was exported with input type
encoded_image_string_tensor add --send_file: the file goes as it is, which is smaller
than its pixels.

It needs absl-py, grpcio, numpy and Pillow, for gRPC tensorflow-serving-api as well,
and nothing of the repository that it comes from.
"""

import base64
import json
import sys
import urllib.error
import urllib.request

import grpc
import numpy as np
from absl import app
from absl import flags
from PIL import Image

_TIMEOUT_SECONDS = 60


def predict_grpc(host, model, image):
  """Detections of one image over gRPC: arrays by output key, without the batch.

  Args:
    host: 'localhost:8500'.
    model: its name at the server.
    image: uint8 [height, width, 3], or the bytes of a JPEG or PNG file.

  Raises:
    grpc.RpcError: with RESOURCE_EXHAUSTED where the response is larger than 4 MB,
      as that of a stock 1024 px Mask R-CNN is; then make the channel with the option
      ('grpc.max_receive_message_length', -1), or export fewer outputs.
  """
  # Here, as it takes ten seconds: the protos import all of TensorFlow.
  import tensorflow as tf
  from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

  batch = [image] if isinstance(image, bytes) else image[np.newaxis]
  # To get some outputs only: PredictRequest(output_filter=['detection_boxes']).
  request = predict_pb2.PredictRequest()
  request.model_spec.name = model
  request.inputs['input_tensor'].CopyFrom(tf.make_tensor_proto(batch))
  # Sending many images? Keep the channel: connecting takes time as well.
  with grpc.insecure_channel(host) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request, timeout=_TIMEOUT_SECONDS)
  return {key: tf.make_ndarray(tensor)[0]
          for key, tensor in response.outputs.items()}


def predict_rest(host, model, image):
  """The same over REST. Raises urllib.error.HTTPError, whose body is the reason."""
  if isinstance(image, bytes):
    instance = {'b64': base64.b64encode(image).decode()}
  else:
    instance = image.tolist()
  # A stock Mask R-CNN answers {'inputs': [instance]} only, with
  # {'outputs': {key: [...]}} that is several times as long.
  request = json.dumps({'instances': [instance]}).encode()
  url = f'http://{host}/v1/models/{model}:predict'
  with urllib.request.urlopen(url, request, timeout=_TIMEOUT_SECONDS) as response:
    (prediction,) = json.load(response)['predictions']
  return {key: _array(value) for key, value in prediction.items()}


def _array(value):
  """float32 or int64, as JSON has no types of its own for them."""
  array = np.array(value)
  return array.astype(np.float32) if array.dtype.kind == 'f' else array


def detections_text(outputs, min_score):
  """A line for each detection: score, class, box, and its mask if there is one."""
  lines = []
  for i in range(int(outputs['num_detections'])):
    score = outputs['detection_scores'][i]
    if score < min_score:
      continue
    top, left, bottom, right = outputs['detection_boxes'][i]
    line = (f'{score:.3f}  class {int(outputs["detection_classes"][i])}'
            f'  y {top:.3f} to {bottom:.3f}, x {left:.3f} to {right:.3f}')
    if 'detection_masks' in outputs:
      rows, columns = outputs['detection_masks'][i].shape
      line += f'  mask of {rows} × {columns} in the box'
    lines.append(line)
  return '\n'.join(lines) or f'Nothing with a score of {min_score} or more.'


def _read_image(path, send_file):
  if send_file:
    with open(path, 'rb') as f:
      return f.read()
  return np.array(Image.open(path).convert('RGB'))


def _reason(error):
  """Why there is no answer, in the server's words where it said something."""
  if isinstance(error, grpc.RpcError):
    return f'{error.code().name}: {error.details()}'
  if isinstance(error, urllib.error.HTTPError):
    return f'{error.code}: {json.load(error)["error"]}'
  return str(error)


def main(argv):
  args = flags.FLAGS
  if len(argv) > 1 or (args.grpc is None) == (args.rest is None):
    sys.exit('serving_client: Give flags only, and either --grpc or --rest.')
  try:
    image = _read_image(args.image, args.send_file)
  except OSError as e:
    sys.exit(f'serving_client: The image {args.image} cannot be read: {e}')
  try:
    if args.grpc:
      outputs = predict_grpc(args.grpc, args.model, image)
    else:
      outputs = predict_rest(args.rest, args.model, image)
  except (grpc.RpcError, OSError) as e:
    sys.exit(f'serving_client: No answer from {args.grpc or args.rest}: {_reason(e)}')
  print(detections_text(outputs, args.min_score))


def _define_flags():
  flags.DEFINE_string('image', None, 'The photo.')
  flags.DEFINE_string('model', None, 'Name of the model at the server.')
  flags.DEFINE_string('grpc', None, 'host:port of its gRPC.')
  flags.DEFINE_string('rest', None, 'host:port of its REST API.')
  flags.DEFINE_bool('send_file', False, 'Send the file instead of its pixels.')
  flags.DEFINE_float('min_score', 0.5, 'Detections with a lower score are left out.')
  flags.mark_flags_as_required(['image', 'model'])


if __name__ == '__main__':
  _define_flags()
  app.run(main)
