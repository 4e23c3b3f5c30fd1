"""Exports a detection model with only the outputs that were asked for.

Stands in for `object_detection.exporter_lib_v2`: the same names, the same calls,
and without an output selection the same export. What is new is one keyword:

    from exporter import exporter_lib_v2
    from exporter.output_keys import OutputSelection

    exporter_lib_v2.export_inference_graph(
        'image_tensor', pipeline_config, 'training/', 'exported/',
        output_selection=OutputSelection.parse('detection_*,num_detections'))

With a selection, `DetectionInferenceModule._select_outputs` drops outputs while
the model is traced, and the SavedModel is written without anything that only
they needed. `compact_options` makes those that stay smaller, in the same place.
"""

from __future__ import annotations

import os

if not __package__:  # Imported by its path.
  import runpy
  runpy.run_path(os.path.join(
      os.path.dirname(os.path.abspath(__file__)), 'by_path.py'))

# pylint: disable=g-import-not-at-top,g-bad-import-order
from exporter.detection import environment

environment.prepare()

from collections.abc import Mapping, Sequence

import tensorflow as tf
from absl import logging

from exporter import export_report
from exporter.console.stages import Stages
from exporter.detection import checkpoint
from exporter.detection import checkpoint_fit
from exporter.detection import class_names
from exporter.detection import compact_outputs
from exporter.detection import input_shapes
from exporter.detection import inputs
from exporter.detection import key_hints
from exporter.detection import keypoint_label_map
from exporter.detection import model_errors
from exporter.detection import shared_detection
from exporter.detection import signature_specs
from exporter.detection import tracing
from exporter.detection.compact_options import CompactOptions
from exporter.detection.image_decoding import decode_image as _decode_image
from exporter.detection.image_decoding import decode_tf_example as _decode_tf_example
from exporter.detection.output_sizes import OutputSize, output_sizes
from exporter.detection.sample_inputs import sample_inputs
from exporter.detection.signature_specs import DEFAULT, SignatureSpec
from exporter.errors import UserError
from exporter.export_report import ExportReport, Traced
from exporter.output_keys import OutputSelection
from exporter.paths import plain_paths
from exporter.paths.reading import read_bytes
from exporter.protos import label_map
from exporter.publishing import export_folder
from exporter.renaming import Renaming
from exporter.saved_model import check
from exporter.saved_model import function_saving

with environment.api_imports():
  from object_detection.builders import model_builder
  from object_detection.core import standard_fields as fields
  from object_detection.utils import config_util

# Replace the builder here to export a model that no pipeline config describes.
INPUT_BUILDER_UTIL_MAP = {'model_build': model_builder.build}

# Models count classes from 0; label maps count from 1, as 0 is the background.
_LABEL_ID_OFFSET = 1

_CHECKPOINT = 'checkpoint'
_SAVED_MODEL = 'saved_model'


def _combine_side_inputs(side_input_shapes='',
                         side_input_types='',
                         side_input_names=''):
  """(shape, dtype, name) of each side input, from the three flags' texts."""
  side_inputs = inputs.parse_side_inputs(
      side_input_shapes, side_input_types, side_input_names)
  return [(s.shape, tf.as_dtype(s.dtype), s.name) for s in side_inputs]


def get_true_shapes(input_tensor):
  """int32 [batch, 3] shapes of the images in a [batch, h, w, c] tensor."""
  shape = tf.shape(input_tensor)
  return tf.repeat(shape[tf.newaxis, 1:], shape[0], axis=0)


