"""What the tests of examples/train_shapes run beside object_detection."""

from __future__ import annotations

import os

from exporter.detection import environment

environment.prepare()

# pylint: disable=g-import-not-at-top,g-bad-import-order
import numpy as np
import tensorflow as tf
from object_detection.data_decoders import tf_example_decoder

from examples.train_shapes import records


def decode(seeds: list[int], folder: str) -> None:
  """Writes what upstream's decoder reads of the last of some generated images."""
  records.write_label_map(os.path.join(folder, 'label_map.pbtxt'))
  path = os.path.join(folder, 'shapes.tfrecord')
  records.write_records(path, seeds)
  decoder = tf_example_decoder.TfExampleDecoder(
      load_instance_masks=True, instance_mask_type=2,
      label_map_proto_file=os.path.join(folder, 'label_map.pbtxt'))
  for record in tf.data.TFRecordDataset(path):
    decoded = decoder.decode(record)
  np.savez(os.path.join(folder, 'decoded.npz'),
           **{key: decoded[key].numpy() for key in (
               'image', 'groundtruth_boxes', 'groundtruth_classes',
               'groundtruth_instance_masks')})


def evaluate_shipped(folder: str, images: int) -> float:
  """The box mAP@0.5 of a lean export of the checkpoint in the repository."""
  from benchmarks import accuracy, coco_accuracy
  from examples import train_shapes
  from examples.train_shapes import shapes
  from exporter import exporter_lib_v2
  from exporter.detection import output_profile, pipeline_config
  here = os.path.dirname(train_shapes.__file__)
  exporter_lib_v2.export_inference_graph(
      'image_tensor', pipeline_config.read(os.path.join(here, 'ssd.config'), ''),
      os.path.join(here, 'trained_ssd'), folder,
      output_selection=output_profile.load('boxes').selection)
  drawn = [shapes.draw(seed) for seed in range(2 * 10**6, 2 * 10**6 + images)]
  return coco_accuracy.evaluate(drawn, [
      {key: value[0] for key, value in outputs.items()}
      for outputs in accuracy.run(folder, drawn)]).box_50
