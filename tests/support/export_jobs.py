"""What the export tests run in processes that have imported both exporters."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random

import numpy as np

import families
from exporter import exporter_lib_v2 as ours  # First: it prepares the environment.
from exporter import export_report
from exporter.detection import pipeline_config
from exporter.output_keys import OutputSelection
from object_detection import exporter_lib_v2 as stock


def write_checkpoint(family_name: str, directory: str):
  """Writes a checkpoint of random weights, as training would leave it."""
  from examples.random_checkpoint import write_random_checkpoint
  write_random_checkpoint(families.by_name(family_name).pipeline, directory)


def numbers_of_seed(seed: int):
  """What an initializer of Keras gives, where its bound of seeds is refused."""
  from examples.random_checkpoint import set_seeds
  randint = random.Random.randint

  def strict_randint(self, low, high):
    if high == 1e9:
      raise TypeError("'float' object cannot be interpreted as an integer")
    return randint(self, low, high)

  random.Random.randint = strict_randint
  set_seeds(seed)
  return ours.tf.keras.initializers.GlorotUniform()([2, 3]).numpy().tolist()


def export_stock(family_fields: dict, checkpoint: str, target: str):
  """Exports with the installed `object_detection.exporter_lib_v2`."""
  family = _family_of(family_fields)
  stock.export_inference_graph(
      family.input_type, pipeline_config.read(family.pipeline), checkpoint, target,
      *_side_input_arguments(family.stock_side_inputs))


def export_ours(family_fields: dict, checkpoint: str, target: str,
                allow: str | None = None, deny: str | None = None,
                verify: bool = False):
  """Exports with ours; with a selection if there is an allow or deny list."""
  family = _family_of(family_fields)
  selected = allow is not None or deny is not None
  ours.export_inference_graph(
      family.input_type, pipeline_config.read(family.pipeline), checkpoint, target,
      *_side_input_arguments(family.side_inputs),
      output_selection=OutputSelection.parse(allow, deny) if selected else None,
      verify=verify)


def export_with_path_objects(checkpoint: str, target: str):
  """Exports and slims where every folder is a `pathlib.Path`; the outputs left."""
  from exporter.payload import read_payload
  from exporter.slimming import contents_of, slim_saved_model
  checkpoint, target = pathlib.Path(checkpoint), pathlib.Path(target)
  ours.export_inference_graph(
      'image_tensor', pipeline_config.read(families.SSD.pipeline), checkpoint, target)
  slim = target.with_name('slim')
  report = slim_saved_model(
      target, slim, OutputSelection.parse('detection_scores'))
  assert contents_of(slim) == report.after
  slim_saved_model(slim, None, OutputSelection.parse('detection_scores'), in_place=True)
  return [output.key for output in read_payload(slim).outputs]


def run_stock(family_fields: dict, checkpoint: str, folder: str):
  """Stock's outputs for some inputs: `inputs.npz`, `outputs.npz`, signature.

  Runs stock's export up to the writing of the SavedModel, which takes longest,
  and calls what it was about to write.
  """
  family = _family_of(family_fields)
  with _saving_captured(stock.tf) as saved:
    export_stock(family_fields, checkpoint, os.path.join(folder, 'export'))
  inputs = _make_inputs(family, saved['function'])
  np.savez(os.path.join(folder, 'inputs.npz'), **inputs)
  _save_outputs(saved['module'].__call__(*inputs.values()),
                os.path.join(folder, 'outputs.npz'))
  return _signature(saved['function'])


def run_ours(family_fields: dict, checkpoint: str, stock_folder: str,
             folder: str):
  """Our outputs without a selection, for the inputs of `run_stock`."""
  with _saving_captured(ours.tf) as saved:
    export_ours(family_fields, checkpoint, os.path.join(folder, 'export'))
  with np.load(os.path.join(stock_folder, 'inputs.npz'), allow_pickle=True) as f:
    inputs = {name: f[name] for name in f}
  _save_outputs(saved['module'].__call__(*inputs.values()),
                os.path.join(folder, 'outputs.npz'))
  return _signature(saved['function'])


@contextlib.contextmanager
def _saving_captured(tf):
  """Hands what `tf.saved_model.save` is given to the test, and writes nothing."""
  saved = {}

  def save(module, directory, signatures):
    os.makedirs(directory)
    saved.update(module=module, function=signatures)

  original, tf.saved_model.save = tf.saved_model.save, save
  report, export_report.of = export_report.of, lambda *_: None  # Of nothing.
  try:
    yield saved
  finally:
    tf.saved_model.save = original
    export_report.of = report


def _family_of(fields: dict) -> families.Family:
  return families.Family(**fields)


def _side_input_arguments(side_inputs):
  return (True, *side_inputs) if side_inputs else ()


def _make_inputs(family, function):
  """Arrays for the function's arguments, in their order, by their names."""
  specs, _ = function.structured_input_signature
  rng = np.random.default_rng(7)
  images = rng.integers(256, size=(family.batch, 96, 128, 3), dtype=np.uint8)
  inputs = {}
  for i, spec in enumerate(specs):
    shape = [size or 2 for size in spec.shape.as_list()]
    if i == 0:
      inputs[spec.name] = _encode(family.input_type, images)
    elif spec.name == 'boxes':
      corners = np.sort(rng.random([*shape[:2], 2, 2]), axis=2)
      inputs[spec.name] = corners.reshape([*shape[:2], 4]).astype(np.float32)
    elif spec.dtype.is_integer:
      inputs[spec.name] = np.full(shape, 7, spec.dtype.as_numpy_dtype)
    else:
      inputs[spec.name] = rng.random(shape).astype(spec.dtype.as_numpy_dtype)
  return inputs


def _encode(input_type, images):
  import tensorflow as tf
  if input_type == 'float_image_tensor':
    return images.astype(np.float32)
  if input_type not in ('encoded_image_string_tensor', 'tf_example'):
    return images
  encoded = [tf.io.encode_png(image).numpy() for image in images]
  if input_type == 'tf_example':
    encoded = [
        tf.train.Example(features=tf.train.Features(feature={
            'image/encoded': tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[one]))})).SerializeToString()
        for one in encoded]
  return np.array(encoded, dtype=object)


def _save_outputs(outputs, path):
  np.savez(path, **{key: value.numpy() for key, value in outputs.items()})


def _signature(function):
  specs, _ = function.structured_input_signature
  return {
      'inputs': {spec.name: _describe(spec) for spec in specs},
      'outputs': {key: _describe(tensor)
                  for key, tensor in function.structured_outputs.items()}}


def _describe(tensor):
  return [tensor.dtype.name, tensor.shape.as_list()]