class DetectionInferenceModule(tf.Module):
  """What an export's signature runs; subclasses say what its input is."""

  def __init__(self, detection_model, use_side_inputs=False,
               zipped_side_inputs=None, output_selection=None,
               compact_options=None):
    """Holds the model.

    Args:
      detection_model: a `core.model.DetectionModel`.
      use_side_inputs: whether the model takes more than an image.
      zipped_side_inputs: (shape, dtype, name) of each side input.
      output_selection: an `OutputSelection`; None keeps every output.
      compact_options: `CompactOptions`; None leaves outputs as they are.
    """
    super().__init__()
    self._model = detection_model
    self._output_selection = output_selection
    self._compact_options = compact_options
    self._class_names = None
    # No part of the SavedModel, as a dict of the module's own would be.
    self.traced = Traced()

  def name_classes(self, names):
    """Adds the output `detection_classes_as_text`.

    Args:
      names: of the classes by their ids in the label map.
    """
    self._class_names = names

  def fix_input_shape(self, shape):
    """Makes calls take images of fixed sizes.

    Args:
      shape: of the first input, as `input_shape.parse` gives it. Boxes that go along
        have the same batch; side inputs are as the caller has described them.
    """
    function = self.__call__
    image, *others = function.input_signature
    signature = [tf.TensorSpec(shape, image.dtype, image.name),
                 *(self._with_batch(spec, shape[0]) for spec in others)]
    # On the instance, in place of the one for any size.
    self.__call__ = tf.function(
        function.python_function, input_signature=signature)

  def rename(self, renaming):
    """Makes calls take and return tensors by other names.

    Args:
      renaming: a `Renaming`; a name that this module does not have is for others.
    """
    function = self.__call__
    call = function.python_function
    new_names = renaming.applied(tracing.input_names(function), 'inputs')

    def call_func(*tensors):
      outputs = call(*tensors)
      new_keys = renaming.applied(outputs, 'outputs')
      self.traced.names = frozenset((*new_names, *new_keys))
      return {new_keys[key]: output for key, output in outputs.items()}

    self.__call__ = tf.function(call_func, input_signature=[
        tf.TensorSpec(spec.shape, spec.dtype, name)
        for spec, name in zip(function.input_signature, new_names.values())])

  def _with_batch(self, spec, batch):
    """The spec of an input beside the image, for so many images."""
    return spec

  def _get_side_input_signature(self, zipped_side_inputs):
    return [tf.TensorSpec(shape=shape, dtype=dtype, name=name)
            for shape, dtype, name in zipped_side_inputs]

  def _get_side_names_from_zip(self, zipped_side_inputs):
    return [name for _, _, name in zipped_side_inputs]

  def _preprocess_input(self, batch_input, decode_fn):
    """Decodes and resizes each image on its own, as their sizes may differ.

    Args:
      batch_input: tensor whose first dimension is the batch.
      decode_fn: from one entry of it to an image [height, width, 3].

    Returns:
      float32 [batch, height, width, 3] images of the size the model wants, and
      int32 [batch, 3] shapes of the part of each that is not padding.
    """
    def prepare(entry):
      image = tf.cast(decode_fn(entry), tf.float32)
      images, true_shapes = self._model.preprocess(tf.expand_dims(image, 0))
      return images[0], true_shapes[0]

    prepared = tf.map_fn(prepare, batch_input, parallel_iterations=32,
                         fn_output_signature=(tf.float32, tf.int32))
    return tf.nest.map_structure(tf.stop_gradient, prepared)

  def detect(self, images, true_shapes, **kwargs):
    """All outputs by key, as the model gives them; several modules may share it."""
    predictions = self._model.predict(images, true_shapes, **kwargs)
    self.traced.predictions = tuple(predictions)
    return self._model.postprocess(predictions, true_shapes)

  def _run_inference_on_images(self, images, true_shapes, **kwargs):
    """Detects on preprocessed images.

    Args:
      images: float32 [batch, height, width, 3].
      true_shapes: int32 [batch, 3].
      **kwargs: side inputs, for the model's `predict`.

    Returns:
      The selected outputs by key, float32 unless compact options say otherwise.
    """
    return self._select_outputs(self.detect(images, true_shapes, **kwargs))

  def _select_outputs(self, detections):
    """Drops what was not asked for; makes the rest as clients expect it."""
    classes = fields.DetectionResultFields.detection_classes
    # Before anything is dropped, so that the offset never depends on the choice.
    # Region proposals, of Faster R-CNN with one stage, have no classes.
    if classes in detections:
      detections[classes] = (
          tf.cast(detections[classes], tf.float32) + _LABEL_ID_OFFSET)
    if self._class_names is not None:
      detections[class_names.KEY] = class_names.as_text(
          detections, self._class_names, self._model.num_classes)
    self.traced.outputs = {key: export_report.spec_of(key, tensor)
                           for key, tensor in detections.items()}
    if self._output_selection is None:
      kept = list(detections)
    else:
      kept = key_hints.select(self._output_selection, detections,
                              self.traced.predictions)
    if self._compact_options is not None:
      return compact_outputs.compact(
          detections, kept, self._compact_options, self._model.num_classes)
    return {key: compact_outputs.as_number(detections[key]) for key in kept}


