"""What the tests of pipeline configs run in processes with object_detection."""

from __future__ import annotations

from exporter.detection import keypoint_label_map
from exporter.detection import pipeline_config


def read(path: str) -> str:
  """The pipeline config in a file, as text."""
  return str(pipeline_config.read(path))


def keypoint_labels(path: str) -> list[str]:
  """The labels that upstream's reader finds in a config's keypoint label map."""
  from object_detection.utils import label_map_util
  with keypoint_label_map.readable(pipeline_config.read(path).model) as model:
    label_map = label_map_util.load_labelmap(model.center_net.keypoint_label_map_path)
  return [keypoint.label for item in label_map.item for keypoint in item.keypoints]
