r"""Draws the instance masks of a response on the photo.

A response has each mask cut to its box, 33 × 33 or so. This pastes them into
masks of the size of the photo, whatever form the response came in:

  python -m examples.draw_masks --saved_model_dir=exported/saved_model \
      --image=street.jpg --output=street_masks.png

or, with the JSON that TensorFlow Serving answered:

  python -m examples.draw_masks --rest_response=response.json \
      --image=street.jpg --output=street_masks.png

In a client of your own:

  detections = from_grpc(stub.Predict(request))   # or from_rest(json.load(f))
  masks = full_image_masks(detections, height, width)

Works on stock exports and on compact ones: masks as probabilities, as bytes
(probability × 255) or as 0 and 1. Only `from_saved_model` and `from_grpc` import
TensorFlow.
"""

import json
import sys
from collections.abc import Mapping

from absl import app
from absl import flags
import numpy as np
from PIL import Image, ImageDraw

from exporter.errors import UserError

_COLORS = np.array([
    (230, 57, 70), (42, 157, 143), (244, 162, 97), (69, 123, 230), (168, 85, 247),
    (190, 150, 20), (80, 200, 90), (240, 110, 190)])
_OPACITY = 0.5

_NEEDED = ('detection_boxes', 'detection_classes', 'detection_masks',
           'detection_scores', 'num_detections')

# One image's detections: arrays by output key, without the batch dimension.
Detections = dict[str, np.ndarray]


def from_saved_model(saved_model_dir: str, image: np.ndarray) -> Detections:
  """Runs a SavedModel of input type image_tensor on uint8 [height, width, 3].

  Raises:
    UserError: there is no SavedModel.
  """
  import tensorflow as tf
  try:
    # Kept while it runs: the model owns the variables, its signature does not.
    model = tf.saved_model.load(saved_model_dir)
  except OSError as e:
    raise UserError(f'{saved_model_dir} cannot be loaded: {e}') from e
  outputs = model.signatures['serving_default'](
      input_tensor=tf.constant(image[np.newaxis]))
  return {key: tensor.numpy()[0] for key, tensor in outputs.items()}


def from_grpc(response, index: int = 0) -> Detections:
  """The detections of one image in a `PredictResponse`."""
  import tensorflow as tf
  return {key: tf.make_ndarray(tensor)[index]
          for key, tensor in response.outputs.items()}


def from_rest(response: Mapping, index: int = 0) -> Detections:
  """The detections of one image in a REST response, in rows or in columns.

  Raises:
    UserError: it is an error, or no answer to a predict request.
  """
  if 'predictions' in response:  # To a request with `instances`: by image.
    outputs = response['predictions'][index]
  elif 'outputs' in response:  # To a request with `inputs`: by output.
    outputs = {key: values[index] for key, values in response['outputs'].items()}
  else:
    raise UserError(
        'The response has neither predictions nor outputs:'
        f' {response.get("error", ", ".join(response))!r}.')
  return {key: np.asarray(values) for key, values in outputs.items()}


def full_image_masks(detections: Detections, height: int, width: int,
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


def draw(image: Image.Image, detections: Detections, min_score: float = 0.0,
         threshold: float = 0.5) -> Image.Image:
  """The image with the masks, boxes, classes and scores of its detections.

  Args:
    image: RGB.
    detections: with the five outputs of `configs/outputs/boxes_and_masks.yaml`.
    min_score: detections with a lower score are not drawn.
    threshold: the probability from which a pixel is in a mask.
  """
  masks = full_image_masks(detections, image.height, image.width, threshold)
  drawn = [i for i in range(len(masks))
           if detections['detection_scores'][i] >= min_score]
  pixels = np.array(image, np.float32)
  for i in reversed(drawn):  # The best scores come first and go on top.
    color = _COLORS[i % len(_COLORS)]
    pixels[masks[i]] += (color - pixels[masks[i]]) * _OPACITY
  result = Image.fromarray(np.uint8(np.round(pixels)))
  for i in reversed(drawn):
    _draw_box(result, detections['detection_boxes'][i],
              f'{int(detections["detection_classes"][i])}:'
              f' {detections["detection_scores"][i]:.0%}',
              tuple(_COLORS[i % len(_COLORS)].tolist()))
  return result


def _draw_box(image, box, label, color):
  canvas = ImageDraw.Draw(image)
  top, left, bottom, right = np.clip(box, 0, 1) * np.tile(
      [image.height - 1, image.width - 1], 2)
  if bottom < top or right < left:
    return
  line = max(2, min(image.size) // 250)
  size = max(10, min(image.size) // 40)
  canvas.rectangle([left, top, right, bottom], outline=color, width=line)
  # Above the box, or inside it where it touches the image's top edge.
  text_box = canvas.textbbox((left + line, max(0, top - 1.4 * size)), label,
                             font_size=size)
  canvas.rectangle([text_box[0] - line, text_box[1] - line,
                    text_box[2] + line, text_box[3] + line], fill=color)
  canvas.text((left + line, max(0, top - 1.4 * size)), label, fill='white',
              font_size=size)


def main(argv):
  try:
    if len(argv) > 1:
      raise UserError(f'The argument {argv[1]!r} is not a flag.')
    _run()
  except UserError as e:
    print(f'draw_masks: {e}', file=sys.stderr)
    sys.exit(1)


def _run():
  args = flags.FLAGS
  if (args.saved_model_dir is None) == (args.rest_response is None):
    raise UserError('Give either --saved_model_dir or --rest_response.')
  try:
    image = Image.open(args.image).convert('RGB')
  except OSError as e:
    raise UserError(f'The image {args.image} cannot be read: {e}.') from e
  if args.rest_response is None:
    detections = from_saved_model(args.saved_model_dir, np.array(image))
  else:
    detections = from_rest(_read_json(args.rest_response))
  missing = [key for key in _NEEDED if key not in detections]
  if missing:
    raise UserError(f'The response has no {missing[0]}, only'
                    f' {", ".join(sorted(detections))}.')
  drawing = draw(image, detections, args.min_score, args.mask_threshold)
  try:
    drawing.save(args.output)
  except (OSError, ValueError) as e:
    raise UserError(f'{args.output} cannot be written: {e}.') from e


def _read_json(path):
  try:
    with open(path, encoding='utf-8') as f:
      return json.load(f)
  except (OSError, ValueError) as e:
    raise UserError(f'The response {path} cannot be read: {e}.') from e


def _define_flags():
  # Not at import: a client of your own imports this and has its own flags.
  flags.DEFINE_string(
      'saved_model_dir', None,
      'A SavedModel that takes an image (input type image_tensor).')
  flags.DEFINE_string(
      'rest_response', None, 'A file with the JSON of a response, instead.')
  flags.DEFINE_string('image', None, 'The photo.')
  flags.DEFINE_string('output', None, 'Where the drawing goes, e.g. a .png.')
  flags.DEFINE_float(
      'min_score', 0.0, 'Detections with a lower score are not drawn.')
  flags.DEFINE_float(
      'mask_threshold', 0.5, 'A pixel is in a mask from this probability on.')
  flags.mark_flags_as_required(['image', 'output'])


if __name__ == '__main__':
  _define_flags()
  app.run(main)
