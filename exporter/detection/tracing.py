"""Traces a model's `tf.function` into a concrete function.

`trace` does what upstream does. `trace_once` takes a third of the time: a
`tf.function` that creates variables is traced twice, and AutoGraph rewrites all
code that it meets, although the API's models were written for graphs.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence

from absl import logging
import tensorflow as tf
from tensorflow.python.ops import resource_variable_ops

from exporter.errors import UserError


def without_autograph_if_possible(attempt):
  """Calls `attempt` with the quick way to trace, or else with upstream's.

  Args:
    attempt: called with `trace_once`, or again with `trace`; builds the model anew,
      as a trace that fails may have made variables.

  Returns:
    What `attempt` returns.

  Raises:
    UserError: as `attempt` raises it; nothing is tried again.
  """
  try:
    return attempt(trace_once)
  except UserError:
    raise
  except Exception as e:  # Whatever a model does that only AutoGraph can trace.
    logging.info('The model cannot be traced without AutoGraph (%s: %s); tracing'
                 ' it again with AutoGraph.', type(e).__name__, e)
    return attempt(trace)


@contextlib.contextmanager
def shape_must_fit(shape: Sequence[int | None] | None) -> Iterator[None]:
  """Turns what a model says of an input that it cannot take into one sentence.

  Args:
    shape: of the first input of the model that the block traces; None where it is
      one that every model takes.

  Raises:
    UserError: the model cannot be traced for it.
  """
  try:
    yield
  except UserError:
    raise
  except (TypeError, ValueError, tf.errors.OpError) as e:
    if shape is None:
      raise
    logging.debug('The model cannot be traced.', exc_info=True)
    sizes = ['-1' if size is None else str(size) for size in shape]
    hint = ('' if shape[0] else '; some models have to know the number of images, as'
            f' with input_shape={",".join(["1", *sizes[1:]])}')
    # Of a failure in code that AutoGraph converted, the last line says what it was.
    reason = (str(e).strip() or type(e).__name__).splitlines()[-1].strip().rstrip('.')
    raise UserError(f'The model cannot take inputs of the shape {",".join(sizes)}:'
                    f' {reason}{hint}.') from e


def trace(function):
  """The concrete function of `function`, which has an input signature."""
  return function.get_concrete_function()


def trace_once(function):
  """The same graph from a single trace without AutoGraph.

  Raises:
    Exception: of any kind, where the model needs AutoGraph, as code with `if` or
      `for` on tensors does. Variables may have been created by then.
  """
  body = tf.autograph.experimental.do_not_convert(function.python_function)

  def call_func(*inputs):
    with tf.variable_creator_scope(_create_at_once):
      return body(*inputs)

  return tf.function(call_func, input_signature=_named_signature(function),
                     autograph=False).get_concrete_function()


def _named_signature(function) -> list[tf.TensorSpec]:
  """The input signature, named after the arguments as TensorFlow names it.

  Naming is lost on a function of `*inputs`, and clients send inputs by name.
  """
  parameters = inspect.signature(function.python_function).parameters.values()
  names = [p.name for p in parameters
           if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != 'self']
  names += [None] * len(function.input_signature)
  return [tf.TensorSpec(spec.shape, spec.dtype, spec.name or name)
          for spec, name in zip(function.input_signature, names)]


def _create_at_once(next_creator, **kwargs):
  """Makes a variable outside of the function that is being traced.

  `tf.function` then sees that none was created in it, and keeps the trace.
  """
  del next_creator  # It would hand the variable to the `tf.function`.
  for v1_only in ('expected_shape', 'use_resource'):
    kwargs.pop(v1_only, None)
  with tf.init_scope():
    return resource_variable_ops.ResourceVariable(**kwargs)
