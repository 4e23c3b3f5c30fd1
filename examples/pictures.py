"""Makes the pictures of the README.

  make pictures

docs/payload.png: what each output of the published 1024 px Mask R-CNN costs in a
response, and what is left of it with the profile boxes_and_masks. The sizes are
those of the traced model, which needs no weights.

docs/detections.jpg: the five outputs of that profile, drawn on a photo that
matplotlib ships. The repository has no weights trained on photos, so these detections are
made by hand; they have the form that a response has.
"""

from __future__ import annotations

import os
import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_DOCS = _ROOT / 'docs'
_PIPELINE = (_ROOT / 'configs' / 'pipelines' /
             'mask_rcnn_inception_resnet_v2_1024x1024_coco17_gpu-8.config')
_PROFILE = 'boxes_and_masks'

# Of the published model's masks, in cells.
_MASK_SIZE = 33
# Pixels a cell while a mask is made, so that its edge gets values in between.
_FINE = 8

_NAMES = {1: 'person', 32: 'tie'}

# Class (of COCO), score, and outline in pixels (x, y) of the 512 × 600 photo.
_FOUND = [
    (1, 0.98, [
        (175, 86), (185, 55), (205, 38), (240, 25), (290, 25), (325, 36), (350, 60),
        (353, 88), (368, 95), (372, 120), (368, 165), (375, 185), (369, 230),
        (361, 262), (347, 292), (331, 305), (331, 322), (370, 341), (420, 358),
        (478, 383), (498, 410), (511, 470), (511, 599), (14, 599), (25, 500),
        (34, 420), (50, 385), (100, 361), (160, 346), (200, 322), (200, 308),
        (180, 290), (166, 272), (160, 235), (155, 190), (165, 152), (155, 132),
        (152, 104)]),
    (32, 0.87, [(216, 441), (246, 409), (284, 409), (301, 439), (287, 447),
                (262, 448), (236, 470), (226, 470)]),
]


def main() -> int:
  """Makes both."""
  save_payload(_DOCS / 'payload.png')
  draw_photo().save(_DOCS / 'detections.jpg', quality=90, optimize=True)
  return 0


def save_payload(path: pathlib.Path) -> None:
  """Draws the sizes of the 1024 px model; traces it, in half a minute."""
  from exporter import exporter_lib_v2
  from exporter.detection import pipeline_config
  from exporter.serving import payload_chart

  sizes = exporter_lib_v2.list_outputs(
      'image_tensor', pipeline_config.read(str(_PIPELINE), ''))
  payload_chart.save_chart(str(path), payload('stock', sizes), payload(
      f'--output_config={_PROFILE}', selected(sizes)))


def selected(sizes):
  """The `OutputSize`s that the profile keeps."""
  from exporter.output_keys import load_profile
  from exporter.paths import profiles
  kept = load_profile(_PROFILE, profiles.FOLDER).select(size.key for size in sizes)
  return [size for size in sizes if size.key in kept]


def payload(name: str, sizes):
  """The `Payload` of a response with outputs of these `OutputSize`s."""
  from exporter.saved_model.signature import Signature, TensorSpec
  from exporter.serving.payload_sizes import static_payload
  image = TensorSpec('input_tensor', 'uint8', (1, None, None, 3))
  return static_payload(name, Signature(
      'serving_default', ('serve',), {image.key: image},
      {size.key: TensorSpec(size.key, size.dtype, size.shape) for size in sizes}))


def draw_photo() -> Image.Image:
  """The photo with the detections on it."""
  from exporter.serving import drawing
  found = photo()
  return drawing.draw(found, detections(found.width, found.height),
                      drawing.Style(class_names=_NAMES))


def photo() -> Image.Image:
  """The photo that matplotlib ships."""
  from matplotlib import cbook
  with cbook.get_sample_data('grace_hopper.jpg') as file:
    return Image.open(file).convert('RGB')


def detections(width: int, height: int) -> dict[str, np.ndarray]:
  """The five outputs for the photo, as a response has them, masks in bytes.

  Args:
    width: of the photo, in pixels.
    height: the same.
  """
  boxes = [_box(outline, width, height) for _, _, outline in _FOUND]
  return {
      'num_detections': np.float32(len(_FOUND)),
      'detection_boxes': np.float32(boxes),
      'detection_classes': np.float32([number for number, _, _ in _FOUND]),
      'detection_scores': np.float32([score for _, score, _ in _FOUND]),
      'detection_masks': np.stack([_mask(outline) for _, _, outline in _FOUND]),
  }


def _box(outline, width: int, height: int) -> list[float]:
  """[ymin, xmin, ymax, xmax] around an outline, from 0 to 1."""
  columns, rows = zip(*outline)
  return [min(rows) / height, min(columns) / width,
          (max(rows) + 1) / height, (max(columns) + 1) / width]


def _mask(outline) -> np.ndarray:
  """uint8 [33, 33], the share of each cell of the box that the outline holds."""
  columns, rows = zip(*outline)
  left, top = min(columns), min(rows)
  across, down = max(columns) + 1 - left, max(rows) + 1 - top
  side = _MASK_SIZE * _FINE
  fine = Image.new('L', (side, side))
  ImageDraw.Draw(fine).polygon(
      [((x - left) / across * side, (y - top) / down * side) for x, y in outline],
      fill=255)
  cells = np.asarray(fine, np.float32).reshape(
      _MASK_SIZE, _FINE, _MASK_SIZE, _FINE).mean(axis=(1, 3))
  return np.uint8(np.round(cells))


if __name__ == '__main__':
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  sys.exit(main())
