"""Runs upstream's own test file of the exporter against our module."""

from __future__ import annotations

import functools
import sys
import unittest

from exporter import exporter_lib_v2 as ours  # First: it prepares the environment.
import object_detection
from exporter.output_keys import OutputSelection


def run_upstreams_tests(lean: bool) -> dict:
  """How many of `object_detection.exporter_lib_tf2_test` ran, and what failed.

  Args:
    lean: whether every export of them is made as one with a selection, which
      keeps all outputs.
  """
  if lean:
    ours.export_inference_graph = functools.partial(
        ours.export_inference_graph, output_selection=OutputSelection())
  sys.modules['object_detection.exporter_lib_v2'] = ours
  object_detection.exporter_lib_v2 = ours
  from object_detection import exporter_lib_tf2_test
  assert exporter_lib_tf2_test.exporter_lib_v2 is ours
  result = unittest.TestResult()
  unittest.defaultTestLoader.loadTestsFromModule(exporter_lib_tf2_test).run(result)
  return {'run': result.testsRun, 'skipped': len(result.skipped),
          'failed': [f'{test}: {text}'
                     for test, text in (*result.failures, *result.errors)]}
