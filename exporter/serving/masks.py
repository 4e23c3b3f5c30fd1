"""Pastes masks, which a response has cut to their boxes, into the photo.

    masks = full_image_masks(detections, height, width)

They may be probabilities, bytes (probability × 255) or 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def full_image_masks(detections: Mapping[str, np.ndarray], height: int, width: int,
                     threshold: float = 0.5) -> np.ndarray:
  """The masks of an image's detections, as large as the image.

  Args:
    detections: with num_detections, detection_boxes and detection_masks.
    height: of the image, in pixels.
    width: the same.
    threshold: the probability from which a pixel is in a mask.

  Returns:
    bool [detections, height, width].
  """
  count = int(detections['num_detections'])
  masks = np.zeros([count, height, width], bool)
  # A response of no detections has lost the shapes of boxes and masks in JSON.
  if count:
    probabilities = as_probabilities(detections['detection_masks'][:count])
    for i, mask in enumerate(probabilities):
      paste_mask(masks[i], mask, detections['detection_boxes'][i], threshold)
  return masks


def as_probabilities(masks: np.ndarray) -> np.ndarray:
  """float32 masks from 0 to 1, of any of the forms that an export gives them.

  Whole numbers above 1 mean bytes, probability × 255; otherwise they are 0 and 1.
  """
  is_bytes = np.issubdtype(masks.dtype, np.integer) and masks.max(initial=0) > 1
  return masks.astype(np.float32) / np.float32(255 if is_bytes else 1)


def paste_mask(image_mask: np.ndarray, mask: np.ndarray, box: np.ndarray,
               threshold: float = 0.5) -> None:
  """Draws the mask of one box into the mask of its image.

  Args:
    image_mask: bool [height, width]; pixels whose centers are in the box change.
    mask: float [rows, columns] of probabilities, spread evenly over the box and
      interpolated linearly between the centers of its cells.
    box: [ymin, xmin, ymax, xmax], from 0 to 1 inside the image. What lies
      outside is cut off; an empty box changes nothing.
    threshold: the probability from which a pixel is in the mask.
  """
  rows = _samples(box[0], box[2], image_mask.shape[0], mask.shape[0])
  columns = _samples(box[1], box[3], image_mask.shape[1], mask.shape[1])
  between_rows = _interpolated(mask, *rows[1:])
  values = _interpolated(between_rows.T, *columns[1:]).T
  image_mask[np.ix_(rows[0], columns[0])] = values >= threshold


def _samples(start, end, size, cells):
  """Pixels with their centers in [start, end), and where they fall in the mask.

  Returns:
    Indices of the pixels, of the cells before and after each, and the share of
    the one after.
  """
  pixels = np.arange(size)
  centers = (pixels + 0.5) / size
  inside = (centers >= start) & (centers < end)
  pixels, centers = pixels[inside], centers[inside]
  # Half a cell at either end lies beyond the outermost centers.
  places = np.clip((centers - start) / (end - start) * cells - 0.5, 0, cells - 1)
  before = np.floor(places).astype(int)
  return pixels, before, np.minimum(before + 1, cells - 1), places - before


def _interpolated(values, before, after, share):
  """Rows of `values` at fractional places."""
  share = share[:, np.newaxis]
  return values[before] * (1 - share) + values[after] * share
