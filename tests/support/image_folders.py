"""Writes folders of images for the tests of `exporter/batch/`."""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image


def write_images(folder: pathlib.Path, count: int, broken: int = 0,
                 size: tuple[int, int] = (24, 32)) -> list[str]:
  """Noise images `00000.jpg` and on, [height, width] as in `size`.

  Every twentieth is broken, up to `broken` of them: empty, cut off, no image.

  Returns:
    Their paths.
  """
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(0)
  noise = rng.integers(256, size=(*size, 3), dtype=np.uint8)
  for i in range(count):
    path = folder / f'{i:05d}.jpg'
    Image.fromarray(np.roll(noise, i, axis=0) // (1 + i % 3)).save(path)
    if i % 20 == 3 and i // 20 < broken:
      content = path.read_bytes()
      path.write_bytes([b'', content[:200], b'no image'][i // 20 % 3])
  return sorted(map(str, folder.iterdir()))
