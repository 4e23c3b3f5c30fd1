r"""Runs an export in an Apache Beam pipeline, with Beam's `RunInference`.

Beam's own handlers for TensorFlow load models through Keras, which these are none of.

  python -m examples.beam_detection --saved_model_dir=exported \
      --images='photos/*.jpg' --output=detections

writes a line of JSON for each image; flags of Beam's runners may follow. Needs the
packages of the extras `batch` and `beam`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.ml.inference import base
from apache_beam.options.pipeline_options import PipelineOptions

from exporter.batch.detector import Detector

_OUTPUTS = ('detection_boxes', 'detection_classes', 'detection_scores',
            'num_detections')


class DetectorHandler(base.ModelHandler[bytes, dict, Detector]):
  """Gives, for each encoded image, a dict of height, width, error and `outputs`."""

  def __init__(self, saved_model_dir: str, outputs: Sequence[str] = _OUTPUTS,
               images_at_a_time: int = 8):
    super().__init__()
    self._saved_model_dir = saved_model_dir
    self._outputs = outputs
    self._images_at_a_time = images_at_a_time

  def load_model(self) -> Detector:
    return Detector(self._saved_model_dir, self._outputs)

  def run_inference(self, batch: Sequence[bytes], model: Detector,
                    inference_args=None) -> Iterator[dict]:
    columns = model.detect(batch)
    for i in range(len(batch)):
      yield {name: column[i] for name, column in columns.items()}

  def batch_elements_kwargs(self) -> dict:
    return {'max_batch_size': self._images_at_a_time}


def as_json(found: tuple[str, dict]) -> str:
  """A line for an image and what was detected on it."""
  path, row = found
  return json.dumps({'path': path, **{
      name: value.tolist() if hasattr(value, 'tolist') else value
      for name, value in row.items()}})


def run(saved_model_dir: str, images: str, output: str, beam_flags: Sequence[str] = ()):
  """Detects on the images that a pattern of Beam's means; see the flags."""
  with beam.Pipeline(options=PipelineOptions(beam_flags)) as pipeline:
    _ = (pipeline
         | fileio.MatchFiles(images)
         | fileio.ReadMatches()
         | beam.Map(lambda file: (file.metadata.path, file.read()))
         | base.RunInference(base.KeyedModelHandler(DetectorHandler(saved_model_dir)))
         | beam.Map(as_json)
         | beam.io.WriteToText(output, file_name_suffix='.jsonl'))


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__)
  for name in ('saved_model_dir', 'images', 'output'):
    parser.add_argument(f'--{name}', required=True)
  flags, for_beam = parser.parse_known_args()
  run(flags.saved_model_dir, flags.images, flags.output, for_beam)