class DetectionFromImageModule(DetectionInferenceModule):
  """Takes one uint8 [1, height, width, 3] image, and side inputs if any."""

  def __init__(self, detection_model, use_side_inputs=False,
               zipped_side_inputs=None, output_selection=None,
               compact_options=None):
    """As `DetectionInferenceModule`; the only one to take side inputs."""
    super().__init__(detection_model, use_side_inputs, zipped_side_inputs,
                     output_selection, compact_options)
    zipped_side_inputs = zipped_side_inputs or []
    self._side_input_names = self._get_side_names_from_zip(zipped_side_inputs)
    signature = [tf.TensorSpec([1, None, None, 3], tf.uint8, 'input_tensor')]
    if use_side_inputs:
      signature += self._get_side_input_signature(zipped_side_inputs)

    def call_func(input_tensor, *side_inputs):
      images, true_shapes = self._preprocess_input(input_tensor, lambda x: x)
      return self._run_inference_on_images(
          images, true_shapes, **dict(zip(self._side_input_names, side_inputs)))

    # On the instance, as the signature depends on the side inputs.
    self.__call__ = tf.function(call_func, input_signature=signature)


class DetectionFromFloatImageModule(DetectionInferenceModule):
  """Takes float32 [batch, height, width, 3] images."""

  @tf.function(input_signature=[
      tf.TensorSpec([None, None, None, 3], tf.float32, 'input_tensor')])
  def __call__(self, input_tensor):
    return self._run_inference_on_images(
        *self._preprocess_input(input_tensor, lambda x: x))


class DetectionFromEncodedImageModule(DetectionInferenceModule):
  """Takes a string [batch] of encoded images of one size."""

  @tf.function(input_signature=[
      tf.TensorSpec([None], tf.string, 'input_tensor')])
  def __call__(self, input_tensor):
    return self._run_inference_on_images(
        *self._preprocess_input(input_tensor, _decode_image))


class DetectionFromTFExampleModule(DetectionInferenceModule):
  """Takes a string [batch] of serialized tf.Examples."""

  @tf.function(input_signature=[
      tf.TensorSpec([None], tf.string, 'input_tensor')])
  def __call__(self, input_tensor):
    return self._run_inference_on_images(
        *self._preprocess_input(input_tensor, _decode_tf_example))


class DetectionFromImageAndBoxModule(DetectionInferenceModule):
  """Takes an image and boxes; gives a mask for each of the boxes.

  The model must have `predict_masks_from_boxes(prediction_dict,
  true_image_shapes, provided_boxes)`, as DeepMAC has.
  """

  def __init__(self, detection_model, use_side_inputs=False,
               zipped_side_inputs=None, output_selection=None,
               compact_options=None):
    """As `DetectionInferenceModule`.

    Raises:
      UserError: the model cannot predict masks for given boxes, or the compact
        options would cut them.
    """
    if compact_options is not None:
      compact_options.check_input_type('image_and_boxes_tensor')
    if not hasattr(detection_model, 'predict_masks_from_boxes'):
      raise UserError(
          f'The model {type(detection_model).__name__} has no'
          ' predict_masks_from_boxes, which input type image_and_boxes_tensor'
          ' needs; DeepMAC has it.')
    super().__init__(detection_model, use_side_inputs, zipped_side_inputs,
                     output_selection, compact_options)

  def _with_batch(self, spec, batch):
    return tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype, spec.name)

  def _run_segmentation_on_images(self, image, boxes, **kwargs):
    """Predicts masks for given boxes.

    Args:
      image: uint8 [1, height, width, 3].
      boxes: float32 [1, boxes, 4], normalized.
      **kwargs: for the model's `predict`.

    Returns:
      The selected outputs by key, float32 unless compact options say otherwise.
    """
    images, true_shapes = self._model.preprocess(tf.cast(image, tf.float32))
    predictions = self._model.predict(images, true_shapes, **kwargs)
    self.traced.predictions = tuple(predictions)
    return self._select_outputs(self._model.predict_masks_from_boxes(
        predictions, true_shapes, boxes))

  @tf.function(input_signature=[
      tf.TensorSpec([1, None, None, 3], tf.uint8, 'input_tensor'),
      tf.TensorSpec([1, None, 4], tf.float32, 'boxes')])
  def __call__(self, input_tensor, boxes):
    return self._run_segmentation_on_images(input_tensor, boxes)


