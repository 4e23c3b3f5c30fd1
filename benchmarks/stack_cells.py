"""What works under this TensorFlow, beside stock's export under the same.

  python -m benchmarks.stack_cells PIPELINE_CONFIG

Prints JSON: the versions, and for each way of ours `equal` (all that it returns is
stock's to the bit), `differs` with the outputs, or `fails` with the reason.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

import numpy as np

from exporter.detection import environment

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_IMAGE = _ROOT / 'docs' / 'detections.jpg'
_KEYS = 'detection_boxes,detection_scores,detection_classes,num_detections'
_DETECTIONS = 5
_AS_SCRIPT = '''
import runpy, sys
from exporter.detection import environment
environment.prepare()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
'''


class Cells:
  """The ways, each a method that returns outputs of ours and what they must be.

  Args:
    pipeline: path of a `pipeline.config`.
    folder: for all that is written.
  """

  def __init__(self, pipeline: str, folder: pathlib.Path):
    from examples.random_checkpoint import write_random_checkpoint
    from object_detection import exporter_lib_v2 as stock
    self._pipeline = pipeline
    self._folder = folder
    write_random_checkpoint(pipeline, str(folder / 'training'))
    stock.export_inference_graph('image_tensor', self._config(),
                                 str(folder / 'training'), str(folder / 'stock'))
    self._stock = self._run('stock')

  def none(self):
    return self._exported('none'), self._stock

  def selection(self):
    return self._exported('selection', output_selection=self._selection()), self._kept()

  def compact(self):
    from exporter.detection.compact_options import CompactOptions
    found = self._exported(
        'compact', output_selection=self._selection(),
        compact_options=CompactOptions(max_detections=_DETECTIONS))
    expected = {key: value[:, :_DETECTIONS] if key.startswith('detection_') else
                np.minimum(value, np.float32(_DETECTIONS))
                for key, value in self._kept().items()}
    return found, expected

  def slim(self):
    from exporter.slimming import slim_saved_model
    slim_saved_model(str(self._folder / 'stock'), str(self._folder / 'slim'),
                     self._selection())
    return self._run('slim'), self._kept()

  def payload(self):
    """The sizes that follow from the signature, and those that are measured."""
    from exporter.payload import read_payload
    sizes = [{o.key: np.array(o.grpc_bytes) for o in payload.outputs} for payload in (
        read_payload(str(self._folder / 'selection')),
        read_payload(str(self._folder / 'selection'), image=str(_IMAGE)))]
    return sizes[0], sizes[1]

  def patch(self):
    installed = pathlib.Path(importlib.util.find_spec('object_detection').origin).parent
    research = self._folder / 'research'
    shutil.copytree(installed, research / 'object_detection')
    self._python('-m', 'patches', f'--research_dir={research}')
    self._python(
        '-c', _AS_SCRIPT, research / 'object_detection' / 'exporter_main_v2.py',
        f'--pipeline_config_path={self._pipeline}', f'--output_keys={_KEYS}',
        f'--trained_checkpoint_dir={self._folder / "training"}',
        f'--output_directory={self._folder / "patch"}', before=[research])
    return self._run('patch'), self._kept()

  def _config(self):
    from exporter.detection import pipeline_config
    return pipeline_config.read(self._pipeline)

  def _selection(self):
    from exporter.output_keys import OutputSelection
    return OutputSelection.parse(_KEYS)

  def _kept(self):
    return {key: self._stock[key] for key in _KEYS.split(',')}

  def _exported(self, name: str, **options):
    from exporter import exporter_lib_v2 as ours
    ours.export_inference_graph(
        'image_tensor', self._config(), str(self._folder / 'training'),
        str(self._folder / name), **options)
    return self._run(name)

  def _run(self, name: str) -> dict[str, np.ndarray]:
    import tensorflow as tf
    folder = self._folder / name
    if (folder / 'saved_model').is_dir():
      folder /= 'saved_model'
    image = np.random.default_rng(0).integers(
        256, size=(1, 96, 128, 3), dtype=np.uint8)
    signature = tf.saved_model.load(str(folder)).signatures['serving_default']
    return {key: value.numpy()
            for key, value in signature(input_tensor=tf.constant(image)).items()}

  def _python(self, *arguments, before=()):
    path = os.pathsep.join(map(str, [*before, _ROOT]))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', *map(str, arguments)], cwd=_ROOT,
        env={**os.environ, 'PYTHONPATH': path}, capture_output=True, text=True,
        check=False)
    if done.returncode:
      raise RuntimeError(done.stderr.strip().splitlines()[-1])


WAYS = ('none', 'selection', 'compact', 'slim', 'payload', 'patch')


def _outcome(way) -> str:
  try:
    found, expected = way()
  except Exception as e:  # Whatever it is, it belongs into the table.
    return f'fails: {type(e).__name__}: {str(e).splitlines()[0]}'
  differing = [key for key in sorted(found.keys() | expected.keys())
               if key not in found or key not in expected
               or found[key].dtype != expected[key].dtype
               or found[key].tobytes() != expected[key].tobytes()]
  return f'differs: {", ".join(differing)}' if differing else 'equal'


def main(pipeline: str) -> None:
  environment.prepare()
  import tensorflow as tf
  with tempfile.TemporaryDirectory() as folder:
    cells = Cells(pipeline, pathlib.Path(folder))
    outcomes = {way: _outcome(getattr(cells, way)) for way in WAYS}
  print(json.dumps({'tensorflow': tf.__version__, 'python': platform.python_version(),
                    'ways': outcomes}))


if __name__ == '__main__':
  main(*sys.argv[1:])
