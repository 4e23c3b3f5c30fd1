r"""Trains a small model on shapes and says how well it finds them.

  python -m examples.train_shapes --model=ssd --output_directory=build/trained/ssd

The folder then holds what training leaves: `pipeline.config`, `ckpt-N`, the records
and the label map. Training is upstream's `model_main_tf2`, evaluation what that calls;
`make trained` runs this on the TensorFlow 2.15 stack, for both models.
"""

from __future__ import annotations

import glob
import json
import os
import pathlib
import subprocess
import sys

from absl import app
from absl import flags

_HERE = pathlib.Path(__file__).parent
_MODELS = ('ssd', 'mask_rcnn')

_MODEL = flags.DEFINE_enum('model', None, _MODELS, 'What to train.', required=True)
_OUTPUT_DIRECTORY = flags.DEFINE_string(
    'output_directory', None, 'Where training happens.', required=True)
_STEPS = flags.DEFINE_integer(
    'num_train_steps', None, 'Steps; by default as many as the config says.', 1)
_TRAIN_IMAGES = flags.DEFINE_integer('train_images', 800, 'Images to train on.', 1)
_EVAL_IMAGES = flags.DEFINE_integer('eval_images', 100, 'Images to evaluate on.', 1)

# Upstream's script, once its imports work on this TensorFlow.
_MODEL_MAIN = ('from exporter.detection import environment; environment.prepare();'
               ' from object_detection import model_main_tf2;'
               ' from absl import app; app.run(model_main_tf2.main)')
# What that script evaluates with, which it makes wait five minutes for a next checkpoint.
_EVALUATE = ('import sys; from exporter.detection import environment;'
             ' environment.prepare(); from object_detection import model_lib_v2;'
             ' model_lib_v2.eval_continuously(sys.argv[1], model_dir=sys.argv[2],'
             ' checkpoint_dir=sys.argv[2], wait_interval=1, timeout=1)')


def train(model: str, folder: str, steps: int | None = None, train_images: int = 800,
          eval_images: int = 100) -> dict[str, float]:
  """Trains a model in a folder, which is made, and evaluates it.

  Returns:
    What upstream's evaluation found, such as `DetectionBoxes_Precision/mAP@.50IOU`.
  """
  pipeline, steps = write_pipeline(model, folder, steps, train_images, eval_images)
  _run(_MODEL_MAIN, f'--pipeline_config_path={pipeline}', f'--model_dir={folder}',
       f'--checkpoint_every_n={steps}')  # None is written at the end for its own sake.
  _run(_EVALUATE, pipeline, folder)
  return _metrics(folder)


def write_pipeline(model: str, folder: str, steps: int | None, train_images: int,
                   eval_images: int) -> tuple[str, int]:
  """Writes records, label map and pipeline config; its path, and its steps."""
  from exporter.detection import environment
  environment.prepare()
  from exporter.detection import pipeline_config
  from object_detection.utils import config_util

  from examples.train_shapes import records
  folder = os.path.abspath(folder)
  os.makedirs(folder, exist_ok=True)
  label_map = os.path.join(folder, 'label_map.pbtxt')
  records.write_label_map(label_map)
  config = pipeline_config.read(os.fspath(_HERE / f'{model}.config'))
  if steps is not None:
    config.train_config.num_steps = steps
  for name, reader, seeds in (
      ('train', config.train_input_reader, range(train_images)),
      ('eval', config.eval_input_reader[0], range(10**6, 10**6 + eval_images))):
    path = os.path.join(folder, f'{name}.tfrecord')
    records.write_records(path, seeds)
    reader.label_map_path = label_map
    reader.tf_record_input_reader.input_path[:] = [path]
  config_util.save_pipeline_config(config, folder)
  return os.path.join(folder, 'pipeline.config'), config.train_config.num_steps


def _run(script: str, *arguments: str) -> None:
  subprocess.run([sys.executable, '-c', script, *arguments], check=True)


def _metrics(folder: str) -> dict[str, float]:
  """The scalars of the newest evaluation."""
  import tensorflow as tf
  found = {}
  for path in sorted(glob.glob(os.path.join(glob.escape(folder), 'eval', '*'))):
    for event in tf.compat.v1.train.summary_iterator(path):
      for value in event.summary.value:
        if value.tag.startswith('Detection'):
          found[value.tag] = float(tf.make_ndarray(value.tensor))
  return found


def main(_):
  metrics = train(_MODEL.value, _OUTPUT_DIRECTORY.value, _STEPS.value,
                  _TRAIN_IMAGES.value, _EVAL_IMAGES.value)
  path = os.path.join(_OUTPUT_DIRECTORY.value, 'metrics.json')
  with open(path, 'w', encoding='utf-8') as f:
    json.dump(metrics, f, indent=2)
  for name, value in metrics.items():
    if 'mAP' in name and value >= 0:  # -1 where there is none, as of large shapes.
      print(f'{_MODEL.value}, {name}: {value:.3f}')


if __name__ == '__main__':
  app.run(main)
