"""Stand-ins for revisions of the files that the edits are about.

They have the structure of upstream's files in words of our own: the names of
classes and functions, their signatures, what returns what and who calls whom.
Everything else is left out. They run: with TensorFlow, and with the numbers of
`fake_site` in its place.
"""

from __future__ import annotations

import pathlib

# What every stand-in model gives, and what the exporter does to the classes.
OUTPUTS = {
    'detection_boxes': 1.0,
    'detection_classes': 3.0,
    'detection_scores': 4.0,
    'num_detections': 5.0,
    'raw_detection_boxes': 6.0,
}
SEGMENTATION_OUTPUTS = {**OUTPUTS, 'detection_masks': 7.0}

MODEL_BUILDER = '''
import tensorflow.compat.v2 as tf


class Model:

  def preprocess(self, image):
    return image, image

  def predict(self, image, shapes, **side_inputs):
    return {'prediction': image}

  def postprocess(self, predictions, shapes):
    return {
        'detection_boxes': tf.constant(1), 'detection_classes': tf.constant(2),
        'detection_scores': tf.constant(4), 'num_detections': tf.constant(5),
        'raw_detection_boxes': tf.constant(6)}

  def predict_masks_from_boxes(self, predictions, shapes, boxes):
    return dict(self.postprocess(predictions, shapes),
                detection_masks=tf.constant(7))


def build(config, is_training):
  assert not is_training
  return Model()
'''

_LIBRARY = '''# A stand-in.
"""Exports."""
import os
import tensorflow.compat.v2 as tf
from object_detection.builders import model_builder

CLASSES = 'detection_classes'


class DetectionInferenceModule(tf.Module):
  """Base."""
{inference}

class DetectionFromImageModule(DetectionInferenceModule):
{from_image}

def export_inference_graph({parameters}):
  """Exports."""
  target = os.path.join(output_directory, 'saved_model')
  net = model_builder.build(pipeline_config, is_training=False)
{choice}
  concrete = chosen.__call__.get_concrete_function()
  tf.saved_model.save(chosen,
                      target,
                      signatures=concrete)
{below}'''

_INIT = '''
  def __init__(self, detection_model):
    self._model = detection_model
'''

_INIT_SIDE_INPUTS = '''
  def __init__(self, detection_model, use_side_inputs=False,
               zipped_side_inputs=None):
    self._model = detection_model
'''

# The image is cast and preprocessed in here; nothing is cast afterwards.
_INFERENCE_FIRST = '''
  def _run_inference_on_images(self, image):
    """Runs."""
    ready, shapes = self._model.preprocess(image)
    raw = self._model.predict(ready, shapes)
    found = self._model.postprocess(raw, shapes)
    found[CLASSES] += 1
    return found
'''

_CAST = '''
    found[CLASSES] = tf.cast(found[CLASSES], tf.float32) + 1

    for name in found:
      found[name] = tf.cast(found[name], tf.float32)

    return found
'''

_INFERENCE_SECOND = '''
  def _run_inference_on_images(self, image):
    """Runs."""
    ready, shapes = self._model.preprocess(image)
    raw = self._model.predict(ready, shapes)
    found = self._model.postprocess(raw, shapes)
''' + _CAST

_INFERENCE_THIRD = '''
  def _run_inference_on_images(self, image, **kwargs):
    """Runs."""
    ready, shapes = self._model.preprocess(image)
    raw = self._model.predict(ready, shapes, **kwargs)
    found = self._model.postprocess(raw, shapes)
''' + _CAST

# Preprocessing is a method of its own.
_INFERENCE_TODAY = '''
  def _preprocess_input(self, batch_input, decode_fn):
    def one(item):
      return self._model.preprocess(decode_fn(item))

    return one(batch_input)

  def _run_inference_on_images(self, images, true_shapes, **kwargs):
    """Runs."""
    raw = self._model.predict(images, true_shapes, **kwargs)
    found = self._model.postprocess(raw, true_shapes)
''' + _CAST

_FROM_IMAGE = '''
  @tf.function(
      input_signature=[
          tf.TensorSpec([1, None, None, 3], tf.uint8)])
  def __call__(self, input_tensor):
    return self._run_inference_on_images(input_tensor)
'''

