"""Draws detections on a photo: boxes, masks, keypoints, names and scores.

Needs Pillow, which is imported where something is drawn.
"""

from __future__ import annotations

import colorsys
import dataclasses
import importlib
import io
from collections.abc import Mapping

import numpy as np

from exporter.errors import UserError
from exporter.paths.reading import read_bytes
from exporter.serving import masks as masks_lib
from exporter.serving.detections import (
    BOXES, CLASSES, KEYPOINT_SCORES, KEYPOINTS, MASKS, SCORES, Detections,
    check_drawable, count_of)

_OPACITY = 0.5
# Hues that lie a golden section apart fall between all that came before them.
_GOLDEN = (5 ** 0.5 - 1) / 2
_BRIGHTNESS = ((0.85, 0.95), (0.95, 0.7), (0.5, 1.0))


@dataclasses.dataclass(frozen=True)
class Style:
  """What is drawn.

  Attributes:
    min_score: detections and keypoints with a lower score are left out.
    mask_threshold: the probability from which a pixel is in a mask.
    class_names: the name of each class; a class without one goes by its number.
  """
  min_score: float = 0.0
  mask_threshold: float = 0.5
  class_names: Mapping[int, str] = dataclasses.field(default_factory=dict)


def read_photo(path):
  """The photo at `path` as models see it: RGB, not turned, the first frame.

  Raises:
    UserError: it cannot be read, or Pillow is not installed.
  """
  image_module = _pillow('Image')
  encoded = read_bytes(path, 'image')
  try:
    with image_module.open(io.BytesIO(encoded)) as image:
      if image.mode.startswith('I'):  # 16 bits, of which a model gets the upper 8.
        upper = np.asarray(image).astype(np.int64) // 256
        return image_module.fromarray(np.uint8(np.clip(upper, 0, 255))).convert('RGB')
      return image.convert('RGB')
  except image_module.UnidentifiedImageError as e:
    raise UserError(f'The image {path} is no image that Pillow can read.') from e
  except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as e:
    raise UserError(f'The image {path} is damaged: {str(e).rstrip(".")}.') from e


def shown(detections: Detections, min_score: float) -> list[int]:
  """Indices of the detections with that score or a higher one; all without scores."""
  count = count_of(detections)
  if SCORES not in detections:
    return list(range(count))
  return [i for i in range(count) if detections[SCORES][i] >= min_score]


