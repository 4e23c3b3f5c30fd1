"""The recipe of Q&A sites for removing outputs: load, pop keys, save again.

  python -m benchmarks.resave_recipe SAVED_MODEL_DIR OUTPUT_DIR KEY,KEY,...

Prints how many outputs the new SavedModel has.
"""

import sys


def main(saved_model_dir: str, output_directory: str, kept: str) -> None:
  import tensorflow as tf
  loaded = tf.saved_model.load(saved_model_dir)
  signature = loaded.signatures['serving_default']
  for key in set(signature.structured_outputs) - set(kept.split(',')):
    signature.structured_outputs.pop(key)
  tf.saved_model.save(loaded, output_directory, signatures=signature)

  from exporter import slimming
  print(len(slimming.contents_of(output_directory).outputs))


if __name__ == '__main__':
  main(*sys.argv[1:])
