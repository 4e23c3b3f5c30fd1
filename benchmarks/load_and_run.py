"""Loads a SavedModel in this process and runs it on one noise image.

  python -m benchmarks.load_and_run SAVED_MODEL_DIR LOADER RUNS

Prints JSON: seconds to load, of the first run, and the median of the later ones,
and the bytes of the tensors of one response; of loading alone, if RUNS is 0.
TensorFlow's import is not counted.
"""

import json
import statistics
import sys
import time

import numpy as np
import tensorflow as tf

_IMAGE_SHAPE = (1, 480, 640, 3)


def load_with_tf2(saved_model_dir: str):
  """`tf.saved_model.load`, as Python programs load."""
  loaded = tf.saved_model.load(saved_model_dir)
  run = loaded.signatures['serving_default']
  return lambda image: {
      key: value.numpy() for key, value in run(input_tensor=image).items()}


def load_with_session(saved_model_dir: str):
  """The session loader, which is what TensorFlow Serving's loader does."""
  session = tf.compat.v1.Session(graph=tf.Graph())
  with session.graph.as_default():
    meta_graph = tf.compat.v1.saved_model.load(session, ['serve'], saved_model_dir)
  signature = meta_graph.signature_def['serving_default']
  tensors = {key: info.name for key, info in signature.outputs.items()}
  image_name = signature.inputs['input_tensor'].name
  return lambda image: session.run(tensors, {image_name: image})


LOADERS = {'tf2': load_with_tf2, 'session': load_with_session}


def main(saved_model_dir: str, loader: str, runs: str) -> None:
  image = np.random.RandomState(0).randint(256, size=_IMAGE_SHAPE, dtype=np.uint8)
  load_seconds, run = _timed(lambda: LOADERS[loader](saved_model_dir))
  if not int(runs):
    print(json.dumps({'load_seconds': load_seconds}))
    return
  first_seconds, outputs = _timed(lambda: run(image))
  later = [_timed(lambda: run(image))[0] for _ in range(int(runs))]
  print(json.dumps({
      'load_seconds': load_seconds,
      'first_run_seconds': first_seconds,
      'later_run_seconds': statistics.median(later),
      'response_bytes': sum(value.nbytes for value in outputs.values()),
  }))


def _timed(function):
  start = time.monotonic()
  result = function()
  return time.monotonic() - start, result


if __name__ == '__main__':
  main(*sys.argv[1:])
