r"""Removes outputs from a SavedModel that was exported long ago, in seconds.

  python -m exporter.slim_saved_model \
      --saved_model_dir=exported/saved_model --output_directory=slim \
      --output_keys='detection_*,num_detections'

What only the removed outputs needed goes with them: nodes, functions, variables,
assets. Needs no checkpoint, no pipeline config and no object_detection.
"""

import os
import time

if not __package__:  # Run by its path.
  import runpy
  runpy.run_path(os.path.join(
      os.path.dirname(os.path.abspath(__file__)), 'by_path.py'))

# pylint: disable=g-import-not-at-top,g-bad-import-order
from absl import flags
from rich import console as rich_console
from rich import table as rich_table

from exporter import command_line
from exporter import output_keys
from exporter.detection import needless_imports
from exporter.errors import UserError
from exporter.paths import profiles
from exporter.saved_model.files import parse_tag_set
from exporter.serving import response_size
from exporter.slimming import SlimReport, slim_saved_model

_SAVED_MODEL_DIR = command_line.define_saved_model_dir(
    'The SavedModel to slim, which is left as it is')
_TAG_SET = command_line.define_tag_set()
_OUTPUT_DIRECTORY = flags.DEFINE_string(
    'output_directory', None,
    'Folder of the slimmed SavedModel; appears complete or not at all.')
_SELECTION = command_line.define_selection_flags()
_RENAMING = command_line.define_renaming_flags()
_SIGNATURE = flags.DEFINE_string(
    'signature', 'serving_default', 'The signature whose outputs are meant.')
_KEEP_OTHER_SIGNATURES = flags.DEFINE_boolean(
    'keep_other_signatures', False,
    'Whether other signatures stay, with all that they need.')
_IN_PLACE = flags.DEFINE_boolean(
    'in_place', False,
    'Replace saved_model_dir itself, once the new one is complete.')
_DRY_RUN = flags.DEFINE_boolean(
    'dry_run', False, 'Only print what would go; write nothing.')
_VERIFY = flags.DEFINE_boolean(
    'verify', False,
    'Run both on random inputs that fit the signature, or on --image, before the new one'
    ' takes its place. Without Grappler, the optimizer of graphs, all kept outputs must'
    ' be the same bit for bit; with it the largest difference is printed.')
_IMAGE = flags.DEFINE_multi_string(
    'image', [], 'Image file for --verify to run both on; may be given several times.')
_SERVING = command_line.define_serving_flags()


def main():
  start = time.monotonic()
  selection = output_keys.selection_from(
      _SELECTION.output_keys.value, _SELECTION.exclude_output_keys.value,
      _SELECTION.output_config.value, profiles.FOLDER)
  renaming = _RENAMING.value()
  if selection is None and not renaming:
    raise UserError('Say which outputs stay, with --output_keys,'
                    ' --exclude_output_keys or --output_config.')
  command_line.say_version(_SAVED_MODEL_DIR.value)
  report = slim_saved_model(
      _SAVED_MODEL_DIR.value, _OUTPUT_DIRECTORY.value,
      selection or output_keys.OutputSelection(),
      _SIGNATURE.value, _KEEP_OTHER_SIGNATURES.value, _IN_PLACE.value,
      _DRY_RUN.value, _SERVING.serving_version.value, _SERVING.warmup_image.value,
      parse_tag_set(_TAG_SET.value), _VERIFY.value, _IMAGE.value, renaming)
  print_report(report, _DRY_RUN.value)
  size = response_size.comparison(report.before.response, report.after.response)
  if _DRY_RUN.value:
    print(f'A response would have {size}.')
  else:
    print(f'{_OUTPUT_DIRECTORY.value or _SAVED_MODEL_DIR.value}: a response has {size};'
          f' {time.monotonic() - start:.1f} s in all.')


def print_report(report: SlimReport, dry_run: bool = False) -> None:
  """Prints what was, or would be, removed as a table."""
  table = rich_table.Table()
  for column in ('', 'before', 'would be' if dry_run else 'after',
                 'would go' if dry_run else 'gone'):
    table.add_column(column, justify='right' if column else 'left')
  before, after = report.before, report.after
  for name, was, now in (
      ('outputs', len(before.outputs), len(after.outputs)),
      ('functions', before.functions, after.functions),
      ('nodes in functions', before.nodes, after.nodes),
      ('variables', before.variables, after.variables),
      ('variable bytes', before.variable_bytes, after.variable_bytes),
      ('saved_model.pb bytes', before.saved_model_bytes, after.saved_model_bytes),
  ):
    table.add_row(name, f'{was:,}', f'{now:,}', f'{was - now:,}')
  console = rich_console.Console()
  console.print(table)
  for what, names in (('Outputs', report.dropped_outputs),
                      ('Signatures', report.dropped_signatures),
                      ('Attributes of the loaded object', report.dropped_objects)):
    if names:
      console.print(f'{what} that {"would go" if dry_run else "are gone"}:'
                    f' {", ".join(names)}', highlight=False)
  if report.renaming:
    renamed = {**report.renaming.names, **report.renaming.signatures}
    console.print(f'{"Would be renamed" if dry_run else "Renamed"}: '
                  + ', '.join(f'{old} -> {new}' for old, new in renamed.items()),
                  highlight=False, markup=False)
  if report.acting_ops:
    console.print('Kept because they may change state:'
                  f' {", ".join(report.acting_ops)}', highlight=False)
  if report.given_up_gradients:
    console.print('Gradients are given up through these loops of TF1:'
                  f' {", ".join(report.given_up_gradients)}', highlight=False)
  if report.moved_tensors:
    _print_moved_tensors(console, report.moved_tensors, dry_run)
  if report.comparison:
    console.print(f'Verified: {report.comparison}.', highlight=False)
  if not report.is_callable:
    console.print('The loaded object has its signatures; it cannot be called.')


def _print_moved_tensors(console, moved, dry_run) -> None:
  console.print(f'Tensors that {"would have" if dry_run else "have"} another name, for'
                ' clients that fetch them by name and not by key:', highlight=False)
  signatures = {tensor.signature for tensor in moved}
  for tensor in moved:
    of = f' of {tensor.signature}' if len(signatures) > 1 else ''
    # A name that is cut short or broken cannot be copied.
    console.print(f'  {tensor.key}{of}: {tensor.before} -> {tensor.after}',
                  highlight=False, markup=False, soft_wrap=True)


def run():
  """Entry point of the console script."""
  needless_imports.leave_out(keras=True)
  command_line.run(main, 'slim_saved_model')


if __name__ == '__main__':
  run()
