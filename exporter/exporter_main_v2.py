r"""Exports a trained detection model with only the outputs that you want.

Takes every flag of the Object Detection API's exporter_main_v2.py, and:

  python -m exporter.exporter_main_v2 \
      --pipeline_config_path=pipeline.config \
      --trained_checkpoint_dir=training/ \
      --output_directory=exported/ \
      --output_keys='detection_*,num_detections' \
      --exclude_output_keys=detection_multiclass_scores

The outputs that stay can be made smaller too:

  ... --min_score=0.3 --output_dtypes=detection_masks=uint8

To see what there is to choose from, without a checkpoint and writing nothing:

  python -m exporter.exporter_main_v2 \
      --pipeline_config_path=pipeline.config --list_output_keys
"""

import os
import time

if not __package__:  # Run by its path.
  import runpy
  runpy.run_path(os.path.join(
      os.path.dirname(os.path.abspath(__file__)), 'by_path.py'))

# pylint: disable=g-import-not-at-top,g-bad-import-order
from absl import flags

from exporter import command_line
from exporter.console.stages import Stages
from exporter.detection import checkpoint_choice
from exporter.detection import compact_options
from exporter.detection import environment
from exporter.detection import input_shapes
from exporter.detection import inputs
from exporter.detection import needless_imports
from exporter.detection import output_profile
from exporter.detection import signature_specs
from exporter.detection.signature_specs import DEFAULT, SignatureSpec
from exporter.protos import label_map
from exporter.publishing import export_folder
from exporter.serving import payload_sizes
from exporter.serving import response_size

_INPUT_TYPE = flags.DEFINE_string(
    'input_type', 'image_tensor',
    'What the exported model takes: `image_tensor`, `float_image_tensor`,'
    ' `encoded_image_string_tensor`, `tf_example` or `image_and_boxes_tensor`.')
_PIPELINE_CONFIG_PATH = flags.DEFINE_string(
    'pipeline_config_path', None,
    'File with a pipeline_pb2.TrainEvalPipelineConfig in text form.')
_TRAINED_CHECKPOINT_DIR = flags.DEFINE_string(
    'trained_checkpoint_dir', None,
    'Folder of the trained checkpoint; the latest one in it is exported.')
_TRAINED_CHECKPOINT_PREFIX = flags.DEFINE_string(
    'trained_checkpoint_prefix', None,
    'The checkpoint itself, e.g. `training/ckpt-12`, in place of the latest one in'
    ' trained_checkpoint_dir.')
_USE_MOVING_AVERAGES = flags.DEFINE_boolean(
    'use_moving_averages', False,
    'Export the averages of the weights that training with use_moving_average keeps in'
    ' the checkpoint, as evaluation uses them, and not those of the last step.')
_OUTPUT_DIRECTORY = flags.DEFINE_string(
    'output_directory', None,
    'Folder of the export; appears complete or not at all.')
_CONFIG_OVERRIDE = flags.DEFINE_string(
    'config_override', '',
    'Text of a pipeline_pb2.TrainEvalPipelineConfig that is merged over the one'
    ' in pipeline_config_path.')
_USE_SIDE_INPUTS = flags.DEFINE_boolean(
    'use_side_inputs', False,
    'Whether the model takes side inputs beside the image, as Context R-CNN'
    ' does. For input type image_tensor.')
_SIDE_INPUT_SHAPES = flags.DEFINE_string(
    'side_input_shapes', '',
    'Shapes of the side inputs, e.g. `1,2000,2057/1`: sizes separated by commas,'
    ' -1 where unknown; `/` stands between shapes.')
_SIDE_INPUT_TYPES = flags.DEFINE_string(
    'side_input_types', '',
    'Types of the side inputs, separated by commas: `float`, `integer`, `string`'
    ' or names such as `tf.float32`.')
_SIDE_INPUT_NAMES = flags.DEFINE_string(
    'side_input_names', '',
    'Names of the side inputs, separated by commas.')

