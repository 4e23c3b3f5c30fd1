r"""Shows what each output of a SavedModel costs in a response, and in what form.

For every output of a signature: dtype, shape, bytes in a gRPC PredictResponse
and bytes in the JSON that TensorFlow Serving writes, largest first, with gRPC's
default limit of 4 MB a message marked.

  python -m exporter.payload --saved_model_dir=/models/mask_rcnn
  python -m exporter.payload --saved_model_dir=/models/stock \
      --compare=/models/lean --image=street.jpg --qps=20 --plot=payload.png

Sizes follow from the shapes in the signature, without TensorFlow. With --image
the model is run on that image and everything is measured.

With --limit=4MB the exit status is 2 where a response is larger, so that a
pipeline can stop.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable

if not __package__:  # Run by its path.
  import runpy
  runpy.run_path(os.path.join(
      os.path.dirname(os.path.abspath(__file__)), 'by_path.py'))

# pylint: disable=g-import-not-at-top
from absl import flags

from exporter import command_line
from exporter.detection import environment
from exporter.detection import needless_imports
from exporter.saved_model.files import parse_tag_set
from exporter.saved_model.signature import DEFAULT_SIGNATURE, read_signature
from exporter.serving import payload_chart
from exporter.serving import payload_table
from exporter.serving.grpc_size import DEFAULT_LIMIT_BYTES
from exporter.serving.image_request import (
    check_takes_image, read_image_file, run_on_image)
from exporter.serving.payload_sizes import Payload, measured_payload, static_payload
from exporter.serving.size_limits import SizeLimits, excess, parse_size


def read_payload(saved_model_dir: str, signature_name: str = DEFAULT_SIGNATURE,
                 image: str | None = None,
                 tag_set: Iterable[str] | None = None) -> Payload:
  """What one response of a SavedModel's signature costs.

    >>> payload = read_payload('exported')
    >>> boxes = payload.output('detection_boxes')
    >>> boxes.dtype, boxes.shape, boxes.grpc_bytes
    ('float32', (1, 10, 4), 202)
    >>> payload.outputs[0].key  # The largest.
    'detection_multiclass_scores'

  Args:
    saved_model_dir: the SavedModel, or a folder that holds it, see
      `files.find_saved_model`.
    signature_name: which of its signatures.
    image: a JPEG, PNG, GIF or BMP file to run the model on, which imports
      TensorFlow; None takes the sizes from the signature, without TensorFlow.
    tag_set: the tags of the MetaGraph that is meant, where there are several; None:
      the one tagged `serve` and nothing else.

  Raises:
    UserError: see `read_signature` and `run_on_image`; or TensorFlow is missing.
  """
  signature = read_signature(saved_model_dir, signature_name, tag_set)
  if image is None:
    return static_payload(saved_model_dir, signature)
  environment.check_tensorflow()
  outputs = run_on_image(saved_model_dir, signature, image)
  return measured_payload(saved_model_dir, signature, outputs, image)


def as_json(before: Payload, after: Payload | None = None,
            qps: float | None = None) -> str:
  """The report for machines: one payload, or `before` and `after`."""
  if after is None:
    report = _report(before, qps)
  else:
    report = {'before': _report(before, qps), 'after': _report(after, qps)}
  return json.dumps(report, indent=2)


def _report(payload: Payload, qps: float | None) -> dict:
  report = dataclasses.asdict(payload)
  report['grpc_limit_bytes'] = DEFAULT_LIMIT_BYTES
  report['grpc_over_limit'] = _over_limit(payload.grpc_bytes)
  report['rest_form'] = payload.rest_form
  report['rest_bytes'] = payload.rest_bytes(payload.rest_form)
  report['rest_is_estimate'] = payload.measured_on is None
  for output in report['outputs']:
    output['grpc_over_limit'] = _over_limit(output['grpc_bytes'])
  if qps:
    report['qps'] = qps
    for name in ('grpc', 'rest'):
      size = report[f'{name}_bytes']
      report[f'{name}_bytes_per_second'] = None if size is None else size * qps
  return report


def _over_limit(size: int | None) -> bool | None:
  return None if size is None else size > DEFAULT_LIMIT_BYTES


def _define_flags() -> None:
  # Not at import: other programs import this module and have flags of their own.
  command_line.define_saved_model_dir()
  command_line.define_tag_set()
  flags.DEFINE_string(
      'compare', None,
      'A second SavedModel: --saved_model_dir is "before", this is "after".')
  flags.DEFINE_string('signature', DEFAULT_SIGNATURE, 'The signature to look at.')
  flags.DEFINE_string(
      'image', None,
      'A JPEG, PNG, GIF or BMP file to run the model on and measure. Without it'
      ' sizes follow from the shapes in the signature.')
  flags.DEFINE_float(
      'qps', None, 'Requests a second: adds the network rate that they mean.',
      lower_bound=0)
  flags.DEFINE_string(
      'limit', None,
      'The most that one response may have, on gRPC and on REST, e.g. `4MB`, `4MiB`'
      ' or bytes; a larger one is told in a line, with exit status 2. With --compare'
      ' it is about "after".')
  flags.DEFINE_string('max_grpc', None, 'The same on gRPC alone; wins over --limit.')
  flags.DEFINE_string('max_rest', None, 'The same on REST alone; wins over --limit.')
  flags.DEFINE_bool('json', False, 'Print JSON instead of the table.')
  flags.DEFINE_string(
      'plot', None, 'Write a bar chart on a log scale to this .png or .svg file.')


def _limits(args) -> SizeLimits:
  sizes = {name: parse_size(text, name)
           for name in ('limit', 'max_grpc', 'max_rest')
           if (text := getattr(args, name)) is not None}
  both = sizes.get('limit')
  return SizeLimits(sizes.get('max_grpc', both), sizes.get('max_rest', both))


def main() -> int:
  """The command line; returns its exit status, 2 for a response over a limit."""
  args = flags.FLAGS
  directories = [args.saved_model_dir] + ([args.compare] if args.compare else [])
  # Every mistake is told before a model is loaded, which may take minutes.
  limits = _limits(args)
  if args.plot is not None:
    payload_chart.check_path(args.plot)
  tags = parse_tag_set(args.tag_set)
  for directory in directories:
    command_line.say_version(directory)
  signatures = [read_signature(d, args.signature, tags) for d in directories]
  if args.image is not None:
    read_image_file(args.image)
    for signature in signatures:
      check_takes_image(signature)
  payloads = [read_payload(d, args.signature, args.image, tags) for d in directories]
  if args.plot is not None:
    payload_chart.save_chart(args.plot, *payloads)
  if args.json:
    print(as_json(*payloads, qps=args.qps))
  else:
    payload_table.print_table(*payloads, qps=args.qps)
  too_large = excess(payloads[-1], limits)
  if too_large:
    print(too_large, file=sys.stderr)
    return 2
  return 0


def run():
  """Entry point of the console script."""
  needless_imports.leave_out(keras=True, loads_models=True)
  _define_flags()
  command_line.run(main, 'payload')


if __name__ == '__main__':
  run()
