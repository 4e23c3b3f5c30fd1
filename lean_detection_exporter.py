"""What the console scripts start: a name that no other package has.

`exporter` is also the name of a file of the Object Detection API; see
`exporter/by_path.py`.
"""

import importlib
import os
import runpy

runpy.run_path(os.path.join(
    os.path.dirname(os.path.abspath(__file__)), 'exporter', 'by_path.py'))


def exporter_main_v2():
  return _run('exporter_main_v2')


def slim_saved_model():
  return _run('slim_saved_model')


def saved_model_payload():
  return _run('payload')


def dead_nodes():
  return _run('dead_nodes')


def detect_images():
  return _run('detect_images')


def draw_detections():
  return _run('draw_detections')


def triton_config():
  return _run('triton_config')


def _run(command: str):
  return importlib.import_module(f'exporter.{command}').run()
