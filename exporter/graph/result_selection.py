"""Adds functions that return some results of another one.

Two callers of a function may want different results of it; the narrower one calls
a function of one node, which hands on what is passed and what is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_CALL = 'StatefulPartitionedCall'


def select_results(library: Any, name: str, positions: Sequence[int],
                   arguments: Sequence[int] | None = None) -> str:
  """Adds a function that returns the results of `name` at `positions`.

  Args:
    library: FunctionDefLibrary of traced functions.
    name: of one of them.
    positions: of its results, in the order in which they are wanted.
    arguments: those of its arguments, in the order in which they will be passed; None
      leaves them as they are.

  Returns:
    The name of the new function, which takes the same arguments.
  """
  taken = {function.signature.name for function in library.function}
  inner = next(f for f in library.function if f.signature.name == name)
  outer = library.function.add()
  signature = outer.signature
  new_name = next(n for n in (f'{name}_{i}' for i in range(len(taken) + 1))
                  if n not in taken)
  signature.name = new_name
  signature.is_stateful = inner.signature.is_stateful
  for new, old in enumerate(arguments or range(len(inner.signature.input_arg))):
    signature.input_arg.append(inner.signature.input_arg[old])
    if old in inner.arg_attr:
      outer.arg_attr[new].CopyFrom(inner.arg_attr[old])
  call = outer.node_def.add(
      name=_CALL, op=_CALL, input=[a.name for a in inner.signature.input_arg])
  call.attr['f'].func.name = name
  call.attr['Tin'].list.type.extend(a.type for a in inner.signature.input_arg)
  call.attr['Tout'].list.type.extend(o.type for o in inner.signature.output_arg)
  for number, position in enumerate(positions):
    result = signature.output_arg.add(
        name=f'result_{number}', type=inner.signature.output_arg[position].type)
    outer.ret[result.name] = f'{_CALL}:output:{position}'
  if inner.control_ret:
    signature.control_output.append(_CALL)
    outer.control_ret[_CALL] = _CALL
  return new_name