# With side inputs `__call__` is made in the constructor.
_FROM_IMAGE_SIDE_INPUTS = '''
  def __init__(self, detection_model, use_side_inputs=False,
               zipped_side_inputs=None):

    def run(image, *more):
      sides = {{'side_%d' % i: side for i, side in enumerate(more)}}
      {run}

    spec = tf.TensorSpec([1, None, None, 3], tf.uint8)
    self.__call__ = tf.function(run, input_signature=[spec])
    super(DetectionFromImageModule, self).__init__(
        detection_model, use_side_inputs, zipped_side_inputs)
'''

_FROM_IMAGE_THIRD = _FROM_IMAGE_SIDE_INPUTS.format(
    run='return self._run_inference_on_images(image, **sides)')
_FROM_IMAGE_TODAY = _FROM_IMAGE_SIDE_INPUTS.format(
    run='''images, shapes = self._preprocess_input(image, lambda raw: raw)
      return self._run_inference_on_images(images, shapes, **sides)''')

_PARAMETERS_FIRST = '''input_type,
                           pipeline_config,
                           trained_checkpoint_dir,
                           output_directory'''
_PARAMETERS_SECOND = _PARAMETERS_FIRST + ''',
                           use_side_inputs,
                           side_input_shapes,
                           side_input_types,
                           side_input_names'''
_PARAMETERS_TODAY = _PARAMETERS_FIRST + ''',
                           use_side_inputs=False,
                           side_input_shapes='',
                           side_input_types='',
                           side_input_names=\'\''''

_LOCAL_CHOICE = '''
  kinds = {'image_tensor': DetectionFromImageModule}
  chosen = kinds[input_type](net)
'''
_GLOBAL_CHOICE = '''
  if input_type not in DETECTION_MODULE_MAP:
    raise ValueError(input_type)
  chosen = DETECTION_MODULE_MAP[input_type](net)
'''
_GLOBAL_CHOICE_SIDE_INPUTS = '''
  if input_type not in DETECTION_MODULE_MAP:
    raise ValueError(input_type)
  chosen = DETECTION_MODULE_MAP[input_type](net,
                                            use_side_inputs,
                                            [])
'''

_MAP = '''

DETECTION_MODULE_MAP = {
    'image_tensor': DetectionFromImageModule
}
'''

# Masks for given boxes come from a class below the function that exports.
_MAP_AND_BOXES = '''

class DetectionFromImageAndBoxModule(DetectionInferenceModule):
  """Masks for given boxes."""

  def _run_segmentation_on_images(self, image, boxes, **kwargs):
    """Runs."""
    ready, shapes = self._model.preprocess(image)
    raw = self._model.predict(ready, shapes, **kwargs)
    found = self._model.predict_masks_from_boxes(raw, shapes, boxes)
''' + _CAST + '''
  @tf.function(input_signature=[
      tf.TensorSpec([1, None, None, 3], tf.uint8),
      tf.TensorSpec([1, None, 4], tf.float32)
  ])
  def __call__(self, input_tensor, boxes):
    return self._run_segmentation_on_images(input_tensor, boxes)


DETECTION_MODULE_MAP = {
    'image_tensor': DetectionFromImageModule,
    'image_and_boxes_tensor': DetectionFromImageAndBoxModule,
}
'''

# 2020, first: one image, no side inputs, the table of classes is local.
_LIBRARY_FIRST = _LIBRARY.format(
    inference=_INIT + _INFERENCE_FIRST, from_image=_FROM_IMAGE,
    parameters=_PARAMETERS_FIRST, choice=_LOCAL_CHOICE, below='')
# 2020, second: side inputs are parameters that nothing reads yet.
_LIBRARY_SECOND = _LIBRARY.format(
    inference=_INIT + _INFERENCE_SECOND, from_image=_FROM_IMAGE,
    parameters=_PARAMETERS_SECOND, choice=_GLOBAL_CHOICE, below=_MAP)
# 2020, third: side inputs.
_LIBRARY_THIRD = _LIBRARY.format(
    inference=_INIT_SIDE_INPUTS + _INFERENCE_THIRD, from_image=_FROM_IMAGE_THIRD,
    parameters=_PARAMETERS_TODAY, choice=_GLOBAL_CHOICE_SIDE_INPUTS, below=_MAP)
# Today: batches, and masks for given boxes.
_LIBRARY_TODAY = _LIBRARY.format(
    inference=_INIT_SIDE_INPUTS + _INFERENCE_TODAY, from_image=_FROM_IMAGE_TODAY,
    parameters=_PARAMETERS_TODAY, choice=_GLOBAL_CHOICE_SIDE_INPUTS,
    below=_MAP_AND_BOXES)