DETECTION_MODULE_MAP = {
    'image_tensor': DetectionFromImageModule,
    'encoded_image_string_tensor': DetectionFromEncodedImageModule,
    'tf_example': DetectionFromTFExampleModule,
    'float_image_tensor': DetectionFromFloatImageModule,
    'image_and_boxes_tensor': DetectionFromImageAndBoxModule,
}


def export_inference_graph(input_type,
                           pipeline_config,
                           trained_checkpoint_dir,
                           output_directory,
                           use_side_inputs=False,
                           side_input_shapes='',
                           side_input_types='',
                           side_input_names='',
                           *,
                           trained_checkpoint_prefix: str | None = None,
                           use_moving_averages: bool = False,
                           input_shape: str | Sequence[int | None] | None = None,
                           label_map_path: str | None = None,
                           output_selection: OutputSelection | None = None,
                           compact_options: CompactOptions | None = None,
                           signatures: Mapping[str, SignatureSpec] | None = None,
                           add_signature: Sequence[str] = (),
                           renaming: Renaming | None = None,
                           verify: bool = False,
                           serving_version: int | None = None,
                           warmup_images: Sequence[str] = ()) -> ExportReport:
  """Exports a trained model: `saved_model/`, `checkpoint/`, `pipeline.config`.

    >>> from exporter.detection import pipeline_config
    >>> config = pipeline_config.read('pipeline.config', '')
    >>> report = export_inference_graph(
    ...     'image_tensor', config, 'training/', 'exported/',
    ...     output_selection=OutputSelection.parse('detection_*,num_detections'))
    >>> sorted(os.listdir('exported'))
    ['checkpoint', 'pipeline.config', 'saved_model']
    >>> len(report.outputs), len(report.all_outputs)
    (6, 8)

  The folder appears complete or not at all; an older export in its place stays
  until then, and files that no export wrote stay for good, also those in
  `checkpoint/` and `saved_model/`.

  Args:
    input_type: a key of `DETECTION_MODULE_MAP`.
    pipeline_config: a `pipeline_pb2.TrainEvalPipelineConfig`.
    trained_checkpoint_dir: folder of the checkpoint, as training leaves it; None
      with `trained_checkpoint_prefix`.
    output_directory: folder of the export; made if it is missing.
    use_side_inputs: whether the model takes side inputs; `image_tensor` only.
    side_input_shapes: see `inputs.parse_side_inputs`, as the next two.
    side_input_types: the same.
    side_input_names: the same.
    trained_checkpoint_prefix: the checkpoint itself, such as `training/ckpt-12`,
      in place of the latest one in `trained_checkpoint_dir`.
    use_moving_averages: whether to export, as `checkpoint/` too, the averages of the
      weights that training with `use_moving_average` keeps; otherwise, as upstream,
      the weights of its last step.
    input_shape: fixed sizes of the first input, such as `[4, 640, 640, 3]` or
      `'4,640,640,3'`, -1 or None where unknown; `[4]` for the types that take
      strings. None: any size, as upstream.
    label_map_path: a label map; adds the output `detection_classes_as_text`, string
      `[batch, detections]`, in a lean SavedModel, and itself to its `assets/`.
    output_selection: which outputs stay. None: all, in upstream's own layout
      with the Keras layers; otherwise the SavedModel is lean.
    compact_options: how outputs are made smaller; without a selection, all of
      them in a lean SavedModel. None leaves them as they are.
    signatures: further signatures by name, in a lean SavedModel, with one copy of the
      variables; what one leaves open is as the other arguments say.
    add_signature: the same in short, each `'from_bytes:encoded_image_string_tensor'`.
    renaming: other names for inputs, outputs and signatures, in a lean SavedModel;
      all other arguments say the old ones.
    verify: whether to compare the export's outputs on an image, bit for bit,
      with those of the model it was made from.
    serving_version: also writes the SavedModel to `output_directory/N/`, where
      TensorFlow Serving looks for version N.
    warmup_images: image files with which TensorFlow Serving warms it up.

  Returns:
    An `ExportReport`.

  Raises:
    UserError: an argument, the checkpoint or the selection does not fit.
  """
  names = None if label_map_path is None else label_map.read(label_map_path)
  stages = Stages()
  specs = _signature_specs(
      input_type, input_shape, output_selection, compact_options, signatures or {},
      add_signature, is_lean=label_map_path is not None or bool(renaming),
      use_side_inputs=use_side_inputs)
  renaming = renaming or Renaming()
  signature_names = renaming.applied_to_signatures(specs)
  side_inputs = _combine_side_inputs(
      side_input_shapes, side_input_types, side_input_names) if use_side_inputs else []
  output_directory = os.fspath(output_directory)
  warmup_images = [os.fspath(image) for image in warmup_images]
  checkpoint_path = checkpoint.find(trained_checkpoint_dir, trained_checkpoint_prefix)
  export_folder.check_checkpoint_stays(checkpoint_path, output_directory)
  assets = [] if label_map_path is None else [os.path.basename(label_map_path)]
  with export_folder.new_export(
      output_directory, export_folder.of_export(assets), _SAVED_MODEL, warmup_images,
      serving_version, tuple(signature_names.values())) as directory, \
      plain_paths.of_checkpoint(checkpoint_path) as checkpoint_path:
    module, functions, trackable = _restored_and_traced(
        pipeline_config, checkpoint_path, use_moving_averages, specs, side_inputs, names,
        renaming, stages)
    functions = {signature_names[name]: function for name, function in functions.items()}
    _write(directory, pipeline_config, module, functions, trackable, label_map_path,
           specs[DEFAULT].selection is not None, stages)
    if verify:
      _verify(directory, specs.values(), functions, stages)
    return export_report.of(
        os.path.join(directory, _SAVED_MODEL), next(iter(functions)), module.traced)


