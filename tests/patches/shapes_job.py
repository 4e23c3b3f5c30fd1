"""Exports with the patched stand-ins and TensorFlow; run by run_script.py.

    shapes_job.py ROOT...

Prints for each root the outputs of an export of all, of a selected one, and what a
wrong selection says.
"""

import json
import os
import sys

import tensorflow as tf

from exporter.errors import UserError
from exporter.output_keys import OutputSelection


def _import_library(root):
  for name in [n for n in sys.modules if n.split('.')[0] == 'object_detection']:
    del sys.modules[name]
  sys.path.insert(0, root)
  from object_detection import exporter_lib_v2
  assert exporter_lib_v2.__file__.startswith(root)
  return exporter_lib_v2


def _export(library, target, selection):
  export = library.export_inference_graph
  side_inputs = {
      name: '' for name in ('use_side_inputs', 'side_input_shapes',
                            'side_input_types', 'side_input_names')
      if name in export.__code__.co_varnames}
  export(input_type='image_tensor', pipeline_config=None,
         trained_checkpoint_dir='', output_directory=target,
         output_selection=selection, **side_inputs)
  loaded = tf.saved_model.load(os.path.join(target, 'saved_model'))
  return sorted(loaded(tf.zeros([1, 8, 8, 3], tf.uint8)))


def _sentence(library, target):
  try:
    _export(library, target, OutputSelection(('nothing',)))
  except Exception as error:  # pylint: disable=broad-except
    # Autograph raises another one in its place.
    while not isinstance(error, UserError):
      error = error.__cause__ or error.__context__
    return str(error).partition(' Its')[0]


def main(roots):
  results = []
  for root in roots:
    library = _import_library(root)
    results.append([
        _export(library, os.path.join(root, 'all'), None),
        _export(library, os.path.join(root, 'some'),
                OutputSelection(('detection_boxes', 'num_*'))),
        _sentence(library, os.path.join(root, 'none'))])
  print(json.dumps(results))


if __name__ == '__main__':
  main(sys.argv[1:])
