"""The part of a SavedModel's graph that restores variables and tables from files.

TensorFlow writes it in several shapes (nodes of the main graph in TF1; functions
in TF2, with four nodes a variable). They all say the same: what gets which
checkpoint entry. `saver_reading` reads that off, `write_saver` writes it for what is
left, in the one shape that every loader has always taken.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

# The first kind of tables, which give references instead of handles.
_REFERENCES = frozenset({
    'MutableDenseHashTable', 'MutableHashTable', 'MutableHashTableOfTensors'})


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


@dataclasses.dataclass(frozen=True)
class SavedTable:
  """A table of the main graph and the checkpoint entries that its content comes from.

  Attributes:
    node: name of its MutableHashTableV2 node, or one like it, or one that calls a
      function with it.
    keys: name of the entry with the keys.
    values: name of the entry with the values.
    dtypes: the DataType numbers of both.
  """
  node: str
  keys: str
  values: str
  dtypes: tuple[int, int]


def write_saver(meta_graph: Any, variables: Sequence[SavedVariable],
                tables: Sequence[SavedTable] = ()) -> None:
  """Adds nodes that save and restore these and names them in `saver_def`.

  The nodes of the former saver, if there was one, must be gone, but for its
  filename tensor.
  """
  saver = meta_graph.saver_def
  if not variables and not tables:
    meta_graph.ClearField('saver_def')
    return
  graph_def = meta_graph.graph_def
  scope = _free_scope(graph_def)
  if not saver.filename_tensor_name:
    path = graph_def.node.add(name=f'{scope}/filename', op='Placeholder')
    path.attr['dtype'].type = _DT_STRING
    path.attr['shape'].shape.SetInParent()  # A scalar.
    saver.filename_tensor_name = f'{path.name}:0'
  filename = saver.filename_tensor_name.removesuffix(':0')
  entries = [_Entry(v.key, v.slice, v.dtype, node)
             for v, node in zip(variables, _value_nodes(graph_def, variables))]
  for i, table in enumerate(tables):
    entries += _table_entries(graph_def, f'{scope}/Export_{i}', table)
  save, restore = _bundle_nodes(graph_def, scope, filename, entries)
  saved = graph_def.node.add(name=f'{scope}/saved', op='Identity',
                             input=[filename, f'^{save}'])
  saved.attr['T'].type = _DT_STRING
  values = [f'{restore}:{i}' if i else restore for i in range(len(entries))]
  restored = graph_def.node.add(name=f'{scope}/restored', op='NoOp')
  restored.input.extend(f'^{name}' for name in (
      *(_assign_node(graph_def, scope, i, v, values[i]) for i, v in enumerate(variables)),
      *(_import_node(graph_def, f'{scope}/Import_{i}', table,
                     values[len(variables) + 2 * i:][:2])
        for i, table in enumerate(tables))))
  saver.save_tensor_name = f'{saved.name}:0'
  saver.restore_op_name = restored.name
  saver.sharded = False
  saver.version = saver.V2


@dataclasses.dataclass(frozen=True)
class _Entry:
  """An entry of a checkpoint, as SaveV2 wants it, and the tensor that is saved there."""
  key: str
  slice: str
  dtype: int
  tensor: str


def _bundle_nodes(graph_def: Any, scope: str, filename: str,
                  entries: Sequence[_Entry]) -> tuple[str, str]:
  """Adds the SaveV2 and the RestoreV2 node of entries."""
  names = graph_def.node.add(name=f'{scope}/tensor_names', op='Const')
  _set_strings(names, [entry.key for entry in entries])
  slices = graph_def.node.add(name=f'{scope}/shape_and_slices', op='Const')
  _set_strings(slices, [entry.slice for entry in entries])
  inputs = [filename, names.name, slices.name]
  save = graph_def.node.add(name=f'{scope}/SaveV2', op='SaveV2', input=inputs)
  save.input.extend(entry.tensor for entry in entries)
  restore = graph_def.node.add(name=f'{scope}/RestoreV2', op='RestoreV2', input=inputs)
  for node in (save, restore):
    node.attr['dtypes'].list.type.extend(entry.dtype for entry in entries)
  return save.name, restore.name


def _assign_node(graph_def: Any, scope: str, number: int, variable: SavedVariable,
                 value: str) -> str:
  if variable.shape:
    value = _reshape_node(graph_def, f'{scope}/Reshape_{number}', value, variable)
  op, dtype = (('AssignVariableOp', 'dtype') if variable.is_resource
               else ('Assign', 'T'))
  name = f'{scope}/Assign_{number}'
  assign = graph_def.node.add(name=name, op=op, input=[variable.node, value])
  assign.attr[dtype].type = variable.dtype
  return name


def _table_entries(graph_def: Any, name: str, table: SavedTable) -> list[_Entry]:
  """Adds a node that gives the content of a table; the two entries for it."""
  export = graph_def.node.add(name=name, op='LookupTableExport', input=[table.node])
  _set_table_attributes(graph_def, export, table, 'Tkeys', 'Tvalues')
  return [_Entry(table.keys, '', table.dtypes[0], name),
          _Entry(table.values, '', table.dtypes[1], f'{name}:1')]


def _import_node(graph_def: Any, name: str, table: SavedTable, entries: list[str]) -> str:
  """Adds a node that makes entries the content of a table."""
  taker = graph_def.node.add(name=name, op='LookupTableImport',
                             input=[table.node, *entries])
  _set_table_attributes(graph_def, taker, table, 'Tin', 'Tout')
  return name


def _set_table_attributes(graph_def: Any, node: Any, table: SavedTable, keys: str,
                          values: str) -> None:
  """Fits a node, of an op for the first kind of tables, to a table."""
  if next(n for n in graph_def.node if n.name == table.node).op not in _REFERENCES:
    node.op += 'V2'
  node.attr[keys].type, node.attr[values].type = table.dtypes


def _reshape_node(graph_def: Any, name: str, value: str, variable: SavedVariable) -> str:
  """Adds a node that gives the value from an entry the variable's shape."""
  shape = graph_def.node.add(name=f'{name}/shape', op='Const')
  shape.attr['value'].tensor.ParseFromString(variable.shape)
  shape.attr['dtype'].type = shape.attr['value'].tensor.dtype
  reshape = graph_def.node.add(name=name, op='Reshape', input=[value, shape.name])
  reshape.attr['T'].type = variable.dtype
  reshape.attr['Tshape'].type = shape.attr['dtype'].type
  return name


def _value_nodes(graph_def: Any, variables: Sequence[SavedVariable]) -> list[str]:
  """The nodes with the variables' values, made where a variable is a resource."""
  taken = {node.name for node in graph_def.node}
  return [_read_node(graph_def, variable, taken) if variable.is_resource
          else variable.node for variable in variables]


def _read_node(graph_def: Any, variable: SavedVariable, taken: set[str]) -> str:
  """Adds a node that reads a variable, under the name that TensorFlow gives it.

  TF1's freezing tools fetch the value by this name. A node of another kind that has
  the name is left alone.

  Args:
    graph_def: the graph.
    variable: what is read.
    taken: names of all nodes, to which the new one's is added.
  """
  wanted = f'{variable.node}/Read/ReadVariableOp'
  names = itertools.chain([wanted], map(f'{wanted}_{{}}'.format, itertools.count()))
  name = next(name for name in names if name not in taken)
  taken.add(name)
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
