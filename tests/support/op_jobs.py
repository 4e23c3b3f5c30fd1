"""What the tests ask a process that has imported TensorFlow alone about its ops."""

from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session


def registered_ops() -> dict:
  """Names of all ops: stateful ones, others that take a reference, the other ones."""
  buffer = pywrap_tf_session.TF_GetAllOpList()
  ops = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(buffer)).op
  kinds = {'stateful': [], 'reference': [], 'other': []}
  for op in ops:
    takes_reference = any(argument.is_ref for argument in op.input_arg)
    kinds['stateful' if op.is_stateful else
          'reference' if takes_reference else 'other'].append(op.name)
  return kinds
