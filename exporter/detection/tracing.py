"""Traces a model's `tf.function` into a concrete function.

`trace` does what upstream does. `trace_once` takes a third of the time: a
`tf.function` that creates variables is traced twice, and AutoGraph rewrites all
code that it meets, although the API's models were written for graphs.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator, Sequence

from absl import logging
import tensorflow as tf
from tensorflow.python.ops import resource_variable_ops

from exporter.detection import model_errors
from exporter.errors import UserError


def without_autograph_if_possible(attempt):
  """Calls `attempt` with the quick way to trace, or else with upstream's.

  Args:
    attempt: called with `trace_once`, or again with `trace`; builds the model anew,
      as a trace that fails may have made variables.

  Returns:
    What `attempt` returns.

  Raises:
    Exception: as `attempt` raises it. It is not tried again after a ValueError of
      the model's own.
  """
  try:
    return attempt(trace_once)
  except Exception as e:  # Whatever a model does that only AutoGraph can trace.
    if not _autograph_may_help(e):
      raise
    logging.info('The model cannot be traced without AutoGraph (%s: %s); tracing'
                 ' it again with AutoGraph.', type(e).__name__, e)
    return attempt(trace)


# What a ValueError speaks of where upstream's way to trace may do what ours cannot:
# `if`, `for`, `len` and `int` of tensors, and variables whose values are tensors.
_OF_TRACING = ('AutoGraph', 'ymbolic', 'as a Python', 'tf.function', 'init_scope')


def _autograph_may_help(error: Exception) -> bool:
  """Whether the error is another one than what a model itself says of its config."""
  if isinstance(error, UserError):
    return False
  return not isinstance(error, ValueError) or any(
      word in str(error) for word in _OF_TRACING)


@contextlib.contextmanager
def shape_must_fit(shape: Sequence[int | None] | None,
                   side_inputs: Sequence[tuple] = ()) -> Iterator[None]:
  """Turns what a model says of an input that it cannot take into one sentence.

  Args:
    shape: of the first input of the model that the block traces; None where it is
      one that every model takes.
    side_inputs: shape, dtype and name of each, which mostly have the same batch.

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
    for other, _, name in side_inputs:
      if list(other[:1]) != [shape[0]]:
        hint += f'; the side input {name} has the shape {list(other)}, of another batch'
    raise UserError(f'The model cannot take inputs of the shape {",".join(sizes)}:'
                    f' {model_errors.reason(e).rstrip(".")}{hint}.') from e


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
  return [tf.TensorSpec(spec.shape, spec.dtype, name)
          for spec, name in zip(function.input_signature, input_names(function))]


def input_names(function) -> list[str | None]:
  """Names of the inputs of a `tf.function` with an input signature, as clients see."""
  parameters = inspect.signature(function.python_function).parameters.values()
  names = [p.name for p in parameters
           if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != 'self']
  names += [None] * len(function.input_signature)
  return [spec.name or name for spec, name in zip(function.input_signature, names)]


def _create_at_once(next_creator, **kwargs):
  """Makes a variable outside of the function that is being traced.

  `tf.function` then sees that none was created in it, and keeps the trace.
  """
  del next_creator  # It would hand the variable to the `tf.function`.
  for v1_only in ('expected_shape', 'use_resource'):
    kwargs.pop(v1_only, None)
  name = '/'.join(filter(None, (tf.get_current_name_scope(), kwargs.get('name'))))
  with tf.init_scope():
    try:
      return resource_variable_ops.ResourceVariable(**kwargs)
    except ValueError as e:
      shapes = _INITIAL_SHAPE.search(str(e))
      if shapes is None:
        raise
      raise VariableShapeError(name, *map(_sizes, shapes.groups())) from e


# What TensorFlow says of an initial value, here of one that a checkpoint holds.
_INITIAL_SHAPE = re.compile(
    r"initial value's shape \((.*?)\) is not compatible .*? \((.*?)\)\.?$", re.DOTALL)


class VariableShapeError(ValueError):
  """A variable's initial value has another shape than the variable.

  Attributes:
    name: of the variable.
    initial: sizes of the value.
    declared: sizes of the variable.
  """

  def __init__(self, name: str, initial: list[int], declared: list[int]):
    super().__init__(f'{name}: {initial} is not {declared}')
    self.name, self.initial, self.declared = name, initial, declared


def _sizes(shape: str) -> list[int]:
  return [int(size) for size in re.findall(r'\d+', shape)]
