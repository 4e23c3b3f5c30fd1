"""Reading which variable comes from which checkpoint entry, and writing it."""

import pytest

from exporter.errors import UserError
from exporter.graph.bodies import bodies_of
from exporter.meta_graph.saver import SavedTable, SavedVariable, write_saver
from exporter.meta_graph.saver_reading import read_saver
from small_graphs import function, graph_def
from tensorflow.core.protobuf import meta_graph_pb2

_NAMES = ['file = Placeholder()', 'names = Const[value=k|l]()',
          'slices = Const[value=|2,0,1]()']


def _meta_graph(*graph, restore_op='all'):
  meta_graph = meta_graph_pb2.MetaGraphDef(graph_def=graph_def(*graph))
  meta_graph.saver_def.filename_tensor_name = 'file:0'
  meta_graph.saver_def.restore_op_name = restore_op
  return meta_graph


def _read(meta_graph):
  variables, _ = read_saver(meta_graph, bodies_of(meta_graph.graph_def))
  return variables


def _read_tables(meta_graph):
  _, tables = read_saver(meta_graph, bodies_of(meta_graph.graph_def))
  return tables


_TF1 = _NAMES + [
    'u = VarHandleOp()', 'v = VariableV2()',
    'r = RestoreV2[dtypes=1|3](file, names, slices)', 'i = Identity(r)',
    'a = AssignVariableOp(u, i)', 'b = Assign(v, r:1)', 'all = NoOp(^a, ^b)']


@pytest.mark.parametrize('restore_op', ['all', 'all:0'])
def test_nodes_of_the_main_graph(restore_op):
  assert _read(_meta_graph(_TF1, restore_op=restore_op)) == [
      SavedVariable('u', 'k', '', 1, True), SavedVariable('v', 'l', '2,0,1', 3, False)]


def test_a_function():
  nodes = ['u = VarHandleOp()', 'v = VarHandleOp()', 'file = Placeholder()',
           'all = StatefulPartitionedCall[f=restore](file, v, u)']
  inner = function('restore', 'path x y', {}, [
      *_NAMES[1:], 'r = RestoreV2[dtypes=1|3](path, names:output:0, slices:output:0)',
      'i = Identity(r:tensors:0)', 'a = AssignVariableOp(x, i:output:0)',
      'b = AssignVariableOp(y, r:tensors:1)'])
  assert [(v.node, v.key) for v in _read(_meta_graph(nodes, inner))] == [
      ('v', 'k'), ('u', 'l')]


def test_what_is_written_reads_the_same():
  meta_graph = _meta_graph(_TF1)
  variables = _read(meta_graph)
  del meta_graph.graph_def.node[5:]
  write_saver(meta_graph, variables)
  assert _read(meta_graph) == variables
  assert meta_graph.saver_def.save_tensor_name == 'saver/saved:0'


def test_no_variables_need_no_saver():
  meta_graph = _meta_graph(_NAMES)
  write_saver(meta_graph, [])
  assert not meta_graph.HasField('saver_def') and _read(meta_graph) == []


def test_names_that_are_taken_are_left_alone():
  meta_graph = _meta_graph(_NAMES + ['u = VarHandleOp()', 'saver/x = NoOp()',
                                     'saver_0 = NoOp()'])
  write_saver(meta_graph, [SavedVariable('u', 'k', '', 1, True)])
  names = [node.name for node in meta_graph.graph_def.node]
  assert len(set(names)) == len(names)
  assert meta_graph.saver_def.restore_op_name == 'saver_1/restored'


def test_other_things_are_refused():
  with pytest.raises(UserError, match='more than variables'):
    _read(_meta_graph(_TF1 + ['c = Cast(r)']))


def test_tables_are_no_variables():
  lines = [line.replace('2,0,1', '') for line in _TF1]
  meta_graph = _meta_graph(lines + ['t = LookupTableImportV2(u, r, r:1)'])
  assert _read(meta_graph) == _read(_meta_graph(lines))
  assert _read_tables(meta_graph) == [
      SavedTable('u', 'k', 'l', (1, 3))]


def test_tables_are_filled_by_functions_that_are_called():
  meta_graph = _meta_graph(
      [line.replace('2,0,1', '') for line in _NAMES]
      + ['t = MutableHashTableV2()', 'r = RestoreV2[dtypes=9|1](file, names, slices)',
         'all = StatefulPartitionedCall[f=fill](r, r:1, t)'],
      function('fill', 'keys values table', {}, [
          'i = LookupTableImportV2(table, keys, values)']))
  meta_graph.graph_def.node.add(name='last', op='NoOp', input=['^all'])
  meta_graph.saver_def.restore_op_name = 'last'
  tables = [SavedTable('t', 'k', 'l', (9, 1))]
  assert _read_tables(meta_graph) == tables and not _read(meta_graph)
  del meta_graph.graph_def.node[4:]
  write_saver(meta_graph, [], tables)
  assert _read_tables(meta_graph) == tables


def test_a_part_of_a_table_is_refused():
  meta_graph = _meta_graph(_TF1 + ['t = LookupTableImportV2(u, r, u)'])
  with pytest.raises(UserError, match="part of the table 'u'"):
    _read_tables(meta_graph)


def test_the_ops_of_the_old_format_are_refused():
  with pytest.raises(UserError, match='V1'):
    _read(_meta_graph(['file = Placeholder()', 'v = VariableV2()', 'n = Const()',
                       'r = Restore(file, n)', 'a = Assign(v, r)', 'all = NoOp(^a)']))


def test_names_that_are_computed_are_refused():
  lines = [line.replace('names = Const[value=k|l]()', 'names = Pack(k, l)') for line in _TF1]
  with pytest.raises(UserError, match='computes the names'):
    _read(_meta_graph(['k = Const()', 'l = Const()', *lines]))


@pytest.mark.parametrize('damage', [
    ('names = Const[value=k|l]()', 'names = Const[value=k]()'),
    ('names = Const[value=k|l]()', 'names = Placeholder()'),
    ('(file, names, slices)', '(file, names)')])
def test_damage_is_an_error(damage):
  lines = [line.replace(*damage) for line in _TF1]
  if damage[1].endswith('[value=k]()'):
    meta_graph = _meta_graph(lines)
    meta_graph.graph_def.node[1].attr['value'].tensor.ClearField('string_val')
  else:
    meta_graph = _meta_graph(lines)
  with pytest.raises(UserError, match='damaged'):
    _read(meta_graph)
