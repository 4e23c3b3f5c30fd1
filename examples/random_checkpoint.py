"""Writes a checkpoint of random weights for a pipeline.

Exporting needs a checkpoint, and a test or a benchmark has no trained one:

  python -m examples.random_checkpoint \\
      --pipeline_config_path=configs/pipelines/ssd_mobilenet_v2_small.config \\
      --output_directory=/tmp/ssd_checkpoint

The directory then holds `ckpt-0`, as training would leave it.
"""

import functools
import random
import sys

import numpy as np
from absl import flags

from exporter import command_line
from exporter.detection import environment

_PIPELINE_CONFIG_PATH = flags.DEFINE_string(
    'pipeline_config_path', None, 'Pipeline whose model gets the weights.')
_OUTPUT_DIRECTORY = flags.DEFINE_string(
    'output_directory', None, 'Where the checkpoint goes.')
_SEED = flags.DEFINE_integer('seed', 0, 'The same seed, the same weights.')


def write_random_checkpoint(pipeline_config_path: str, output_directory: str,
                            seed: int = 0) -> str:
  """Builds the pipeline's model with random weights and saves them.

  Args:
    pipeline_config_path: a `pipeline.config`; relative paths inside it start
      at the working directory.
    output_directory: made if it is missing.
    seed: of the weights; sets TensorFlow's global seed.

  Returns:
    The checkpoint's path prefix, ending in `ckpt-0`.
  """
  environment.prepare()
  # Here and below, not above: --help should not wait for TensorFlow.
  import tensorflow as tf
  from exporter.detection import pipeline_config
  from object_detection.builders import model_builder

  set_seeds(seed)
  model_config = pipeline_config.read(pipeline_config_path).model
  model = model_builder.build(model_config, is_training=False)
  side_inputs = _side_inputs(model_config)
  # Layers make their variables when they are first called.
  _detect(model, tf.zeros([1, 64, 64, 3]), side_inputs)
  _calibrate(model, side_inputs)
  manager = tf.train.CheckpointManager(
      tf.train.Checkpoint(model=model), output_directory, max_to_keep=1)
  return manager.save(checkpoint_number=0)


def set_seeds(seed: int) -> None:
  """As `tf.keras.utils.set_random_seed`, whose Keras 2.17 fails on Python 3.12."""
  import tensorflow as tf

  random.seed(seed)
  np.random.seed(seed)
  tf.random.set_seed(seed)


def _detect(model, images, side_inputs):
  """Runs every part of the model once; the resizer takes any image size."""
  preprocessed, true_shapes = model.preprocess(images)
  predictions = model.predict(preprocessed, true_shapes, **side_inputs)
  # Mask heads run, and so get their variables, only in here.
  model.postprocess(predictions, true_shapes)


def _side_inputs(model_config):
  """What `predict` takes beside the image: the memory of Context R-CNN."""
  import tensorflow as tf

  if not model_config.faster_rcnn.HasField('context_config'):
    return {}
  context = model_config.faster_rcnn.context_config
  size = context.max_num_context_features
  return {
      'context_features': tf.random.uniform(
          [1, size, context.context_feature_length]),
      'valid_context_size': tf.constant([size], tf.int32),
  }


def _calibrate(model, side_inputs):
  """Fits biases and batch norms to an image of noise, as training fits to data.

  Initial ones normalize nothing. In a deep backbone the activations then grow
  or fade with every block, and a head answers every place with nearly the same
  class and the same empty box: the scores come out all 0, all 1 or all alike.
  """
  import tensorflow as tf

  fits = {}
  for layer in model.submodules:
    if hasattr(layer, 'moving_variance'):
      fits[layer] = _fit_batch_norm
    elif getattr(layer, 'bias', None) is not None and _is_linear(layer):
      fits[layer] = _fit_bias
  # The input of a layer is right once the layers before it fit, so each one is
  # fitted in the moment of its call.
  for layer, fit in fits.items():
    layer.call = functools.partial(_fit_and_call, layer, layer.call, fit)
  _detect(model, tf.random.uniform([1, 64, 64, 3], maxval=255.0), side_inputs)
  for layer in fits:
    del layer.call


def _is_linear(layer):
  import tensorflow as tf

  return getattr(layer, 'activation', None) in (
      None, tf.keras.activations.linear)


def _fit_and_call(layer, call, fit, inputs, *args, **kwargs):
  fit(layer, inputs, call(inputs, *args, **kwargs))
  return call(inputs, *args, **kwargs)


def _fit_batch_norm(layer, inputs, outputs):
  """Sets the statistics to those of the inputs."""
  import tensorflow as tf

  del outputs
  mean, variance = tf.nn.moments(inputs, axes=range(inputs.shape.rank - 1))
  # On a 1x1 feature map a channel does not vary. Its magnitude then has to do,
  # lest another image's small deviations come out huge.
  floor = 0.1 * tf.reduce_mean(tf.square(inputs))
  layer.moving_mean.assign(mean)
  layer.moving_variance.assign(tf.maximum(variance, floor))


def _fit_bias(layer, inputs, outputs):
  """Makes the initial bias, a prior on scores for one, the mean output."""
  import tensorflow as tf

  del inputs
  mean = tf.reduce_mean(outputs, axis=range(outputs.shape.rank - 1))
  layer.bias.assign(2 * layer.bias - mean)


def main() -> None:
  print(write_random_checkpoint(
      _PIPELINE_CONFIG_PATH.value, _OUTPUT_DIRECTORY.value, _SEED.value))


if __name__ == '__main__':
  flags.mark_flags_as_required(['pipeline_config_path', 'output_directory'])
  environment.before_flags(sys.argv[1:])
  command_line.run(main, 'random_checkpoint')
