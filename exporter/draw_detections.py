r"""Draws what a model detects on a photo: boxes, names, scores, masks, keypoints.

  python -m exporter.draw_detections --saved_model_dir=exported \
      --image=street.jpg --output=street_detections.png --label_map=label_map.pbtxt

It runs SavedModels that take pixels, encoded images or tf.Examples; an export
folder and a folder with versions do as well. Or it draws a response that a server
gave, saved as REST's JSON or as a serialized PredictResponse:

  python -m exporter.draw_detections --response=response.json \
      --image=street.jpg --output=street_detections.png
"""

from __future__ import annotations

import os
import tempfile

if not __package__:  # Run by its path.
  import runpy
  runpy.run_path(os.path.join(
      os.path.dirname(os.path.abspath(__file__)), 'by_path.py'))

# pylint: disable=g-import-not-at-top
from absl import flags

from exporter import command_line
from exporter.detection import environment
from exporter.detection import needless_imports
from exporter.errors import UserError, did_you_mean
from exporter.paths import remote
from exporter.paths.urls import is_url
from exporter.protos import label_map
from exporter.saved_model.files import parse_tag_set
from exporter.saved_model.signature import DEFAULT_SIGNATURE, read_signature
from exporter.serving import detections as detections_lib
from exporter.serving import drawing
from exporter.serving import image_request

# What people ask for; Pillow writes others too.
_COMMON = ('.png', '.jpg', '.jpeg', '.webp', '.gif', '.bmp', '.tif')


def draw_file(image: str, detections: detections_lib.Detections, output: str,
              style: drawing.Style = drawing.Style()) -> None:
  """Writes the photo at `image` with its detections on it to `output`.

  Raises:
    UserError: the photo cannot be read, there is nothing to draw, or the picture
      cannot be written.
  """
  picture = drawing.draw(drawing.read_photo(image), detections, style)
  extension = os.path.splitext(output)[1]
  try:
    # Written beside it first: a picture is complete or absent.
    with tempfile.TemporaryDirectory(
        prefix='.drawing-',
        dir=None if is_url(output) else os.path.dirname(output) or '.') as folder:
      path = os.path.join(folder, f'drawing{extension}')
      picture.save(path)
      if is_url(output):
        remote.upload_file(path, output, 'output')
      else:
        os.replace(path, output)
  except UserError:
    raise
  except (OSError, ValueError, KeyError) as e:
    raise UserError(f'{output} cannot be written: {e}.') from e


def check_output(path: str, image: str) -> None:
  """Tells early why a picture could not be written to `path`.

  Raises:
    UserError: its folder is missing, it is a folder or the photo itself, or Pillow
      writes no such kind of file.
  """
  from PIL import Image
  kinds = Image.registered_extensions()
  writable = sorted(e for e, kind in kinds.items() if kind in Image.SAVE)
  extension = os.path.splitext(path)[1].lower()
  if extension not in writable:
    raise UserError(
        f'The output {path!r} ends in {extension!r}, which is no kind of picture'
        f'{did_you_mean(extension, _COMMON) or "."} Accepted are {", ".join(_COMMON)}'
        ' and what else Pillow writes.')
  if is_url(path):
    remote.check_writable(path, 'output')
    return
  folder = os.path.dirname(path) or '.'
  if not os.path.isdir(folder):
    raise UserError(f'The output {path} cannot be written: there is no folder {folder}.')
  if os.path.isdir(path):
    raise UserError(f'The output {path} is a folder.')
  if os.path.exists(path) and os.path.realpath(path) == os.path.realpath(image):
    raise UserError(f'The output {path} is the photo itself; give another file.')
  if not os.access(folder, os.W_OK | os.X_OK):
    raise UserError(f'The output {path} cannot be written: no permission to write to'
                    f' {folder}.')


def main() -> None:
  args = flags.FLAGS
  if (args.saved_model_dir is None) == (args.response is None):
    raise UserError('Give either --saved_model_dir or --response, '
                    + ('not both.' if args.response is not None else 'one of them.'))
  # Every mistake is told before a model is loaded.
  drawing.read_photo(args.image)
  check_output(args.output, args.image)
  names = {} if args.label_map is None else label_map.read(args.label_map)
  style = drawing.Style(args.min_score, args.mask_threshold, names)
  detections = _detections(args)
  draw_file(args.image, detections, args.output, style)
  print(f'{args.output}: {len(drawing.shown(detections, args.min_score))} of'
        f' {detections_lib.count_of(detections)} detections have a score of'
        f' {args.min_score:g} or more.')


def _detections(args) -> detections_lib.Detections:
  if args.response is not None:
    return _in_response(args.response, args.index)
  command_line.say_version(args.saved_model_dir)
  signature = read_signature(
      args.saved_model_dir, args.signature, parse_tag_set(args.tag_set))
  environment.check_tensorflow()
  return detections_lib.from_outputs(
      image_request.run_on_image(args.saved_model_dir, signature, args.image))


def _in_response(path: str, index: int) -> detections_lib.Detections:
  """As `read_response`; whatever is amiss is told with the file that it is in."""
  try:
    found = detections_lib.read_response(path, index)
    detections_lib.check_drawable(found)
  except UserError as e:
    if path in str(e):
      raise
    raise UserError(f'{path}: {e}') from e
  return found


def _define_flags() -> None:
  # Not at import: other programs import this module and have flags of their own.
  command_line.define_saved_model_dir('The SavedModel to run', required=False)
  command_line.define_tag_set()
  flags.DEFINE_string('signature', DEFAULT_SIGNATURE, 'The signature to run.')
  flags.DEFINE_string(
      'response', None,
      "Instead of a model, a file with a server's answer: REST's JSON, or a"
      ' serialized PredictResponse.')
  flags.DEFINE_integer(
      'index', 0, 'Which image of the response, from 0.', lower_bound=0)
  flags.DEFINE_string('image', None, 'The photo: a JPEG, PNG, GIF or BMP file.')
  flags.DEFINE_string('output', None, 'Where the picture goes, e.g. a .png.')
  flags.DEFINE_string(
      'label_map', None,
      'A label map (.pbtxt) with the names of the classes; without it, numbers.')
  flags.DEFINE_float(
      'min_score', 0.3, 'Detections and keypoints with a lower score are not drawn.',
      lower_bound=0, upper_bound=1)
  flags.DEFINE_float(
      'mask_threshold', 0.5, 'A pixel is in a mask from this probability on.',
      lower_bound=0, upper_bound=1)
  flags.mark_flags_as_required(['image', 'output'])


def run():
  """Entry point of the console script."""
  needless_imports.leave_out(keras=True, loads_models=True)
  _define_flags()
  command_line.run(main, 'draw_detections')


if __name__ == '__main__':
  run()
