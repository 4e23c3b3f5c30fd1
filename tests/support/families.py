"""The models that the export tests use: one small pipeline of each family."""

from __future__ import annotations

import dataclasses
import pathlib

_PIPELINES = pathlib.Path(__file__).resolve().parents[2] / 'configs' / 'pipelines'

CONTEXT_SHAPES, CONTEXT_NAMES = (
    '1,10,32/1', 'context_features,valid_context_size')


@dataclasses.dataclass(frozen=True)
class Family:
  """A model, what it takes, and a selection of its outputs.

  Attributes:
    name: of the file in `configs/pipelines`.
    output_keys: an allow list.
    exclude_output_keys: a deny list.
    input_type: of `DETECTION_MODULE_MAP`.
    side_inputs: shapes, types and names, as our flags take them.
    stock_side_inputs: the same in the only spelling that stock understands.
    batch: how many images one call takes.
  """
  name: str
  output_keys: str
  exclude_output_keys: str | None = None
  input_type: str = 'image_tensor'
  side_inputs: tuple[str, str, str] | None = None
  stock_side_inputs: tuple[str, str, str] | None = None
  batch: int = 1

  @property
  def pipeline(self) -> str:
    return str(_PIPELINES / f'{self.name}.config')


FIVE_KEYS = ('detection_boxes,detection_scores,detection_classes,detection_masks,'
             'num_detections')

# Between them the selections keep and drop detection_classes, use exact keys and
# globs, and keep one key as well as nearly all.
MASK_RCNN = Family('mask_rcnn_resnet50_small', FIVE_KEYS)
FASTER_RCNN = Family('faster_rcnn_resnet50_small',
                     'detection_boxes,detection_scores')
SSD = Family('ssd_mobilenet_v2_small', 'detection_*,num_detections',
             'detection_multiclass_scores')
EFFICIENTDET = Family('efficientdet_d0_small',
                      'num_detections,detection_classes,detection_boxes')
CENTERNET = Family('centernet_keypoints_small', 'detection_keypoint*,*classes')
CONTEXT_RCNN = Family(
    'context_rcnn_resnet50_small', 'detection_boxes,detection_classes',
    side_inputs=(CONTEXT_SHAPES, 'float,integer', CONTEXT_NAMES),
    stock_side_inputs=(CONTEXT_SHAPES, 'tf.float32,tf.int32', CONTEXT_NAMES))
DEEPMAC = Family('deepmac_small', 'detection_masks',
                 input_type='image_and_boxes_tensor')

FAMILIES = (MASK_RCNN, FASTER_RCNN, SSD, EFFICIENTDET, CENTERNET, CONTEXT_RCNN,
            DEEPMAC)

# The input types that FAMILIES leave out.
SSD_FLOAT = dataclasses.replace(SSD, input_type='float_image_tensor', batch=2)
SSD_ENCODED = dataclasses.replace(
    SSD, input_type='encoded_image_string_tensor', batch=2,
    output_keys='detection_scores', exclude_output_keys=None)
SSD_TF_EXAMPLE = dataclasses.replace(
    SSD, input_type='tf_example', output_keys='raw_*', exclude_output_keys=None)

INPUT_TYPES = (SSD_FLOAT, SSD_ENCODED, SSD_TF_EXAMPLE)


def by_name(name: str) -> Family:
  """The one of FAMILIES with that name."""
  return next(family for family in FAMILIES if family.name == name)
