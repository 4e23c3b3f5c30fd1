"""One prediction server for all tests: exports, and tiny models with oddities."""

import contextlib
import dataclasses
import pathlib

import numpy as np

from benchmarks import server_process
from exports import Exports
from families import MASK_RCNN
from fork_server import Ended, ForkServer


@dataclasses.dataclass(frozen=True)
class Serving:
  """A running server.

  Its models: `ours` and `stock`, exports of the small Mask R-CNN; `large`, of which
  two versions are there, whose output `big` is over 4 MB; `encoded`, which takes
  files; `texts`, with strings.

  Attributes:
    addresses: of the server.
    image: uint8 [1, height, width, 3].
    expected: what `ours` returns for it, loaded by `tf.saved_model.load`.
    folder: for files.
    loader: a server that has imported TensorFlow.
  """
  addresses: server_process.Addresses
  image: np.ndarray
  expected: dict[str, np.ndarray]
  folder: pathlib.Path
  loader: ForkServer

  def run(self, function: str, *args) -> Ended:
    """Runs a function of `serving_jobs`, which may use TensorFlow."""
    return self.loader.run(f'serving_jobs:{function}', *args)


@contextlib.contextmanager
def serve(folder: pathlib.Path, exports: Exports, loader: ForkServer):
  """Starts the server, once everything is exported."""
  loader.run('serving_jobs:write_models', folder).ok()
  ours, stock = exports.selected(MASK_RCNN), exports.stock(MASK_RCNN)
  expected = exports.load_and_run(MASK_RCNN, ours).signed
  with np.load(exports.inputs(MASK_RCNN)) as inputs:
    image = inputs['input_tensor']
  models = {'ours': ours, 'stock': stock / 'saved_model', 'large': folder / 'large',
            'encoded': folder / 'encoded', 'texts': folder / 'texts'}
  with server_process.running(models) as addresses:
    yield Serving(addresses, image, expected, folder, loader)
