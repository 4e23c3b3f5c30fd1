r"""Runs stock's export and ours on a GPU: latency, throughput, copies, memory.

  python -m benchmarks.gpu
  python -m benchmarks.gpu --config=configs/pipelines/ssd_mobilenet_v2_small.config \
      --size=320 --runs=2

Both take float images, so that a batch may be of any size. Each is run by a process of
its own, in which TensorFlow takes the memory that it needs. Without a GPU it runs on
the processors, to try it out. The default takes less than ten minutes on one GPU.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

from absl import app
from absl import flags

from benchmarks import machine
from benchmarks import processes
from benchmarks.checkpoints import random_checkpoint

_CONFIG = flags.DEFINE_string(
    'config', 'configs/pipelines/mask_rcnn_inception_resnet_v2_1024x1024_coco17_gpu-8.config',
    'The pipeline config of the model.')
_KEYS = flags.DEFINE_string(
    'output_keys', 'detection_boxes,detection_scores,detection_classes,num_detections,'
    'detection_masks', 'What ours keeps.')
_SIZE = flags.DEFINE_integer('size', 1024, 'Height and width of the images, in pixels.')
_BATCHES = flags.DEFINE_list('batches', ['1', '8'], 'How many images a call has.')
_RUNS = flags.DEFINE_integer('runs', 20, 'Calls after the first two; the median counts.')
_OUTPUT = flags.DEFINE_string('output_directory', 'build/gpu', 'Where the exports go.')
_MEASURE = flags.DEFINE_string(
    'measure', None, 'A SavedModel to run in this process; prints JSON.')


def measure(saved_model_dir: str, batches: list[int], size: int, runs: int) -> dict:
  """Runs a SavedModel on noise.

  Returns:
    `device`, and by batch size: seconds of a call until the device is done, seconds
    of copying all outputs to the host then, their bytes, and the peak bytes of device
    memory in use, None on a processor.
  """
  import numpy as np
  import tensorflow as tf
  gpus = tf.config.list_physical_devices('GPU')
  for gpu in gpus:
    tf.config.experimental.set_memory_growth(gpu, True)
  run = tf.saved_model.load(saved_model_dir).signatures['serving_default']
  result = {'device': (tf.config.experimental.get_device_details(gpus[0]).get(
      'device_name', 'GPU') if gpus else 'no GPU'), 'batches': {}}
  for batch in batches:
    image = tf.constant(np.random.RandomState(0).randint(
        256, size=(batch, size, size, 3)).astype(np.float32))
    if gpus:
      tf.config.experimental.reset_memory_stats('GPU:0')
    calls, copies = [], []
    for _ in range(runs + 2):  # The first two choose kernels and fill caches.
      start = time.monotonic()
      outputs = run(input_tensor=image)
      _wait_for(outputs)
      done = time.monotonic()
      arrays = [value.numpy() for value in outputs.values()]
      calls.append(done - start)
      copies.append(time.monotonic() - done)
    result['batches'][batch] = {
        'call_seconds': statistics.median(calls[2:]),
        'copy_seconds': statistics.median(copies[2:]),
        'output_bytes': sum(array.nbytes for array in arrays),
        'peak_bytes': (tf.config.experimental.get_memory_info('GPU:0')['peak']
                       if gpus else None)}
  return result


def _wait_for(outputs) -> None:
  """Waits until a device has computed tensors, without copying them all."""
  import tensorflow as tf
  for value in outputs.values():
    # Of one element; whatever comes before it in the device's stream is done then.
    tf.reshape(value, [-1])[:1].numpy()


def _export(folder: str) -> dict[str, str]:
  """Exports with both; the SavedModels by name."""
  checkpoint = random_checkpoint(_CONFIG.value, os.path.join(folder, 'checkpoint'))
  targets = {name: os.path.join(folder, name) for name in ('stock', 'ours')}
  if not os.path.exists(targets['stock']):
    processes.run_python('-m', 'benchmarks.stock_export', _CONFIG.value, checkpoint,
                         targets['stock'], 'float_image_tensor')
  processes.run_python(
      '-m', 'exporter.exporter_main_v2', '--input_type=float_image_tensor',
      f'--pipeline_config_path={_CONFIG.value}', f'--trained_checkpoint_dir={checkpoint}',
      f'--output_directory={targets["ours"]}', f'--output_keys={_KEYS.value}')
  return {name: os.path.join(path, 'saved_model') for name, path in targets.items()}


def main(argv) -> None:
  if len(argv) > 1:
    sys.exit(f'The argument {argv[1]!r} is not a flag.')
  batches = [int(batch) for batch in _BATCHES.value]
  if _MEASURE.value is not None:
    print(json.dumps(measure(_MEASURE.value, batches, _SIZE.value, _RUNS.value)))
    return
  os.makedirs(_OUTPUT.value, exist_ok=True)
  results = {}
  for name, saved_model in _export(_OUTPUT.value).items():
    done = processes.run_python(
        '-m', 'benchmarks.gpu', f'--measure={saved_model}', f'--size={_SIZE.value}',
        f'--batches={",".join(_BATCHES.value)}', f'--runs={_RUNS.value}')
    results[name] = json.loads(done.stdout.splitlines()[-1])
  print('| batch | | call ms | images/s | copy ms | bytes | peak device memory MB |\n'
        '|---:|---|---:|---:|---:|---:|---:|')
  for batch in batches:
    for name, result in results.items():
      one = result['batches'][str(batch)]
      seconds = one['call_seconds'] + one['copy_seconds']
      peak = '' if one['peak_bytes'] is None else f'{one["peak_bytes"] / 1e6:,.0f}'
      print(f'| {batch} | {name} | {one["call_seconds"] * 1e3:.1f} | {batch / seconds:.1f}'
            f' | {one["copy_seconds"] * 1e3:.2f} | {one["output_bytes"]:,} | {peak} |')
  print(f'\nMedians of {_RUNS.value} on {results["ours"]["device"]},'
        f' {machine.describe(("protobuf", "numpy"))}.')


if __name__ == '__main__':
  app.run(main)
