r"""What each saving costs in accuracy: mAP and bytes of a trained model's responses.

  make trained
  python -m benchmarks.accuracy --trained=build/trained/mask_rcnn \
      --plot=docs/accuracy.png

The SSD that ships is measured without any training:

  python -m benchmarks.accuracy --trained=examples/train_shapes/trained_ssd \
      --pipeline_config_path=examples/train_shapes/ssd.config

Stock's export and one for each profile of configs/outputs that fits the model run on
images that training did not see. The kept outputs must be the same bits as stock's.
The sweep cuts stock's outputs with what the exporter puts into the graph, which spares
an export a row. Prints a table in Markdown; pycocotools evaluates.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from absl import app
from absl import flags

from benchmarks import coco_accuracy, processes
from examples.train_shapes import shapes
from exporter.detection import output_profile
from exporter.detection.compact_options import CompactOptionError, CompactOptions
from exporter.errors import UserError
from exporter.output_keys import OutputKeyError, profiles_in
from exporter.paths import profiles
from exporter.saved_model.signature import Signature, TensorSpec, read_signature
from exporter.serving.payload_sizes import measured_payload

# Those that examples.train_shapes evaluates on.
_FIRST_SEED = 10**6
_NEEDED = {'detection_boxes', 'detection_classes', 'detection_scores', 'num_detections'}
_MASKS = 'detection_masks'

Outputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Row:
  """A line of the table.

  Attributes:
    name: of the export, or what the sweep cut with.
    accuracy: see `coco_accuracy.Accuracy`.
    grpc_bytes: of a `PredictResponse` for one image, the mean.
    rest_bytes: of the shorter JSON for one image, the mean; None where TensorFlow
      Serving cannot write it.
    swept: whether it has no export of its own.
  """
  name: str
  accuracy: coco_accuracy.Accuracy
  grpc_bytes: float
  rest_bytes: float | None
  swept: bool = False

  @property
  def cells(self) -> str:
    precisions = dataclasses.astuple(self.accuracy)
    return ' | '.join([
        self.name, *('–' if p is None else f'{p:.4f}' for p in precisions),
        f'{self.grpc_bytes:,.0f}',
        '–' if self.rest_bytes is None else f'{self.rest_bytes:,.0f}'])


_HEADER = ('| | box mAP | box mAP@0.5 | mask mAP | mask mAP@0.5 | gRPC bytes | REST bytes |\n'
           '|---|---:|---:|---:|---:|---:|---:|')


def sweep(with_masks: bool) -> Iterator[tuple[str, CompactOptions]]:
  """Names and options of what is tried beside the profiles."""
  for score in (0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9):
    yield f'min_score {score}', CompactOptions(min_score=score)
  for most in (1, 2, 4, 8):
    yield f'max_detections {most}', CompactOptions(max_detections=most)
  if with_masks:
    for dtype in ('float16', 'uint8'):
      yield f'masks {dtype}', CompactOptions(dtypes=((_MASKS, dtype),))
    for threshold in (0.3, 0.5, 0.7):
      yield f'mask_threshold {threshold}', CompactOptions(mask_threshold=threshold)


def measure(name: str, drawn: Sequence[shapes.Shapes], responses: Sequence[Outputs],
            swept: bool = False) -> Row:
  """The row of a model's responses, batches of one image each."""
  sizes = [_sizes(outputs) for outputs in responses]
  rest = [size for _, size in sizes]
  return Row(
      name, coco_accuracy.evaluate(drawn, [_first(outputs) for outputs in responses]),
      statistics.mean(size for size, _ in sizes),
      None if None in rest else statistics.mean(rest), swept)


def _first(outputs: Outputs) -> dict[str, np.ndarray]:
  return {key: value[0] for key, value in outputs.items()}


def _sizes(outputs: Outputs) -> tuple[int, int | None]:
  specs = {key: TensorSpec(key, value.dtype.name, value.shape)
           for key, value in sorted(outputs.items())}
  payload = measured_payload(
      '', Signature('serving_default', ('serve',), {}, specs), outputs, '')
  return payload.grpc_bytes, payload.rest_bytes(payload.rest_form)


def compacted(outputs: Outputs, kept: Sequence[str],
              options: CompactOptions) -> dict[str, np.ndarray]:
  """What an export with these options returns in place of stock's `outputs`."""
  import tensorflow as tf

  from exporter.detection import compact_outputs
  tensors = {key: tf.constant(value) for key, value in outputs.items()}
  return {key: value.numpy() for key, value in compact_outputs.compact(
      tensors, kept, options, len(shapes.CLASSES)).items()}


def fitting_profiles(keys: Sequence[str]) -> dict[str, list[str]]:
  """The outputs that each shipped profile keeps of `keys`, by its name."""
  found = {}
  for name in sorted(profiles_in(profiles.FOLDER)):
    profile = output_profile.load(name)
    try:
      kept = profile.selection.select(keys)
      if profile.compact:
        profile.compact.dtypes_of(kept, len(shapes.CLASSES), None)
    except (OutputKeyError, CompactOptionError):
      continue
    if set(kept) >= _NEEDED:
      found[name] = kept
  return found


def run(export: str, drawn: Sequence[shapes.Shapes]) -> list[dict[str, np.ndarray]]:
  """What an export returns for each image."""
  import tensorflow as tf

  from exporter.serving import image_request
  signature = read_signature(export)
  with image_request.loaded(export, signature) as model:
    function = model.signatures[signature.name]
    return [{key: value.numpy() for key, value in function(
        tf.constant(image.image[np.newaxis])).items()} for image in drawn]


