"""Runs a script of an `object_detection` as `python SCRIPT ARGUMENTS` would.

Before that it makes the stack fit for that package: its protos are of the old kind,
and tf_slim, which reads tf.Examples for it, wants names in `control_flow_ops` that
TensorFlow has moved.
"""

import os
import runpy
import sys


def _restore_moved_names():
  from tensorflow.python.ops import cond
  from tensorflow.python.ops import control_flow_case
  from tensorflow.python.ops import control_flow_ops
  for module, name in ((control_flow_case, 'case'), (cond, 'cond')):
    if not hasattr(control_flow_ops, name):
      setattr(control_flow_ops, name, getattr(module, name))


if __name__ == '__main__':
  from exporter.detection import environment
  environment.prepare()
  _restore_moved_names()
  sys.argv = sys.argv[1:]
  sys.path[0] = os.path.dirname(sys.argv[0])
  runpy.run_path(sys.argv[0], run_name='__main__')
