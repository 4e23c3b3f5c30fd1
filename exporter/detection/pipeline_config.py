"""Reads a pipeline config and what overrides it."""

from __future__ import annotations

import re

import tensorflow as tf
from google.protobuf import text_format

from exporter.detection import environment
from exporter.errors import UserError, did_you_mean
from exporter.paths.file_systems import is_served
from exporter.paths.reading import read_text
from exporter.paths.urls import is_url

with environment.api_imports():
  from object_detection.protos import pipeline_pb2

# What protobuf says of a field that a message lacks.
_NO_FIELD = re.compile(
    r'(?:(?P<line>\d+):\d+ : )?.*Message type "(?P<message>[\w.]+)" has no field named'
    r' "(?P<field>\w+)"', re.DOTALL)


def read(path: str, override: str = '') -> pipeline_pb2.TrainEvalPipelineConfig:
  """The pipeline config in a text file, with `override` merged over it.

  Raises:
    UserError: the file cannot be read, or one of the texts is not a config.
  """
  config = pipeline_pb2.TrainEvalPipelineConfig()
  _merge(_text(path), config, f'The pipeline config {path}')
  _merge(override, config, f'The config override {override!r}')
  if not config.model.WhichOneof('model'):
    raise UserError(f'The pipeline config {path} describes no model.')
  return config


def _text(path: str) -> str:
  # Without a package for it TensorFlow may have a file system, as it has for gs://.
  if not is_url(path) or is_served(path):
    return read_text(path, 'pipeline config')
  try:
    with tf.io.gfile.GFile(path, 'r') as f:
      return f.read()
  except (tf.errors.OpError, UnicodeDecodeError) as e:
    reason = getattr(e, 'message', None) or e
    raise UserError(f'The pipeline config {path} cannot be read: {reason}') from e


def _merge(text: str, config, what: str) -> None:
  try:
    text_format.Merge(text, config)
  except text_format.ParseError as e:
    unknown = _NO_FIELD.match(str(e))
    if unknown:
      raise UserError(_no_field(unknown, config, what)) from e
    raise UserError(f'{what} is not a valid TrainEvalPipelineConfig: line'
                    f' {" ".join(str(e).split())}') from e


def _no_field(unknown: re.Match, config, what: str) -> str:
  """One sentence for a field that this Object Detection API does not have."""
  message, field = unknown['message'], unknown['field']
  name = message.rpartition('.')[2]
  known = list(
      config.DESCRIPTOR.file.pool.FindMessageTypeByName(message).fields_by_name)
  line = f', line {unknown["line"]}' if unknown['line'] else ''
  return (f'{what}{line}: {name} has no field {field!r}'
          f'{did_you_mean(field, known) or "."} The object_detection that is installed'
          f' knows {", ".join(known) or "none"}; a field of another release must be'
          ' removed.')