_INPUT_SHAPE = flags.DEFINE_string(
    'input_shape', None,
    'Fixed sizes of the input, e.g. `4,640,640,3`: batch, height, width, channels, -1'
    ' where unknown; the batch alone, e.g. `4`, for `encoded_image_string_tensor` and'
    ' `tf_example`. Left out: as upstream, which for image_tensor is one image of any'
    ' size.')
_LABEL_MAP_PATH = flags.DEFINE_string(
    'label_map_path', None,
    'A label map, such as label_map.pbtxt: adds the output detection_classes_as_text'
    ' with the name of each detection\'s class.')
_SELECTION = command_line.define_selection_flags(
    left_out='Left out: all, as upstream. With this or one of the next two flags the'
    ' SavedModel holds only what its outputs need.',
    in_profile=' and any of min_score, max_detections, mask_threshold and dtypes')
_MIN_SCORE = flags.DEFINE_float(
    'min_score', None,
    'Detections with a lower score are cut off, in all detection_* outputs;'
    ' num_detections counts the rest.')
_MAX_DETECTIONS = flags.DEFINE_integer(
    'max_detections', None,
    'At most so many detections stay of each image: the first ones, which in'
    ' upstream\'s models are those with the best scores.')
_MASK_THRESHOLD = flags.DEFINE_float(
    'mask_threshold', None,
    'Makes detection_masks uint8 with 1 where the probability is at least this,'
    ' and 0 elsewhere.')
_OUTPUT_DTYPES = flags.DEFINE_string(
    'output_dtypes', None,
    'Dtypes other than float32, e.g. `detection_*=float16,detection_masks=uint8`:'
    ' keys or globs with `float16`, `float32`, `int32` or `uint8`; of several that'
    ' match, the last counts. For detection_masks uint8 is probability × 255,'
    ' rounded. What a dtype cannot hold is refused.', allow_overwrite=False)
_ADD_SIGNATURE = flags.DEFINE_multi_string(
    'add_signature', [],
    'A further signature, NAME:INPUT_TYPE, e.g.'
    ' `from_bytes:encoded_image_string_tensor`, with the same outputs and the same'
    ' variables; may be given several times. A profile can say more of each.')
_RENAMING = command_line.define_renaming_flags()
_LIST_OUTPUT_KEYS = flags.DEFINE_boolean(
    'list_output_keys', False,
    'Print each output with dtype, shape and bytes for one image, and stop.'
    ' Needs no checkpoint and no output directory.')
_VERIFY = flags.DEFINE_boolean(
    'verify', False,
    'Run the export and the model it came from on an image and compare all'
    ' outputs bit for bit; an export that differs is thrown away.')
_SERVING = command_line.define_serving_flags()

flags.mark_flag_as_required('pipeline_config_path')


@flags.multi_flags_validator(
    ['trained_checkpoint_dir', 'trained_checkpoint_prefix', 'output_directory',
     'list_output_keys'],
    'Flags --trained_checkpoint_dir and --output_directory must have a value,'
    ' except with --list_output_keys; --trained_checkpoint_prefix stands in for the'
    ' first.')
def _has_paths(values):
  return values['list_output_keys'] or values['output_directory'] is not None and (
      values['trained_checkpoint_dir'] is not None
      or values['trained_checkpoint_prefix'] is not None)


