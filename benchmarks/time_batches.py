"""Times batches with ours against stock's export called once an image.

  python -m benchmarks.time_batches STOCK_SAVED_MODEL OUR_SAVED_MODEL BATCHES ROUNDS

Both are loaded into one process and take turns, so that a drift of the machine's speed
meets both. Prints JSON: for each batch and contender the seconds of each round.
"""

import json
import sys
import time

import numpy as np
from PIL import Image
import tensorflow as tf

_SIZE = (480, 640)


def main(stock_dir: str, our_dir: str, batches: str, rounds: str) -> None:
  stock, ours = map(tf.saved_model.load, (stock_dir, our_dir))
  sizes = [int(size) for size in batches.split(',')]
  images = tf.constant(_images(max(sizes)))
  contenders = {
      'stock': lambda batch: [stock(images[i:i + 1]) for i in range(batch)],
      'ours': lambda batch: ours(images[:batch])}
  for detect in contenders.values():
    _seconds(detect, 1)  # The first call prepares the graph.
  times = {batch: {name: [] for name in contenders} for batch in sizes}
  for _ in range(int(rounds)):
    for batch in sizes:
      for name, detect in contenders.items():
        times[batch][name].append(_seconds(detect, batch))
  print(json.dumps(times))


def _images(count: int) -> np.ndarray:
  """Smooth noise, uint8 [count, height, width, 3]."""
  rng = np.random.default_rng(0)
  small = rng.integers(
      256, size=(count, _SIZE[0] // 16, _SIZE[1] // 16, 3), dtype=np.uint8)
  return np.stack([
      Image.fromarray(image).resize(_SIZE[::-1], Image.Resampling.BICUBIC)
      for image in small])


def _seconds(detect, batch: int) -> float:
  start = time.monotonic()
  # Values, as a client wants them, and not the promise of some.
  tf.nest.map_structure(lambda tensor: tensor.numpy(), detect(batch))
  return time.monotonic() - start


if __name__ == '__main__':
  main(*sys.argv[1:])
