"""Images of discs, boxes and triangles on noise, with their masks."""

from __future__ import annotations

import dataclasses

import numpy as np

CLASSES = ('disc', 'box', 'triangle')
_SIZE = 96
# A shape must show: less of it than this is not drawn.
_LEAST_VISIBLE = 0.6


@dataclasses.dataclass(frozen=True)
class Shapes:
  """An image and what is on it.

  Attributes:
    image: uint8 [96, 96, 3].
    masks: bool [shapes, 96, 96], of what is visible of each.
    classes: of each, from 0, as in `CLASSES`.
  """
  image: np.ndarray
  masks: np.ndarray
  classes: tuple[int, ...]

  @property
  def boxes(self) -> np.ndarray:
    """float32 [shapes, 4]: ymin, xmin, ymax, xmax as parts of the image."""
    found = []
    for mask in self.masks:
      rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
      found.append((rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
    return np.array(found, np.float32) / _SIZE


def draw(seed: int) -> Shapes:
  """One to four shapes; the same seed, the same image.

  >>> shapes = draw(0)
  >>> shapes.image.shape, len(shapes.masks) == len(shapes.classes)
  ((96, 96, 3), True)
  """
  rng = np.random.default_rng(seed)
  image = rng.normal(rng.uniform(70, 180), 12, [_SIZE, _SIZE, 3])
  masks, classes = [], []
  for _ in range(rng.integers(1, 5)):
    kind = int(rng.integers(len(CLASSES)))
    mask = _mask(rng, kind)
    taken = np.any(masks, axis=0) if masks else np.zeros_like(mask)
    visible = mask & ~taken
    if visible.sum() < _LEAST_VISIBLE * mask.sum():
      continue
    # Each has a hue of its own, so that a small model learns in minutes.
    color = rng.uniform(0, 130, 3)
    color[kind] = rng.uniform(170, 255)
    image[visible] = color + rng.normal(0, 8, [int(visible.sum()), 3])
    masks.append(visible)
    classes.append(kind)
  return Shapes(np.clip(image, 0, 255).astype(np.uint8), np.array(masks),
                tuple(classes))


def _mask(rng, kind: int) -> np.ndarray:
  radius = rng.uniform(12, 27)
  center = rng.uniform(radius, _SIZE - radius, 2)
  y, x = np.mgrid[:_SIZE, :_SIZE] - center[:, np.newaxis, np.newaxis]
  if CLASSES[kind] == 'disc':
    return x**2 + y**2 <= radius**2
  if CLASSES[kind] == 'box':
    width, height = radius * rng.uniform(0.6, 1, 2)
    return (np.abs(x) <= width) & (np.abs(y) <= height)
  # The apex is above; the sides fall as steeply as the triangle is high.
  return (y <= radius) & (np.abs(x) * 2 <= y + radius)