def main():
  start = time.monotonic()
  # What can be wrong without TensorFlow is told before its import.
  profile = _profile()
  specs = _signature_specs(profile)
  for spec in specs.values():
    spec.check(use_side_inputs=_USE_SIDE_INPUTS.value)
  renaming = _RENAMING.value()
  renaming.applied_to_signatures(specs)
  side_inputs = (_USE_SIDE_INPUTS.value, _SIDE_INPUT_SHAPES.value,
                 _SIDE_INPUT_TYPES.value, _SIDE_INPUT_NAMES.value)
  if _USE_SIDE_INPUTS.value:
    inputs.parse_side_inputs(*side_inputs[1:])
  if _LABEL_MAP_PATH.value is not None:
    label_map.read(_LABEL_MAP_PATH.value)
  if not _LIST_OUTPUT_KEYS.value:
    export_folder.check(
        _OUTPUT_DIRECTORY.value, export_folder.OF_EXPORT,
        _SERVING.warmup_image.value, _SERVING.serving_version.value)
    checkpoint_choice.check(
        _TRAINED_CHECKPOINT_DIR.value, _TRAINED_CHECKPOINT_PREFIX.value)

  with Stages()('import'):
    from exporter import exporter_lib_v2
    from exporter.detection import pipeline_config
  config = pipeline_config.read(
      _PIPELINE_CONFIG_PATH.value, _CONFIG_OVERRIDE.value)
  if _LIST_OUTPUT_KEYS.value:
    _list(config, specs, side_inputs)
    return
  main = specs.pop(DEFAULT)
  report = exporter_lib_v2.export_inference_graph(
      main.input_type, config, _TRAINED_CHECKPOINT_DIR.value,
      _OUTPUT_DIRECTORY.value, *side_inputs,
      trained_checkpoint_prefix=_TRAINED_CHECKPOINT_PREFIX.value,
      use_moving_averages=_USE_MOVING_AVERAGES.value,
      input_shape=main.shape,
      label_map_path=_LABEL_MAP_PATH.value,
      output_selection=main.selection,
      compact_options=main.compact,
      signatures=specs,
      renaming=renaming,
      verify=_VERIFY.value,
      serving_version=_SERVING.serving_version.value,
      warmup_images=_SERVING.warmup_image.value)
  others = [renaming.signatures.get(name, name) for name in specs]
  _print_report(report, others, time.monotonic() - start)


def _print_report(report, others, seconds):
  size = payload_sizes.format_bytes
  also = f', and the signatures {", ".join(others)}' if others else ''
  print(f'{_OUTPUT_DIRECTORY.value}: {len(report.outputs)} of'
        f' {len(report.all_outputs)} outputs{also}.\n'
        'A response has'
        f' {response_size.comparison(report.full_response, report.response)}.\n'
        f'saved_model.pb has {size(report.saved_model_bytes)}, its variables'
        f' {size(report.variable_bytes)}; {seconds:.1f} s in all.')


def _signature_specs(profile):
  """What each signature takes and returns, by name, `serving_default` first."""
  inputs.check_type(_INPUT_TYPE.value)
  shape = (None if _INPUT_SHAPE.value is None
           else input_shapes.parse(_INPUT_SHAPE.value, _INPUT_TYPE.value))
  return signature_specs.all_of(
      SignatureSpec(_INPUT_TYPE.value, shape, profile.selection, profile.compact),
      profile.signatures, _ADD_SIGNATURE.value)


def _profile():
  dtypes = _OUTPUT_DTYPES.value
  options = compact_options.CompactOptions(
      _MIN_SCORE.value, _MAX_DETECTIONS.value, _MASK_THRESHOLD.value,
      () if dtypes is None else compact_options.parse_dtypes(dtypes))
  path = _SELECTION.output_config.value
  profile = (output_profile.OutputProfile() if path is None
             else output_profile.load(path))
  return output_profile.with_flags(
      profile, _SELECTION.output_keys.value, _SELECTION.exclude_output_keys.value,
      options)


def _list(config, specs, side_inputs):
  from exporter import exporter_lib_v2
  from exporter.detection.output_sizes import print_output_sizes
  for name, spec in specs.items():
    sizes = exporter_lib_v2.list_outputs(
        spec.input_type, config, *side_inputs, input_shape=spec.shape,
        label_map_path=_LABEL_MAP_PATH.value)
    kept = spec.selection.select(s.key for s in sizes) if spec.selection else None
    if len(specs) > 1:
      print(f'{name} ({spec.input_type}):')
    print_output_sizes(sizes, kept, images=spec.shape[0] or 1 if spec.shape else 1)


def run():
  """Entry point of the console script."""
  needless_imports.leave_out(keras=False)
  command_line.run(main, 'exporter_main_v2', environment.before_flags)


if __name__ == '__main__':
  run()