def _write(directory, pipeline_config, module, functions, trackable, label_map_path,
           is_lean, stages):
  """Fills the folder of an export."""
  with stages('checkpoint'):
    tf.train.CheckpointManager(
        trackable, os.path.join(directory, _CHECKPOINT),
        max_to_keep=1).save(checkpoint_number=0)
  saved_model_dir = os.path.join(directory, _SAVED_MODEL)
  with stages('save'):
    if is_lean:
      function_saving.save_lean(functions, saved_model_dir)
    else:
      tf.saved_model.save(module, saved_model_dir,
                          signatures=next(iter(functions.values())))
    if label_map_path is not None:
      _copy_asset(label_map_path, saved_model_dir)
    config_util.save_pipeline_config(pipeline_config, directory)
  if is_lean:
    with stages('check'):
      check.check_signatures(saved_model_dir, {
          name: check.signature_of(function) for name, function in functions.items()})
      check.check_variables(saved_model_dir)


def _verify(directory, specs, functions, stages):
  """Compares the outputs of each signature with those of its function."""
  with stages('verify'):
    check.compare_outputs(os.path.join(directory, _SAVED_MODEL), {
        name: (function, sample_inputs(spec.input_type, function))
        for spec, (name, function) in zip(specs, functions.items())})


def _signature_specs(input_type, input_shape, output_selection, compact_options,
                     signatures, add_signature, is_lean, use_side_inputs):
  """What each signature takes and returns, by name, `serving_default` first."""
  shape = None if input_shape is None else input_shapes.parse(input_shape, input_type)
  specs = signature_specs.all_of(
      SignatureSpec(input_type, shape, output_selection, compact_options), signatures,
      add_signature)
  for spec in specs.values():
    spec.check(tuple(DETECTION_MODULE_MAP), use_side_inputs)
  is_lean |= len(specs) > 1 or specs[DEFAULT].compact is not None
  return {name: spec.lean() if is_lean else spec for name, spec in specs.items()}


