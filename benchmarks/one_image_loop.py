"""Runs an export on a folder as everyone first writes it: one image, one call.

  python -m benchmarks.one_image_loop SAVED_MODEL_DIR IMAGES

Prints the images a second, from the first image to the last, loading not counted.
"""

import glob
import sys
import time

import tensorflow as tf


def main(saved_model_dir: str, pattern: str) -> None:
  detect = tf.saved_model.load(saved_model_dir)
  paths = sorted(glob.glob(pattern))
  start = time.monotonic()
  results = []
  for path in paths:
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    outputs = detect(image[tf.newaxis])
    count = int(outputs['num_detections'][0])
    results.append({
        'path': path,
        'boxes': outputs['detection_boxes'][0].numpy()[:count],
        'scores': outputs['detection_scores'][0].numpy()[:count],
        'classes': outputs['detection_classes'][0].numpy()[:count]})
  print(len(results) / (time.monotonic() - start))


if __name__ == '__main__':
  main(*sys.argv[1:])
