"""What the compact export tests run in processes that have imported the exporter."""

from __future__ import annotations

import families
from exporter import exporter_lib_v2
from exporter.detection import pipeline_config
from exporter.detection.compact_options import CompactOptions
from exporter.output_keys import OutputSelection


def export(family_fields: dict, checkpoint: str, target: str, allow: str | None,
           options: dict):
  """Exports with compact options."""
  family = families.Family(**family_fields)
  dtypes = tuple((key, dtype) for key, dtype in options.pop('dtypes', {}).items())
  exporter_lib_v2.export_inference_graph(
      family.input_type, pipeline_config.read(family.pipeline), checkpoint, target,
      output_selection=OutputSelection.parse(allow) if allow else None,
      compact_options=CompactOptions(**options, dtypes=dtypes), verify=True)


def make_upstream_style_module(pipeline: str):
  """Makes a module that a user has added, with upstream's constructor."""
  class UsersModule(exporter_lib_v2.DetectionInferenceModule):

    def __init__(self, detection_model, use_side_inputs=False,
                 zipped_side_inputs=None):
      super().__init__(detection_model, use_side_inputs, zipped_side_inputs)

  exporter_lib_v2.DETECTION_MODULE_MAP['users'] = UsersModule
  model = exporter_lib_v2.build_model(pipeline_config.read(pipeline))
  return type(exporter_lib_v2.make_module('users', model, [], None, None)).__name__
