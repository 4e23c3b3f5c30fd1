"""Reads a pipeline config and what overrides it."""

import tensorflow as tf
from google.protobuf import text_format
from object_detection.protos import pipeline_pb2

from exporter.errors import UserError


def read(path: str, override: str = '') -> pipeline_pb2.TrainEvalPipelineConfig:
  """The pipeline config in a text file, with `override` merged over it.

  Raises:
    UserError: the file cannot be read, or one of the texts is not a config.
  """
  config = pipeline_pb2.TrainEvalPipelineConfig()
  try:
    with tf.io.gfile.GFile(path, 'r') as f:
      text = f.read()
  except (tf.errors.OpError, UnicodeDecodeError) as e:
    reason = getattr(e, 'message', None) or e
    raise UserError(f'The pipeline config {path} cannot be read: {reason}') from e
  _merge(text, config, f'The pipeline config {path}')
  _merge(override, config, f'The config override {override!r}')
  if not config.model.WhichOneof('model'):
    raise UserError(f'The pipeline config {path} describes no model.')
  return config


def _merge(text: str, config, what: str) -> None:
  try:
    text_format.Merge(text, config)
  except text_format.ParseError as e:
    raise UserError(
        f'{what} is not a valid TrainEvalPipelineConfig: line {e}') from e
