"""What the tests of buckets run in processes that have imported TensorFlow."""

from __future__ import annotations

import importlib
import os
import sys


def command(environment: dict[str, str], module: str, *flags: str):
  """Runs a command line of ours with what clients of S3 are told by the environment."""
  os.environ.update(environment)
  sys.argv = [module, *flags]
  importlib.import_module(f'exporter.{module}').run()
