"""Which SavedModels of another TensorFlow load under this one.

  python -m benchmarks.load_cells FOLDER

FOLDER is as `tests/support/newer_exports.py` makes it. Prints JSON: for each of its
SavedModels the largest difference from what its maker computed, or why it fails.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf


def main(folder: str) -> None:
  made = pathlib.Path(folder)
  print(json.dumps({name: _outcome(made, name) for name in ('lean', 'slimmed', 'stock')}))


def _outcome(made: pathlib.Path, name: str) -> str:
  with np.load(made / 'inputs.npz') as inputs:
    tensors = {key: tf.constant(inputs[key]) for key in inputs}
  try:
    loaded = tf.saved_model.load(str(made / name / 'saved_model'))
    outputs = loaded.signatures['serving_default'](**tensors)
  except Exception as e:  # Whatever it is, it belongs into the table.
    return f'fails: {str(e).partition(" in binary")[0].splitlines()[0]}'
  with np.load(made / 'outputs.npz') as f:
    expected = {key.partition('/')[2]: f[key] for key in f
                if key.startswith('signature/')}
  return format(max(np.abs(outputs[key].numpy() - value).max()
                    for key, value in expected.items()), '.1e')


if __name__ == '__main__':
  main(*sys.argv[1:])
