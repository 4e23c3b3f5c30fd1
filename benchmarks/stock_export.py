"""The installed exporter, run as its own script runs it.

  python -m benchmarks.stock_export PIPELINE_CONFIG CHECKPOINT_DIR OUTPUT_DIR [INPUT_TYPE]
"""

import sys

from exporter.detection import environment


def main(config_path: str, checkpoint_dir: str, output_directory: str,
         input_type: str = 'image_tensor') -> None:
  environment.prepare()
  from exporter.detection import pipeline_config
  from object_detection import exporter_lib_v2
  exporter_lib_v2.export_inference_graph(
      input_type, pipeline_config.read(config_path), checkpoint_dir, output_directory)


if __name__ == '__main__':
  main(*sys.argv[1:])
