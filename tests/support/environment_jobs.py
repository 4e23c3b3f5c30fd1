"""What test_object_detection_env.py runs in processes of its own."""

import importlib
import os
import pathlib


def prepare_after_keras(version: str):
  """Prepares after TensorFlow was imported and its Keras used; returns the error."""
  import tensorflow as tf
  from exporter.detection import environment
  os.environ.pop('TF_USE_LEGACY_KERAS', None)  # Other tests may have set it.
  assert tf.keras.__version__.startswith(version)
  try:
    environment.prepare()
  except environment.EnvironmentProblem as e:
    return str(e)
  return None


def keras_after_prepare():
  """The module of `tf.keras.layers.Layer`, where TensorFlow was imported first."""
  import tensorflow as tf
  from exporter.detection import environment
  environment.prepare()
  return tf.keras.layers.Layer.__module__


def protobuf_parser():
  from google.protobuf.internal import api_implementation
  return api_implementation.Type()


def proto_modules():
  """(name, class of its loader, its file) of every proto module there is."""
  package = importlib.import_module('object_detection.protos')
  names = sorted(path.stem for path in
                 pathlib.Path(package.__path__[0]).glob('*_pb2.py'))
  modules = [importlib.import_module(f'object_detection.protos.{name}')
             for name in names]
  return [(module.__name__, type(module.__spec__.loader).__name__, module.__file__)
          for module in modules]


def check_messages():
  """Uses the built messages as the API does: enums, oneofs, nested, extensions."""
  from google.protobuf import text_format
  from object_detection.protos import (
      hyperparams_pb2, pipeline_pb2, post_processing_pb2, string_int_label_map_pb2)
  config = text_format.Parse(
      'model { ssd { num_classes: 3 post_processing { score_converter: SIGMOID } } }',
      pipeline_pb2.TrainEvalPipelineConfig())
  assert config.model.WhichOneof('model') == 'ssd'
  assert (config.model.ssd.post_processing.score_converter
          == post_processing_pb2.PostProcessing.SIGMOID)
  assert type(config).FromString(config.SerializeToString()) == config
  assert hyperparams_pb2.Hyperparams.FC == hyperparams_pb2.Hyperparams().FC
  label_map = string_int_label_map_pb2.StringIntLabelMap()
  label_map.item.add(name='cat', id=1)
  assert 'cat' in text_format.MessageToString(label_map)
  # As the installed package's own defaults say.
  assert config.model.ssd.post_processing.batch_non_max_suppression.iou_threshold == (
      post_processing_pb2.BatchNonMaxSuppression().iou_threshold)


def write_new_protos(folder: str):
  """Writes each proto module as a current protoc does, from its descriptor."""
  package = importlib.import_module('object_detection.protos')
  for path in pathlib.Path(package.__path__[0]).glob('*_pb2.py'):
    name = f'object_detection.protos.{path.stem}'
    descriptor = importlib.import_module(name).DESCRIPTOR
    imports = ''.join(
        f'import {dependency.name[:-len(".proto")].replace("/", ".")}_pb2\n'
        for dependency in descriptor.dependencies)
    pathlib.Path(folder, path.name).write_text(f'''# Generated anew.
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder
{imports}
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile({descriptor.serialized_pb!r})
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, {name!r}, _globals)
''')