# A fork of somebody's: other indentation, names and order, keywords, no signature.
_LIBRARY_FORK = '''import os

import tensorflow as tensorflow_two
from object_detection.builders import model_builder
tf = tensorflow_two.compat.v2
class OurModule(tf.Module):
    extra = {'a': 1}
    def _run_inference_on_images(this, image, *, flip=False, **kwargs):
        def helper(value):
            return value
        image, shapes = this._model.preprocess(helper(image))
        if flip:
            return dict()  # never
        found = this._model.postprocess(this._model.predict(image, shapes), shapes)
        found['detection_classes'] = tf.cast(found['detection_classes'], tf.float32) + 1
        return ({
            key: tf.cast(value, tf.float32)  # all of them
            for key, value in found.items()
        })
    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)])
    def __call__(self, input_tensor): return self._run_inference_on_images(input_tensor)
def export_inference_graph(
    *unused,
    output_directory,  # where
    pipeline_config=None,
    **kwargs,
):
    saved = OurModule()
    saved._model = model_builder.build(pipeline_config, is_training=False)
    target = os.path.join(output_directory, 'saved_model')
    tf.saved_model.save(obj=saved, export_dir=target)
'''

_SCRIPT_HEAD = '''r"""Exports."""
from absl import app
from absl import flags

import tensorflow.compat.v2 as tf
from object_detection import exporter_lib_v2

tf.enable_v2_behavior()


FLAGS = flags.FLAGS

flags.DEFINE_string('input_type', 'image_tensor', 'One of '
                    '[`image_tensor`]')
flags.DEFINE_string('pipeline_config_path', None,
                    'Path.')
flags.DEFINE_string('trained_checkpoint_dir', None,
                    'Path.')
flags.DEFINE_string('output_directory', None, 'Path.')
'''

_SCRIPT_SIDE_FLAGS = '''flags.DEFINE_boolean('use_side_inputs', False,
                     'Whether.')
flags.DEFINE_string('side_input_shapes', '',
                    'Shapes.')
flags.DEFINE_string('side_input_types', '',
                    'Types.')
flags.DEFINE_string('side_input_names', '',
                    'Names.')
'''

_SCRIPT_TAIL = '''
flags.mark_flag_as_required('output_directory')


def main(_):
  config = FLAGS.pipeline_config_path
  exporter_lib_v2.export_inference_graph(
      FLAGS.input_type, config, FLAGS.trained_checkpoint_dir,
      FLAGS.output_directory{arguments})


if __name__ == '__main__':
  app.run(main)
'''

_SCRIPT_FIRST = _SCRIPT_HEAD + _SCRIPT_TAIL.format(arguments='')
_SCRIPT_TODAY = _SCRIPT_HEAD + _SCRIPT_SIDE_FLAGS + _SCRIPT_TAIL.format(
    arguments=''', FLAGS.use_side_inputs, FLAGS.side_input_shapes,
      FLAGS.side_input_types, FLAGS.side_input_names''')

_SCRIPT_FORK = '''from absl import app, flags as absl_flags
from object_detection.exporter_lib_v2 import export_inference_graph as unused
from object_detection.exporter_lib_v2 import export_inference_graph
absl_flags.DEFINE_string('pipeline_config_path', None, 'Path.')
absl_flags.DEFINE_string('output_directory', None, 'Path.')
absl_flags.DEFINE_string('input_type', None, 'Type.')
ALL = absl_flags.FLAGS
def export_one(directory):
    return export_inference_graph(
        pipeline_config=ALL.pipeline_config_path,
        output_directory=directory,  # where
    )
def main(_):
    export_one(ALL.output_directory)
if __name__ == '__main__': app.run(main)
'''

# Each a library and a script.
EXPORTERS = {
    'first': (_LIBRARY_FIRST, _SCRIPT_FIRST),
    'second': (_LIBRARY_SECOND, _SCRIPT_TODAY),
    'third': (_LIBRARY_THIRD, _SCRIPT_TODAY),
    'today': (_LIBRARY_TODAY, _SCRIPT_TODAY),
    'fork': (_LIBRARY_FORK, _SCRIPT_FORK),
}

