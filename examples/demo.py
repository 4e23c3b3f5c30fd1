"""Exports one Mask R-CNN twice, as stock does and with five outputs; compares.

  make demo

The model is a small ResNet-50 Mask R-CNN with random weights, the image a photo
that matplotlib ships. Then a small SSD, trained by examples/train_shapes, is exported
and draws what it finds on an image that it has not seen. Each step is a Python
process of its own, so that none finds anything loaded by another; what they write is
in build/demo/.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from rich import console as rich_console
from rich import table as rich_table

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PIPELINE = _ROOT / 'configs' / 'pipelines' / 'mask_rcnn_resnet50_small.config'
_WORK = _ROOT / 'build' / 'demo'
_CHECKPOINT = _WORK / 'checkpoint'
_LOG = _WORK / 'log.txt'
_SHAPES = _ROOT / 'examples' / 'train_shapes'
_UNSEEN = 2_000_000  # Training and evaluation take other seeds.
_KEYS = ('detection_boxes', 'detection_classes', 'detection_masks',
         'detection_scores', 'num_detections')

_console = rich_console.Console()


@dataclasses.dataclass(frozen=True)
class Export:
  """What one export costs.

  Attributes:
    export_seconds: of the whole command.
    load_seconds: of `tf.saved_model.load`, in a fresh process.
    saved_model_bytes: of `saved_model.pb`.
    variables_bytes: of the files in `variables/`.
    functions: in the graph's library.
    nodes: in those functions.
    outputs: by key, the tensor for the photo as a NumPy array.
  """
  export_seconds: float
  load_seconds: float
  saved_model_bytes: int
  variables_bytes: int
  functions: int
  nodes: int
  outputs: dict


def main() -> int:
  """Runs the steps and prints the table; 0 if kept outputs are the same bits."""
  shutil.rmtree(_WORK, ignore_errors=True)
  _WORK.mkdir(parents=True)
  _step('random checkpoint', '-m', 'examples.random_checkpoint',
        f'--pipeline_config_path={_PIPELINE}', f'--output_directory={_CHECKPOINT}')
  stock_seconds = _step(
      'stock export', '-c', 'from examples import demo; demo.export_as_stock()')
  lean_seconds = _step(
      'lean export', '-m', 'exporter.exporter_main_v2',
      f'--pipeline_config_path={_PIPELINE}',
      f'--trained_checkpoint_dir={_CHECKPOINT}',
      f'--output_directory={_WORK / "lean"}', f'--output_keys={",".join(_KEYS)}')
  stock = _reload('stock', stock_seconds)
  lean = _reload('lean', lean_seconds)
  identical = _same_bits(stock, lean)
  _print_table(stock, lean, identical)
  _console.print(_draw_shapes(), highlight=False, soft_wrap=True)
  return 0 if identical else 1


def export_as_stock() -> None:
  """The installed object_detection's own exporter; runs in a process of its own."""
  from exporter.detection import environment as object_detection_env
  object_detection_env.prepare()
  from object_detection import exporter_lib_v2
  from object_detection.utils import config_util

  configs = config_util.get_configs_from_pipeline_file(str(_PIPELINE))
  exporter_lib_v2.export_inference_graph(
      'image_tensor', config_util.create_pipeline_proto_from_configs(configs),
      str(_CHECKPOINT), str(_WORK / 'stock'))


def detect(name: str) -> None:
  """Loads an export and runs the photo; runs in a process of its own."""
  import numpy as np
  import tensorflow as tf
  from matplotlib import cbook

  with cbook.get_sample_data('grace_hopper.jpg') as photo:
    image = tf.io.decode_jpeg(photo.read())[tf.newaxis]
  start = time.monotonic()
  model = tf.saved_model.load(str(_WORK / name / 'saved_model'))
  seconds = time.monotonic() - start
  outputs = model.signatures['serving_default'](input_tensor=image)
  np.savez(_outputs_file(name), **{k: v.numpy() for k, v in outputs.items()})
  _load_file(name).write_text(json.dumps(seconds))


