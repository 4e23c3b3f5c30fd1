r"""Exports every pipeline config of a folder with stock and with ours, and compares.

  make zoo CONFIGS=models/research/object_detection/configs/tf2

Weights are random and images made small, so that a folder of configs takes an hour
and not a day. Prints a table in Markdown, a row as soon as a config is done: both
keep all outputs, and these must be the same bits.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys

from absl import app
from absl import flags

from benchmarks import processes
from exporter.errors import UserError

# The fields of resizers that are made small.
_SIZES = {'fixed_shape_resizer': ('height', 'width'),
          'keep_aspect_ratio_resizer': ('min_dimension', 'max_dimension')}
_LABEL_MAP = 'configs/pipelines/person_keypoints.pbtxt'
_HEADER = ('| config | outputs | bit-equal | bytes | pb stock | pb ours | s stock | s ours |\n'
           '|---|---:|---|---:|---:|---:|---:|---:|')


@dataclasses.dataclass(frozen=True)
class Compared:
  """Two exports of one model.

  Attributes:
    outputs: how many there are.
    different: the keys whose values, dtypes or shapes are not the same bits.
    response_bytes: of all outputs for one image.
    saved_model_bytes: of `saved_model.pb`, stock's and ours.
    seconds: of the export, stock's and ours, imports included.
  """
  outputs: int
  different: tuple[str, ...]
  response_bytes: int
  saved_model_bytes: tuple[int, int]
  seconds: tuple[float, float]

  @property
  def cells(self) -> str:
    same = 'yes' if not self.different else f'no: {", ".join(self.different)}'
    return ' | '.join([
        str(self.outputs), same, f'{self.response_bytes:,}',
        *(f'{size:,}' for size in self.saved_model_bytes),
        *(f'{seconds:.0f}' for seconds in self.seconds)])


def configs_in(folder: str) -> dict[str, str]:
  """Paths of the configs in a folder and below it, by what distinguishes them there.

  Raises:
    UserError: there is no such folder, or no config in it.
  """
  if not os.path.isdir(folder):
    raise UserError(f'CONFIGS is {folder!r}, which is not a folder; give that of the pipeline'
                    ' configs, as in `make zoo CONFIGS=configs/zoo`.')
  found = sorted(pathlib.Path(folder).rglob('*.config'))
  if not found:
    raise UserError(f'There is no *.config in {folder}.')
  return {str(path.relative_to(folder).with_suffix('')): str(path) for path in found}


def write_small_pipeline(path: str, target: str, image_size: int) -> None:
  """Writes a pipeline config whose images are no larger than that and whose files are there."""
  from exporter.detection import environment
  environment.prepare()
  from exporter.detection import pipeline_config
  from object_detection.utils import config_util
  config = pipeline_config.read(path)
  kind = config.model.WhichOneof('model')
  model = getattr(config.model, kind)
  if 'image_resizer' not in model.DESCRIPTOR.fields_by_name:
    raise UserError(f'{path} describes an {kind}, which only the code of a fork can build.')
  resizer = model.image_resizer
  which = resizer.WhichOneof('image_resizer_oneof')
  if which in _SIZES:
    sizes = getattr(resizer, which)
    for side in _SIZES[which]:
      setattr(sizes, side, min(getattr(sizes, side), image_size))
  for field in ('keypoint_label_map_path', 'keypoint_estimation_task'):
    if field not in model.DESCRIPTOR.fields_by_name:
      continue
    if field == 'keypoint_label_map_path' and model.keypoint_label_map_path:
      model.keypoint_label_map_path = _LABEL_MAP
    elif field == 'keypoint_estimation_task':
      for task in model.keypoint_estimation_task:
        task.keypoint_class_name = 'person'
  config_util.save_pipeline_config(config, target)


def compare(path: str, folder: str, image_size: int) -> Compared:
  """Exports one config with both, in `folder`, and compares what they return.

  Raises:
    RuntimeError: a process failed; its last line says why.
  """
  pipeline = os.path.join(folder, 'pipeline.config')
  checkpoint = os.path.join(folder, 'checkpoint')
  write_small_pipeline(path, folder, image_size)
  processes.run_python('-m', 'examples.random_checkpoint',
                       f'--pipeline_config_path={pipeline}',
                       f'--output_directory={checkpoint}')
  stock, ours = (os.path.join(folder, name) for name in ('stock', 'ours'))
  seconds = (
      processes.run_python('-m', 'benchmarks.stock_export', pipeline, checkpoint,
                           stock).seconds,
      processes.run_python('-m', 'exporter.exporter_main_v2',
                           f'--pipeline_config_path={pipeline}',
                           f'--trained_checkpoint_dir={checkpoint}',
                           f'--output_directory={ours}', '--output_keys=*').seconds)
  outputs = [os.path.join(folder, f'{name}.npz') for name in ('stock', 'ours')]
  for export, written in zip((stock, ours), outputs):
    processes.run_python('-c', 'import sys; from benchmarks import zoo;'
                         ' zoo.write_outputs(*sys.argv[1:])',
                         export, written, str(image_size))
  count, different, response_bytes = _differences(*outputs)
  return Compared(count, different, response_bytes, tuple(
      os.path.getsize(os.path.join(export, 'saved_model', 'saved_model.pb'))
      for export in (stock, ours)), seconds)


def write_outputs(export: str, path: str, image_size: str) -> None:
  """Runs an export on an image made at random, always the same."""
  import numpy as np
  import tensorflow as tf
  model = tf.saved_model.load(os.path.join(export, 'saved_model'))
  size = int(image_size)
  image = np.random.default_rng(0).integers(0, 256, [1, size, size, 3], np.uint8)
  outputs = model.signatures['serving_default'](tf.constant(image))
  np.savez(path, **{key: value.numpy() for key, value in outputs.items()})


def _differences(stock: str, ours: str) -> tuple[int, tuple[str, ...], int]:
  import numpy as np
  with np.load(stock) as f, np.load(ours) as g:
    expected, found = dict(f), dict(g)
  different = {
      key for key in {*expected, *found}
      if key not in expected or key not in found
      or expected[key].dtype != found[key].dtype
      or expected[key].shape != found[key].shape
      or expected[key].tobytes() != found[key].tobytes()}
  return (len(expected), tuple(sorted(different)),
          sum(value.nbytes for value in expected.values()))


def _define_flags():
  # Not at import: tests import several of these modules.
  flags.DEFINE_string(
      'configs', None, 'Folder with *.config files; what is below it counts too.',
      required=True)
  flags.DEFINE_integer(
      'image_size', 256, 'Images are resized to this many pixels where a config says more.', 32)
  flags.DEFINE_string(
      'output_directory', 'build/zoo', 'Where checkpoints and exports go.')


def main(_):
  folder = flags.FLAGS.output_directory
  try:
    paths = configs_in(flags.FLAGS.configs)
  except UserError as e:
    print(f'zoo: {e}', file=sys.stderr)
    return 1
  print(_HEADER)
  results = {}
  for name, path in paths.items():
    results[name], cells = _row(path, os.path.join(folder, name), flags.FLAGS.image_size)
    print(f'| {name} | {cells} |', flush=True)
  with open(os.path.join(folder, 'zoo.json'), 'w', encoding='utf-8') as f:
    json.dump(results, f, indent=2)
  return int(any(isinstance(r, str) or r['different'] for r in results.values()))


def _row(path: str, folder: str, image_size: int) -> tuple[str | dict, str]:
  """What came of a config, or why nothing did; and its cells."""
  os.makedirs(folder, exist_ok=True)
  try:
    compared = compare(path, folder, image_size)
  except (RuntimeError, UserError) as e:
    reason = str(e).strip().splitlines()[-1]
    return reason, f' | {reason.replace("|", "/")} | | | | | '
  return dataclasses.asdict(compared), compared.cells


if __name__ == '__main__':
  _define_flags()
  app.run(main)