def draw(photo, detections: Detections, style: Style = Style()):
  """The photo with its detections on it, the best ones on top.

  Args:
    photo: a `PIL.Image.Image`.
    detections: of one image, boxes and keypoints in units of the photo.
    style: what to draw.

  Returns:
    A new RGB image of the same size.

  Raises:
    UserError: there is nothing to draw, or a shape does not fit.
  """
  check_drawable(detections)
  drawn = shown(detections, style.min_score)
  colors = {i: class_color(_class_of(detections, i)) for i in drawn}
  image = _with_masks(photo.convert('RGB'), detections, drawn, colors, style)
  canvas = _pillow('ImageDraw').Draw(image)
  line = max(2, min(image.size) // 250)
  for i in reversed(drawn):
    if BOXES in detections:
      _draw_box(canvas, image.size, detections[BOXES][i], colors[i], line)
    if KEYPOINTS in detections:
      _draw_keypoints(canvas, image.size, detections, i, colors[i], line, style)
  _draw_labels(canvas, image.size, detections, drawn, colors, style)
  return image


def class_color(number: int) -> tuple[int, int, int]:
  """An RGB color that tells a class from its neighbors."""
  saturation, value = _BRIGHTNESS[(number - 1) % len(_BRIGHTNESS)]
  color = colorsys.hsv_to_rgb((number - 1) * _GOLDEN % 1, saturation, value)
  return tuple(round(255 * part) for part in color)


def text_color(background: tuple[int, int, int]) -> tuple[int, int, int]:
  """Black or white, whichever stands out more from a color (WCAG's contrast)."""
  parts = [part / 255 for part in background]
  linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
  luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
  return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _class_of(detections, i: int) -> int:
  return int(detections[CLASSES][i]) if CLASSES in detections else i + 1


def _label(detections, i: int, class_names) -> str:
  parts = []
  if CLASSES in detections:
    number = int(detections[CLASSES][i])
    name = ' '.join((class_names.get(number) or '').split())  # It has one line.
    parts.append(name or str(number))
  if SCORES in detections:
    parts.append(f'{float(detections[SCORES][i]):.0%}')
  return ' '.join(parts)


def _with_masks(image, detections, drawn, colors, style):
  if MASKS not in detections or not drawn:
    return image
  pixels = np.array(image)
  probabilities = masks_lib.as_probabilities(detections[MASKS])
  for i in reversed(drawn):
    inside = np.zeros(pixels.shape[:2], bool)
    masks_lib.paste_mask(inside, probabilities[i], detections[BOXES][i],
                         style.mask_threshold)
    kept = pixels[inside].astype(np.float32)
    pixels[inside] = np.uint8(np.round(kept + (np.float32(colors[i]) - kept) * _OPACITY))
  return _pillow('Image').fromarray(pixels)


def _draw_box(canvas, size, box, color, line):
  """A line of the color between two thin ones that show on any photo."""
  corners = _pixels(box, size)
  if corners is None:
    return
  left, top, right, bottom = corners
  around = text_color(color)
  for grown, width, fill in ((1, line + 2, around), (0, line, color)):
    canvas.rectangle([left - grown, top - grown, right + grown, bottom + grown],
                     outline=fill, width=width)


def _draw_keypoints(canvas, size, detections, i, color, line, style):
  scores = detections.get(KEYPOINT_SCORES)
  radius = 2 * line
  for k, (y, x) in enumerate(np.asarray(detections[KEYPOINTS][i], np.float64)):
    if not np.isfinite([y, x]).all() or not (0 <= y <= 1 and 0 <= x <= 1):
      continue
    if scores is not None and scores[i][k] < style.min_score:
      continue
    center = x * (size[0] - 1), y * (size[1] - 1)
    for grown, fill in ((line, text_color(color)), (0, color)):
      canvas.ellipse([center[0] - radius - grown, center[1] - radius - grown,
                      center[0] + radius + grown, center[1] + radius + grown], fill=fill)


def _draw_labels(canvas, size, detections, drawn, colors, style):
  """Labels on a ground of the class's color, none over another where there is room."""
  font = _pillow('ImageFont').load_default(max(11, min(size) // 40))
  taken: list[tuple[int, int, int, int]] = []
  for i in drawn:  # The best ones choose their places first.
    corners = _pixels(detections[BOXES][i], size) if BOXES in detections else None
    text = _label(detections, i, style.class_names)
    if corners is None or not text:
      continue
    width, height = _text_size(canvas, text, font)
    place = _free_place(corners, width + 6, height + 4, size, taken)
    taken.append(place)
    canvas.rectangle(place, fill=colors[i])
    canvas.text((place[0] + 3, place[1] + 2), text, font=font, anchor='lt',
                fill=text_color(colors[i]))


def _text_size(canvas, text, font) -> tuple[int, int]:
  left, top, right, bottom = canvas.textbbox((0, 0), text, font=font, anchor='lt')
  return int(right - left) + 1, int(bottom - top) + 1


def _free_place(corners, width, height, size, taken):
  """[left, top, right, bottom] above the box, inside it, or as near as is free."""
  left, top, _, bottom = corners
  left = int(min(max(0, left), max(0, size[0] - width)))
  lowest = max(0, size[1] - height)
  candidates = [top - height, top, *range(int(top) + height, int(bottom), height),
                bottom - height, bottom]
  candidates = [int(min(max(0, y), lowest)) for y in candidates]
  places = [(left, y, left + width, y + height) for y in candidates]
  return next((p for p in places if not any(_overlap(p, t) for t in taken)), places[0])


def _overlap(one, other) -> bool:
  return (one[0] < other[2] and other[0] < one[2]
          and one[1] < other[3] and other[1] < one[3])


def _pixels(box, size) -> tuple[float, float, float, float] | None:
  """(left, top, right, bottom) of [ymin, xmin, ymax, xmax]; None if nothing is seen."""
  box = np.asarray(box, np.float64)
  if not np.isfinite(box).all() or box[2] < box[0] or box[3] < box[1]:
    return None
  if box[0] > 1 or box[1] > 1 or box[2] < 0 or box[3] < 0:
    return None
  top, left, bottom, right = np.clip(box, 0, 1) * np.tile([size[1] - 1, size[0] - 1], 2)
  return float(left), float(top), float(right), float(bottom)


def _pillow(module: str):
  try:
    return importlib.import_module(f'PIL.{module}')
  except ImportError as e:
    raise UserError('Drawing needs the package Pillow, which is not installed;'
                    ' pip install pillow.') from e