def _draw_shapes() -> str:
  """Finds generated shapes with the trained SSD; the path of the picture."""
  from PIL import Image

  from examples.train_shapes import records, shapes
  image, label_map, found = (
      _WORK / name for name in ('shapes.png', 'shapes.pbtxt', 'found_shapes.png'))
  # Large enough to look at; the model resizes it itself.
  Image.fromarray(shapes.draw(_UNSEEN).image).resize((480, 480)).save(image)
  records.write_label_map(str(label_map))
  export = _WORK / 'shapes'
  _step('export of a trained SSD', '-m', 'exporter.exporter_main_v2',
        f'--pipeline_config_path={_SHAPES / "ssd.config"}',
        f'--trained_checkpoint_dir={_SHAPES / "trained_ssd"}',
        f'--output_directory={export}', '--output_config=boxes', '--min_score=0.3')
  _step('drawing of what it finds', '-m', 'exporter.draw_detections',
        f'--saved_model_dir={export}', f'--image={image}', f'--label_map={label_map}',
        f'--output={found}')
  return str(found)


def _outputs_file(name: str) -> pathlib.Path:
  return _WORK / f'{name}_outputs.npz'


def _load_file(name: str) -> pathlib.Path:
  return _WORK / f'{name}_load_seconds.json'


def _step(what: str, *arguments: str) -> float:
  """Runs Python with the arguments; returns the seconds that it took."""
  environment = os.environ | {'TF_CPP_MIN_LOG_LEVEL': '3'}
  start = time.monotonic()
  with _console.status(what), open(_LOG, 'a') as log:
    done = subprocess.run([sys.executable, *arguments], cwd=_ROOT, stdout=log,
                          stderr=log, env=environment)
  seconds = time.monotonic() - start
  if done.returncode:
    print(*_LOG.read_text().splitlines()[-20:], sep='\n', file=sys.stderr)
    sys.exit(f'The {what} failed; all that it said is in {_LOG}.')
  _console.print(f'{what}: {seconds:.0f} s', highlight=False)
  return seconds


def _reload(name: str, export_seconds: float) -> Export:
  import numpy as np
  from exporter.saved_model.files import SavedModelFiles

  _step(f'reload of the {name} export', '-c',
        f'from examples import demo; demo.detect({name!r})')
  folder = _WORK / name / 'saved_model'
  graph = SavedModelFiles.open(folder).serving_graph.graph_def
  return Export(
      export_seconds=export_seconds,
      load_seconds=json.loads(_load_file(name).read_text()),
      saved_model_bytes=(folder / 'saved_model.pb').stat().st_size,
      variables_bytes=sum(f.stat().st_size for f in folder.glob('variables/*')),
      functions=len(graph.library.function),
      nodes=sum(len(f.node_def) for f in graph.library.function),
      outputs=dict(np.load(_outputs_file(name))))


def _same_bits(stock: Export, lean: Export) -> bool:
  return sorted(lean.outputs) == sorted(_KEYS) and all(
      _bits(lean.outputs[key]) == _bits(stock.outputs[key]) for key in _KEYS)


def _bits(array):
  return array.dtype, array.shape, array.tobytes()


def _print_table(stock: Export, lean: Export, identical: bool) -> None:
  table = rich_table.Table()
  for column in ('', 'stock', 'five keys', 'stock / five'):
    table.add_column(column, justify='right' if column else 'left')
  for name, measure, digits in (
      ('outputs', lambda e: len(e.outputs), 0),
      ('response bytes', lambda e: sum(o.nbytes for o in e.outputs.values()), 0),
      ('saved_model.pb bytes', lambda e: e.saved_model_bytes, 0),
      ('functions', lambda e: e.functions, 0),
      ('nodes in functions', lambda e: e.nodes, 0),
      ('variables bytes', lambda e: e.variables_bytes, 0),
      ('export s', lambda e: e.export_seconds, 1),
      ('load s', lambda e: e.load_seconds, 1)):
    before, after = measure(stock), measure(lean)
    table.add_row(name, f'{before:,.{digits}f}', f'{after:,.{digits}f}',
                  f'{before / after:,.1f}')
  _console.print(table)
  _console.print(
      'The five kept outputs have the same bits in both.' if identical else
      'The five kept outputs DIFFER between the two.', highlight=False)
  _console.print(f'The exports are {_WORK}/stock and {_WORK}/lean.',
                 highlight=False, soft_wrap=True)


if __name__ == '__main__':
  sys.exit(main())
