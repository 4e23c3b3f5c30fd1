r"""Detects objects on any number of images, on this machine or on Apache Spark.

  python -m exporter.detect_images --saved_model_dir=exported \
      --images='photos/**/*.jpg' --output=detections

Writes Parquet with one row an image: path, height, width, error, boxes, scores,
classes, masks. A run that was killed goes on with --resume.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # Run by its path.
  import runpy
  runpy.run_path(os.path.join(
      os.path.dirname(os.path.abspath(__file__)), 'by_path.py'))

# pylint: disable=g-import-not-at-top,g-bad-import-order
from absl import flags

from exporter import command_line
from exporter import output_keys
from exporter.batch import running
from exporter.batch.rows import MASK_FORMS, RowOptions
from exporter.detection import environment
from exporter.detection import needless_imports
from exporter.errors import UserError
from exporter.protos import label_map
from exporter.saved_model.signature import DEFAULT_SIGNATURE, read_signature


def _define_flags() -> None:
  # Not at import: other programs import this module and have flags of their own.
  command_line.define_saved_model_dir()
  flags.DEFINE_multi_string(
      'images', None,
      'Images: a file, a folder, or a shell glob in which ** means any folders; local'
      ' or a URL (s3://, gs://, abfss://, hdfs://). Repeatable.', required=True)
  flags.DEFINE_string(
      'output', None, 'Output directory, local or a URL.', required=True)
  flags.DEFINE_enum(
      'format', 'parquet', running.FORMATS,
      'parquet: one row an image. coco: COCO results, detections.json. tfrecord:'
      " tf.Examples in the Object Detection API's keys, to train on.")
  flags.DEFINE_string('signature', DEFAULT_SIGNATURE, 'The signature that is called.')
  flags.DEFINE_bool(
      'normalized', False, 'Boxes from 0 to 1 instead of in pixels.')
  flags.DEFINE_float(
      'min_score', None, 'Leave out detections with a lower score.',
      lower_bound=0, upper_bound=1)
  flags.DEFINE_integer(
      'max_detections', None, 'Keep so many detections of an image at most.',
      lower_bound=1)
  flags.DEFINE_enum(
      'masks', 'rle', MASK_FORMS,
      "rle: COCO's run-length code of the mask in its image. box: the export's own"
      ' mask of the box. none: no masks.')
  flags.DEFINE_float(
      'mask_threshold', 0.5, 'A pixel is in a mask from this probability on.',
      lower_bound=0, upper_bound=1)
  flags.DEFINE_string(
      'columns', None,
      'Further outputs that become columns: keys or shell globs, separated by commas.',
      allow_overwrite=False)
  flags.DEFINE_string(
      'label_map_path', None,
      'A label map (.pbtxt) with the names of the classes, which become a column; by'
      " default they are the export's own, if it has them.")
  flags.DEFINE_string(
      'coco_annotations', None,
      'A COCO annotation file, whose image ids --format=coco writes. Without it they'
      ' count from 1, and images.json says what they mean.')
  flags.DEFINE_bool(
      'resume', False, 'Go on with the run in --output: do what is missing there.')
  flags.DEFINE_bool('overwrite', False, 'Replace the results of a run in --output.')
  flags.DEFINE_integer(
      'batch_size', 1,
      'Images of one size that a call takes at most, where the signature leaves that'
      ' free; may change the last digits of results.', lower_bound=1)
  flags.DEFINE_integer(
      'calls', None,
      'How many calls of the model run at a time; each holds its own tensors. By'
      ' default two, on one processor or in a worker of Spark one.', lower_bound=1)
  flags.DEFINE_string(
      'master', None,
      'Run on Apache Spark: local[*], local-cluster[EXECUTORS,CORES,MB],'
      ' spark://HOST:PORT, yarn or k8s://https://HOST:PORT. Without it this process does'
      ' all, and needs neither Spark nor Java.')
  flags.DEFINE_multi_string(
      'spark_conf', [], "A setting of Spark's, NAME=VALUE. Repeatable.")
  flags.DEFINE_bool(
      'ship_model', True,
      'Send the SavedModel to the workers; --noship_model where all of them can read'
      ' --saved_model_dir.')
  flags.DEFINE_integer(
      'images_per_part', None, 'Images in each file; by default 8 to 256.',
      lower_bound=1)


def _options(args) -> running.BatchOptions:
  if args.resume and args.overwrite:
    raise UserError('--resume and --overwrite exclude each other: the one keeps what is'
                    ' there, the other does not.')
  if args.coco_annotations is not None and args.format != 'coco':
    raise UserError('--coco_annotations needs --format=coco, and it is'
                    f' --format={args.format}.')
  if args.format != 'parquet' and (args.normalized or args.columns
                                   or args.masks == 'box'):
    raise UserError('--normalized, --columns and --masks=box need --format=parquet, and'
                    f' it is --format={args.format}.')
  columns = ()
  if args.columns is not None:
    signature = read_signature(args.saved_model_dir, args.signature)
    columns = tuple(output_keys.OutputSelection.parse(args.columns).select(
        list(signature.outputs)))
  names = None
  if args.label_map_path is not None:
    names = tuple(sorted(label_map.read(args.label_map_path).items()))
  rows = RowOptions(
      normalized=args.normalized or args.format == 'tfrecord',
      min_score=args.min_score, max_detections=args.max_detections, masks=args.masks,
      mask_threshold=args.mask_threshold, columns=columns, class_names=names)
  return running.BatchOptions(
      args.saved_model_dir, tuple(args.images), args.output, args.format, rows,
      args.signature, args.batch_size, args.images_per_part,
      args.coco_annotations,
      'resume' if args.resume else 'overwrite' if args.overwrite else 'begin')


def _place(args):
  if args.master is None:
    if args.spark_conf:
      raise UserError(f'--spark_conf={args.spark_conf[0]} needs --master.')
    return running.Here(args.calls or min(os.cpu_count() or 1, 2))
  settings = {}
  for setting in args.spark_conf:
    name, equals, value = setting.partition('=')
    if not equals or not name.startswith('spark.'):
      raise UserError(f'--spark_conf={setting} is no setting of Spark: they are given as'
                      ' NAME=VALUE, such as spark.executor.memory=2g.')
    settings[name] = value
  running.check_installed()
  from exporter.batch import spark_run  # Needs PyArrow.
  return spark_run.Cluster(args.master, settings, args.ship_model, args.calls or 1)


def main() -> int:
  """The command line; returns its exit status."""
  command_line.say_version(flags.FLAGS.saved_model_dir)
  try:
    options, place = _options(flags.FLAGS), _place(flags.FLAGS)
    environment.check_tensorflow()
    summary = running.run(options, place)
  except KeyboardInterrupt:
    print('detect_images: interrupted; --resume goes on.', file=sys.stderr)
    return 130
  print(f'{summary.images:,} images, {summary.errors:,} of them errors,'
        f' {summary.images_per_second:.1f} images/s; {summary.skipped:,} were done'
        ' before.')
  return 0


def run():
  """Entry point of the console script."""
  needless_imports.leave_out(keras=True, loads_models=True)
  _define_flags()
  command_line.run(main, 'detect_images')


if __name__ == '__main__':
  run()
