"""Runs a script of an `object_detection` as `python SCRIPT ARGUMENTS` would.

Before that it makes the stack fit for that package, as our own commands do.
"""

import os
import runpy
import sys


if __name__ == '__main__':
  from exporter.detection import environment
  environment.prepare()
  sys.argv = sys.argv[1:]
  sys.path[0] = os.path.dirname(sys.argv[0])
  runpy.run_path(sys.argv[0], run_name='__main__')
