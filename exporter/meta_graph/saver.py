"""The part of a SavedModel's graph that restores its variables from files.

TensorFlow writes it in several shapes (nodes of the main graph in TF1; functions
in TF2, with four nodes a variable). They all say the same: which variable gets
which checkpoint entry. `saver_reading` reads that off, `write_saver` writes it for
the variables that are left, in the one shape that every loader has always taken.
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class SavedVariable:
  """A variable of the main graph and the checkpoint entry that it comes from.

  Attributes:
    node: name of its VarHandleOp or VariableV2 node.
    key: name of the entry in `variables/variables.index`.
    slice: which part of the entry, in SaveV2's notation; '' for all of it.
    dtype: a DataType number.
    is_resource: False for a TF1 reference variable.
    shape: a serialized TensorProto, the shape that the entry gets before it is
      assigned, as by TF1's `Saver(reshape=True)`; empty for its own.
  """
  node: str
  key: str
  slice: str
  dtype: int
  is_resource: bool
  shape: bytes = b''


def write_saver(meta_graph: Any, variables: list[SavedVariable]) -> None:
  """Adds nodes that save and restore `variables` and names them in `saver_def`.

  The nodes of the former saver, if there was one, must be gone, but for its
  filename tensor.
  """
  saver = meta_graph.saver_def
  if not variables:
    meta_graph.ClearField('saver_def')
    return
  graph_def = meta_graph.graph_def
  scope = _free_scope(graph_def)

  def add(name: str, op: str, inputs: list[str]) -> Any:
    return graph_def.node.add(name=f'{scope}/{name}', op=op, input=inputs)

  if not saver.filename_tensor_name:
    path = add('filename', 'Placeholder', [])
    path.attr['dtype'].type = _DT_STRING
    path.attr['shape'].shape.SetInParent()  # A scalar.
    saver.filename_tensor_name = f'{path.name}:0'
  filename = saver.filename_tensor_name.removesuffix(':0')
  names = add('tensor_names', 'Const', [])
  _set_strings(names, [v.key for v in variables])
  slices = add('shape_and_slices', 'Const', [])
  _set_strings(slices, [v.slice for v in variables])
  entries = [filename, names.name, slices.name]

  save = add('SaveV2', 'SaveV2', entries)
  for variable in variables:
    if variable.is_resource:
      save.input.append(_read_node(graph_def, variable))
    else:
      save.input.append(variable.node)
  save.attr['dtypes'].list.type.extend(v.dtype for v in variables)
  saved = add('saved', 'Identity', [filename, f'^{save.name}'])
  saved.attr['T'].type = _DT_STRING

  restore = add('RestoreV2', 'RestoreV2', entries)
  restore.attr['dtypes'].list.type.extend(v.dtype for v in variables)
  restored = add('restored', 'NoOp', [])
  for i, variable in enumerate(variables):
    value = f'{restore.name}:{i}' if i else restore.name
    if variable.shape:
      value = _reshape_node(graph_def, f'{scope}/Reshape_{i}', value, variable)
    op, dtype = (('AssignVariableOp', 'dtype') if variable.is_resource
                 else ('Assign', 'T'))
    assign = add(f'Assign_{i}', op, [variable.node, value])
    assign.attr[dtype].type = variable.dtype
    restored.input.append(f'^{assign.name}')

  saver.save_tensor_name = f'{saved.name}:0'
  saver.restore_op_name = restored.name
  saver.sharded = False
  saver.version = saver.V2


def _reshape_node(graph_def: Any, name: str, value: str, variable: SavedVariable) -> str:
  """Adds a node that gives the value from an entry the variable's shape."""
  shape = graph_def.node.add(name=f'{name}/shape', op='Const')
  shape.attr['value'].tensor.ParseFromString(variable.shape)
  shape.attr['dtype'].type = shape.attr['value'].tensor.dtype
  reshape = graph_def.node.add(name=name, op='Reshape', input=[value, shape.name])
  reshape.attr['T'].type = variable.dtype
  reshape.attr['Tshape'].type = shape.attr['dtype'].type
  return name


def _read_node(graph_def: Any, variable: SavedVariable) -> str:
  """Adds a node that reads a variable, under the name that TensorFlow gives it.

  TF1's freezing tools fetch the value by this name. A node of another kind that has
  the name is left alone.
  """
  wanted = f'{variable.node}/Read/ReadVariableOp'
  taken = {node.name for node in graph_def.node
           if node.name.startswith(wanted)}
  name = next(name for name in (wanted, *map(f'{wanted}_{{}}'.format, range(len(taken))))
              if name not in taken)
  read = graph_def.node.add(name=name, op='ReadVariableOp', input=[variable.node])
  read.attr['dtype'].type = variable.dtype
  return name


_DT_STRING = 7  # of tensorflow.DataType


def _free_scope(graph_def: Any) -> str:
  taken = {node.name.partition('/')[0] for node in graph_def.node}
  return next(scope for scope in ('saver', *map('saver_{}'.format, range(len(taken))))
              if scope not in taken)


def _set_strings(const: Any, values: list[str]) -> None:
  const.attr['dtype'].type = _DT_STRING
  tensor = const.attr['value'].tensor
  tensor.dtype = _DT_STRING
  tensor.tensor_shape.dim.add(size=len(values))
  tensor.string_val.extend(value.encode() for value in values)