_META_ARCH = '''"""A stand-in."""


class FasterRCNNMetaArch(object):
  """Makes what Mask R-CNN makes."""

  def __init__(self, number_of_stages=3, is_training=False):
    self._number_of_stages = number_of_stages
    self._is_training = is_training

  def predict(self, images, shapes):
    prediction_dict = self._predict_first_stage(images)
    prediction_dict.update({{
        'refined_box_encodings': 4,
        'class_predictions_with_background': 5,
        'proposal_boxes': 6,
        'box_classifier_features': 7,
    }})
    prediction_dict['num_proposals'] = 8
    if self._number_of_stages == 3:
      prediction_dict = self._predict_third_stage(prediction_dict)
    return prediction_dict

  def _predict_first_stage(self, images):
    return {{
        'image_shape': 1, 'anchors': 2, 'feature_maps': ['not a tensor'],
        'rpn_box_encodings': 3,
        'rpn_objectness_predictions_with_background': 4}}

  def _predict_third_stage(self, prediction_dict):
    if not self._is_training:
      for name in ('boxes', 'scores', 'classes', 'masks', 'anchor_indices'):
        prediction_dict['detection_' + name] = name
      prediction_dict['num_detections'] = 9
    prediction_dict['mask_predictions'] = 10
    return prediction_dict

  def postprocess(self, prediction_dict, true_image_shapes):
    """Returns detections."""
    if self._number_of_stages == 1:
      return {{'detection_boxes': 0}}

    if self._number_of_stages == 2 or (
        self._number_of_stages == 3 and self._is_training):
      return dict(prediction_dict, stages=2)

{third_stage}
  def loss(self, prediction_dict, true_image_shapes, scope=None):
    """Sums what it reads."""
    masks = prediction_dict.get('mask_predictions')
    return {{
        'Loss/rpn': (prediction_dict['image_shape'] + prediction_dict['anchors']
                     + prediction_dict['rpn_box_encodings']
                     + prediction_dict[
                         'rpn_objectness_predictions_with_background']),
        'Loss/boxes': (prediction_dict['refined_box_encodings']
                       + prediction_dict['class_predictions_with_background']
                       + prediction_dict['proposal_boxes']
                       + prediction_dict['num_proposals']),
        'Loss/masks': masks,
    }}
'''

META_ARCHES = {
    # 2018 to 2019: the dict as it is.
    'whole dict': _META_ARCH.format(third_stage='''    if self._number_of_stages == 3:
      return prediction_dict
'''),
    # 2020 to today: without what is no tensor.
    'tensors only': _META_ARCH.format(third_stage='''    if self._number_of_stages == 3:
      # No lists.
      for name in list(prediction_dict):
        if isinstance(prediction_dict[name], list):
          del prediction_dict[name]
      return prediction_dict
'''),
    # Early 2018: a new dict, under a scope.
    'new dict': _META_ARCH.format(third_stage='''    with open('/dev/null'):
      if self._number_of_stages == 3:
        detections_dict = {}
        for key in prediction_dict:
          if not isinstance(prediction_dict[key], list):
            detections_dict[key] = prediction_dict[key]
        return detections_dict
'''),
    # A fork of somebody's.
    'fork': _META_ARCH.format(third_stage='''
    if self._number_of_stages == 9: return {}
    if not self._is_training and 3 and self._number_of_stages == 3:
      print('third stage', end=''); return dict(
          prediction_dict,  # all
          feature_maps=None)
''').replace('''    if self._number_of_stages == 2 or (
        self._number_of_stages == 3 and self._is_training):
''', '''    if self._number_of_stages == 3 and self._is_training:
      return dict(prediction_dict, stages=2)
    elif self._number_of_stages == 2:
'''),
}


def write_fork(root: pathlib.Path, library: str | bytes, script: str | bytes,
               meta_arch: str | bytes = META_ARCHES['tensors only']) -> pathlib.Path:
  """A fork of `models/research` of these files, with what they import.

  An `exporter.py` that breaks stands beside the script, as upstream's does when
  it is imported without its package.
  """
  files = {
      '__init__.py': '',
      'builders/__init__.py': '',
      'builders/model_builder.py': MODEL_BUILDER,
      'exporter.py': 'raise ImportError("upstream\'s exporter.py, for TensorFlow 1")',
      'exporter_lib_v2.py': library,
      'exporter_main_v2.py': script,
      'meta_architectures/__init__.py': '',
      'meta_architectures/faster_rcnn_meta_arch.py': meta_arch,
  }
  for name, contents in files.items():
    path = root / 'object_detection' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
  return root
