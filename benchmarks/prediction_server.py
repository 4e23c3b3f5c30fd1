r"""Answers predict requests as TensorFlow Serving does, for tests and measuring.

  python -m benchmarks.prediction_server \
      --model=mask_rcnn=exported --model=ssd=/models/ssd --grpc_port=0 --rest_port=0

On gRPC (`benchmarks.prediction_grpc`) and REST (`benchmarks.prediction_rest`), with
its protos, JSON, errors and `output_filter`. Messages may have any size.

Unlike TensorFlow Serving it is Python, listens on loopback only, and tells in how
many seconds it read the request, ran the model and wrote the answer: `read-seconds`,
`model-seconds` and `write-seconds`, in the trailing metadata or the headers. It is no
server to deploy.
"""

import gc
from collections.abc import Sequence

from absl import flags

from benchmarks import prediction_grpc, prediction_rest
from benchmarks.served_models import ServedModel, ServedModels, find_version
from exporter import command_line
from exporter.errors import UserError

_HOST = '127.0.0.1'


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
  server, grpc_port = prediction_grpc.start(models, _HOST, grpc_port)
  _, rest_port = prediction_rest.start(models, _HOST, rest_port)
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


def main() -> None:
  serve(_paths(flags.FLAGS.model), flags.FLAGS.grpc_port, flags.FLAGS.rest_port)


if __name__ == '__main__':
  _define_flags()
  command_line.run(main, 'prediction_server')