def _restored_and_traced(pipeline_config, checkpoint_path, use_moving_averages, specs,
                         side_inputs, names_by_id, renaming, stages):
  """The first module, concrete functions by signature, a Checkpoint of the model.

  Every variable of the model is proven to come from `checkpoint_path`.
  """
  if pipeline_config.eval_config.use_moving_averages and not use_moving_averages:
    logging.warning('The config says that evaluation uses the moving averages of the'
                    ' weights; this export holds the weights of the last step.'
                    ' use_moving_averages exports the averages.')
  side_input_names = [name for _, _, name in side_inputs]

  def attempt(trace):
    with stages('build'):
      model = build_model(pipeline_config)
    trackable = tf.train.Checkpoint(model=model)
    with checkpoint.must_fit(checkpoint_path):
      fit = checkpoint_fit.CheckpointFit(checkpoint_path, trackable)
    fit.check_holds_a_model()
    with stages('restore'), checkpoint.must_fit(checkpoint_path), \
        checkpoint_fit.must_fit(fit):
      status = trackable.restore(checkpoint_path).expect_partial()
    modules = [make_module(spec.input_type, model, side_inputs, spec.selection,
                           spec.compact, spec.shape, names_by_id)
               for spec in specs.values()]
    if renaming.names:
      for module in modules:
        module.rename(renaming)
    with stages('trace'), checkpoint.must_fit(checkpoint_path), \
        inputs.side_inputs_must_fit(model, side_input_names), \
        checkpoint_fit.must_fit(fit):
      if len(modules) > 1 and trace is tracing.trace_once:
        shared_detection.share(modules, trace)
      functions = {name: trace(module.__call__)
                   for name, module in zip(specs, modules)}
      renaming.check_known(name for module in modules for name in module.traced.names)
      status.assert_existing_objects_matched()
      if use_moving_averages:
        fit.assign_averages()
      for function in functions.values():
        checkpoint.assert_declared_shapes(function.graph.variables)
    return modules[0], functions, trackable

  refusable = [input_shapes.refusable(spec.shape, spec.input_type)
               for spec in specs.values()]
  with model_errors.told('run'), \
      tracing.shape_must_fit(next(filter(None, refusable), None), side_inputs):
    if specs[DEFAULT].selection is None:
      return attempt(tracing.trace)
    return tracing.without_autograph_if_possible(attempt)


def build_model(pipeline_config):
  """The detection model of a pipeline config, in inference mode.

  Raises:
    UserError: the config describes no model that can be built.
  """
  with keypoint_label_map.readable(pipeline_config.model) as model, \
      model_errors.told('built'):
    return INPUT_BUILDER_UTIL_MAP['model_build'](model, is_training=False)


def make_module(input_type, model, side_inputs, output_selection,
                compact_options=None, shape=None, class_names_by_id=None):
  """The `DETECTION_MODULE_MAP` module for an input type."""
  inputs.check_side_input_names(model, [name for _, _, name in side_inputs])
  # What is None is not passed: modules that users have added may take only what
  # upstream passes.
  options = {'output_selection': output_selection,
             'compact_options': compact_options}
  module = DETECTION_MODULE_MAP[input_type](
      model, bool(side_inputs), side_inputs,
      **{name: value for name, value in options.items() if value is not None})
  if shape is not None:
    module.fix_input_shape(shape)
  if class_names_by_id is not None:
    module.name_classes(class_names_by_id)
  return module


def _copy_asset(path, saved_model_dir):
  assets = os.path.join(saved_model_dir, 'assets')
  os.makedirs(assets, exist_ok=True)
  with open(os.path.join(assets, os.path.basename(path)), 'wb') as f:
    f.write(read_bytes(path, 'label map'))


def list_outputs(input_type,
                 pipeline_config,
                 use_side_inputs=False,
                 side_input_shapes='',
                 side_input_types='',
                 side_input_names='',
                 *,
                 input_shape=None,
                 label_map_path=None) -> list[OutputSize]:
  """What the model returns for one call; needs no checkpoint, writes nothing.

  Args:
    input_type: see `export_inference_graph`, as all of these.
    pipeline_config: the same.
    use_side_inputs: the same.
    side_input_shapes: the same.
    side_input_types: the same.
    side_input_names: the same.
    input_shape: the same.
    label_map_path: the same.

  Returns:
    The outputs, largest first.

  Raises:
    UserError: an argument does not fit.
  """
  stages = Stages()
  inputs.check_type(input_type, DETECTION_MODULE_MAP, use_side_inputs)
  side_inputs = _combine_side_inputs(
      side_input_shapes, side_input_types, side_input_names) if use_side_inputs else []

  shape = None if input_shape is None else input_shapes.parse(input_shape, input_type)
  names = None if label_map_path is None else label_map.read(label_map_path)

  def attempt(trace):
    with stages('build'):
      model = build_model(pipeline_config)
      module = make_module(input_type, model, side_inputs, None, shape=shape,
                           class_names_by_id=names)
    with stages('trace'), inputs.side_inputs_must_fit(
        model, [name for _, _, name in side_inputs]):
      return trace(module.__call__)

  with model_errors.told('run'), \
      tracing.shape_must_fit(
          input_shapes.refusable(shape, input_type), side_inputs):
    concrete_function = tracing.without_autograph_if_possible(attempt)
  return output_sizes(
      concrete_function,
      lambda: sample_inputs(input_type, concrete_function))
