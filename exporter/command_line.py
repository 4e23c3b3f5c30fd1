"""Starts a command line the same way from a module, a path or a console script."""

import atexit
import gc
import sys

from absl import app
from absl import flags


def run(main) -> None:
  """Runs `main` with absl; `--help` shows the flags and text of its module."""
  module = sys.modules[main.__module__]
  if main.__module__ != '__main__':
    # absl describes the running script, which only imports the module.
    for flag in flags.FLAGS.get_key_flags_for_module(module):
      flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    sys.modules['__main__'].__doc__ = module.__doc__
  # Taking TensorFlow's objects apart, only to exit, takes seconds.
  atexit.register(gc.freeze)
  app.run(main)