def same_bits(one: Outputs, other: Outputs) -> bool:
  """Whether both have the same keys, dtypes, shapes and bits."""
  return one.keys() == other.keys() and all(
      value.dtype == other[key].dtype and value.shape == other[key].shape
      and value.tobytes() == other[key].tobytes() for key, value in one.items())


def compare(pipeline: str, trained: str, folder: str,
            drawn: Sequence[shapes.Shapes]) -> list[Row]:
  """All rows; stock's is the first.

  Args:
    pipeline: path of the pipeline config.
    trained: folder with the checkpoint.
    folder: where the exports go.
    drawn: the images.

  Raises:
    RuntimeError: an export failed, or what it returns is not what stock's does.
    UserError: the model does not find shapes but something else.
  """
  stock = os.path.join(folder, 'stock')
  processes.run_python('-m', 'benchmarks.stock_export', pipeline, trained, stock)
  responses = run(stock, drawn)
  rows = [measure('stock', drawn, responses)]
  for name, kept in fitting_profiles(list(responses[0])).items():
    export = os.path.join(folder, name)
    processes.run_python('-m', 'exporter.exporter_main_v2',
                         f'--pipeline_config_path={pipeline}',
                         f'--trained_checkpoint_dir={trained}',
                         f'--output_directory={export}', f'--output_config={name}')
    found = run(export, drawn)
    options = output_profile.load(name).compact or CompactOptions()
    for expected, outputs in zip(responses, found):
      if not same_bits(compacted(expected, kept, options), outputs):
        raise RuntimeError(f'{name} returns other bits than stock.')
    rows.append(measure(name, drawn, found))
  kept = sorted(_NEEDED | {_MASKS} & set(responses[0]))
  for name, options in sweep(_MASKS in kept):
    rows.append(measure(name, drawn, [
        compacted(outputs, kept, options) for outputs in responses], swept=True))
  return rows


def save_plot(path: str, rows: Sequence[Row]) -> None:
  """Draws accuracy against bytes: profiles as named points, the sweep in grey."""
  from matplotlib import figure as figure_lib
  figure = figure_lib.Figure(figsize=(8, 4.2), layout='constrained')
  axes = figure.subplots()
  for kind, marker in (('box', 'o'), ('mask', 's')):
    for row in rows:
      precision = getattr(row.accuracy, kind)
      if precision is not None:
        axes.plot(row.grpc_bytes, precision, marker, markersize=5 if row.swept else 9,
                  color='#c3cad2' if row.swept else '#0b6e99',
                  markerfacecolor='none' if kind == 'mask' else None)
  named = sorted((row for row in rows if not row.swept), key=lambda row: row.grpc_bytes)
  for i, row in enumerate(named):
    # Neighbours are close: one has its name above, the next one below.
    axes.annotate(row.name, (row.grpc_bytes, row.accuracy.box), xytext=(0, (9, -18)[i % 2]),
                  textcoords='offset points', ha='center', fontsize=9)
  axes.set(xscale='log', xlabel='bytes of a gRPC response, mean of the images',
           ylabel='mAP (0.5 to 0.95)')
  axes.set_title('Filled: boxes; hollow: masks. Grey: the sweep', fontsize=10, loc='left')
  axes.margins(0.12, 0.2)
  axes.spines[['top', 'right']].set_visible(False)
  figure.savefig(path, dpi=110)


def _define_flags():
  # Not at import: tests import several of these modules.
  flags.DEFINE_string(
      'trained', None, 'Folder that examples.train_shapes trained in.', required=True)
  flags.DEFINE_string(
      'pipeline_config_path', None, 'Of that model; by default TRAINED/pipeline.config.')
  flags.DEFINE_integer('images', 100, 'Images to evaluate on.', 1)
  flags.DEFINE_string(
      'output_directory', 'build/accuracy', 'Where the exports go.')
  flags.DEFINE_string('plot', None, 'PNG file for the picture.')


def check(pipeline: str, trained: str, plot: str | None) -> None:
  """Refuses what would fail after minutes; stock exports random weights where none are.

  Raises:
    UserError: there is no config or checkpoint, or the picture cannot be written.
  """
  from exporter.detection import environment
  environment.prepare()
  from exporter.detection import checkpoint, pipeline_config
  pipeline_config.read(pipeline)
  checkpoint.find(trained)
  if plot is None:
    return
  if not plot.endswith('.png'):
    raise UserError(f'{plot} is to be a PNG; give it a name that ends in .png.')
  folder = os.path.dirname(plot) or '.'
  if not os.path.isdir(folder):
    raise UserError(f'The picture {plot} cannot be written: {folder} is not a folder.')


def main(_):
  trained, plot = flags.FLAGS.trained, flags.FLAGS.plot
  pipeline = flags.FLAGS.pipeline_config_path or os.path.join(trained, 'pipeline.config')
  drawn = [shapes.draw(_FIRST_SEED + i) for i in range(flags.FLAGS.images)]
  try:
    check(pipeline, trained, plot)
    rows = compare(pipeline, trained, flags.FLAGS.output_directory, drawn)
  except (RuntimeError, UserError) as e:
    print(f'accuracy: {str(e).strip().splitlines()[-1]}', file=sys.stderr)
    return 1
  print(_HEADER)
  for row in rows:
    print(f'| {row.cells} |')
  path = os.path.join(flags.FLAGS.output_directory, 'accuracy.json')
  with open(path, 'w', encoding='utf-8') as f:
    json.dump([dataclasses.asdict(row) for row in rows], f, indent=2)
  if plot:
    save_plot(plot, rows)
  return 0


if __name__ == '__main__':
  _define_flags()
  app.run(main)
