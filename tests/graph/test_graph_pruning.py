"""Pruning of GraphDefs that are written by hand, and of random ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dead_parts import dead_parts
from exporter.graph.liveness import Roots
from exporter.graph.op_effects import OpKinds, op_kinds
from exporter.graph.pruning import prune
from small_graphs import as_text, function, function_of, graph_def, lines_of
from tensorflow.core.protobuf import meta_graph_pb2

_STATEFUL = frozenset({'AssignVariableOp', 'ReadVariableOp', 'Assert', 'Print',
                       'StatefulPartitionedCall', 'If', 'While', 'Unknown'})


def _prune(graph, *tensors, **roots):
  return prune(graph, Roots(tensors=tensors, **roots), OpKinds(_STATEFUL))


def _functions(graph):
  return [f.signature.name for f in graph.library.function]


def test_keeps_what_an_output_of_the_main_graph_needs():
  graph = graph_def(['x = Placeholder()', 'a = Exp(x)', 'b = Sin(x, ^c)',
                     'c = NoOp(^d)', 'd = Cos(x)', 'e = Split(a)', 'f = Neg(e:1)'])
  _prune(graph, 'b:0')
  assert lines_of(graph) == ['x = Placeholder()', 'b = Sin(x, ^c)', 'c = NoOp(^d)',
                             'd = Cos(x)']


def test_the_graph_that_the_docstring_of_the_folder_draws():
  def drawn():
    return graph_def(
        ['image = Placeholder()', 'w = VarHandleOp()', 'v = VarHandleOp()',
         'call = StatefulPartitionedCall[f=f Tin=1|2|3 Tout=4|5](image, w, v)'],
        function('f', 'image w v', {'boxes': 'conv:z:0', 'masks': 'mask:z:0'},
                 ['read_w = ReadVariableOp(w)', 'conv = Conv2D(image, read_w:value:0)',
                  'read_v = ReadVariableOp(v)', 'mask = Mul(read_v:value:0, conv:z:0)']))
  graph = drawn()
  assert _prune(graph, 'call:0').results == {'f': [0]}
  assert [line.partition(' ')[0] for line in lines_of(graph)] == ['image', 'w', 'call']
  assert [line.partition(' ')[0] for line in lines_of(graph, 'f')] == ['read_w', 'conv']
  definition = function_of(graph, 'f')
  assert [a.name for a in definition.signature.input_arg] == ['image', 'w']
  assert list(definition.ret) == ['boxes']
  graph = drawn()
  assert _prune(graph, 'call:1').tensor_name('call:1') == 'call:0'
  assert lines_of(graph) == lines_of(drawn())  # Masks need all.


def test_numbers_the_rest_of_arguments_and_results_anew():
  graph = graph_def(
      ['x = Placeholder()', 'y = Placeholder()',
       'call = PartitionedCall[f=g Tin=1|2|3 Tout=4|5|6](x, y, x)',
       'neg = Neg(call:2)'],
      function('g', 'a b c', {'p': 'a', 'q': 'sin:y:0', 'r': 'sum:z:0'},
               ['sin = Sin(b)', 'sum = Add(a, c)']))
  definition = graph.library.function[0]
  for i, name in enumerate('abc'):
    definition.arg_attr[i].attr['_user_specified_name'].s = name.encode()
    definition.resource_arg_unique_id[i] = 10 + i
    definition.attr['_input_shapes'].list.shape.add().dim.add(size=i)
  kept = _prune(graph, 'neg:0', 'call:2')
  assert kept.arguments == {'g': [0, 2]} and kept.results == {'g': [2]}
  assert kept.tensor_name('call:2') == 'call:0'
  assert kept.tensor_name('neg:0') == 'neg:0'
  assert lines_of(graph) == ['x = Placeholder()', 'call = PartitionedCall(x, x)',
                             'neg = Neg(call)']
  assert list(graph.node[1].attr['Tin'].list.type) == [1, 3]
  assert list(graph.node[1].attr['Tout'].list.type) == [6]
  assert [a.name for a in definition.signature.input_arg] == ['a', 'c']
  assert dict(definition.ret) == {'r': 'sum:z:0'}
  assert {i: a.attr['_user_specified_name'].s for i, a
          in definition.arg_attr.items()} == {0: b'a', 1: b'c'}
  assert dict(definition.resource_arg_unique_id) == {0: 10, 1: 12}
  assert [s.dim[0].size for s in definition.attr['_input_shapes'].list.shape] == [
      0, 2]


def test_numbers_outputs_of_calls_in_functions_anew():
  graph = graph_def(
      ['x = Placeholder()', 'call = PartitionedCall[f=outer](x)'],
      function('outer', 'a', {'p': 'inner:output:2'},
               ['inner = PartitionedCall[f=inner](a)', 'neg = Neg(inner:output:0)']),
      function('inner', 'a', {'u': 'a', 'v': 'exp:y:0', 'w': 'sin:y:0'},
               ['exp = Exp(a)', 'sin = Sin(a)']))
  _prune(graph, 'call:0')
  assert function_of(graph, 'outer').ret['p'] == 'inner:output:0'
  assert lines_of(graph, 'inner') == ['sin = Sin(a)']


def test_loop_keeps_the_variables_behind_the_kept_one():
  graph = graph_def(
      ['x = Placeholder()', 'i = Const()',
       'loop = While[cond=cond body=body T=1|2|3|4|5](i, x, x, x, x)'],
      function('cond', 'i a b c d', {'r': 'less:z:0'}, ['less = Less(i, i)']),
      function('body', 'i a b c d',
               {'i': 'inc:z:0', 'a': 'b', 'b': 'exp:y:0', 'c': 'sin:y:0', 'd': 'd'},
               ['inc = Add(i, i)', 'exp = Exp(d)', 'sin = Sin(c)']))
  kept = _prune(graph, 'loop:1')
  assert kept.results['body'] == kept.arguments['cond'] == [0, 1, 2, 4]
  assert lines_of(graph, 'body') == ['inc = Add(i, i)', 'exp = Exp(d)']
  assert list(graph.node[2].attr['T'].list.type) == [1, 2, 3, 5]
  assert list(graph.node[2].input) == ['i', 'x', 'x', 'x']
  assert kept.tensor_name('loop:1') == 'loop:1'


def test_branches_share_their_arguments():
  graph = graph_def(
      ['x = Placeholder()', 'flag = Const()',
       'if = If[then_branch=then else_branch=else](flag, x, x, x)'],
      function('then', 'a b c', {'p': 'a', 'q': 'c'}, []),
      function('else', 'a b c', {'p': 'neg:y:0', 'q': 'a'}, ['neg = Neg(b)']))
  kept = _prune(graph, 'if:0')
  assert kept.arguments == {'then': [0, 1], 'else': [0, 1]}
  assert list(graph.node[2].input) == ['flag', 'x', 'x']


def test_passed_arguments_stay_though_nothing_needs_them():
  graph = graph_def((), function('f', 'a b', {'p': 'a'}, []))
  kept = _prune(graph, results=(('f', 0),), arguments=(('f', 0), ('f', 1)))
  assert kept.arguments == {'f': [0, 1]}


def test_functions_that_no_call_can_narrow_stay_whole():
  graph = graph_def(
      ['x = Placeholder()', 'map = MapDataset[f=whole](x)', 'v1 = old(x)'],
      function('whole', 'a b', {'p': 'neg:y:0', 'q': 'a'}, ['neg = Neg(a)']),
      function('old', 'a', {'p': 'exp:y:0', 'q': 'a'}, ['exp = Exp(a)']),
      function('dead', 'a', {'p': 'a'}, []))
  _prune(graph, 'map:0', 'v1:1')
  assert _functions(graph) == ['whole', 'old']
  assert lines_of(graph, 'whole') == ['neg = Neg(a)']
  assert lines_of(graph, 'old') == ['exp = Exp(a)']
  assert len(function_of(graph, 'whole').signature.output_arg) == 2


def test_write_in_a_function_that_is_called_by_name_stays():
  graph = graph_def(
      ['x = Placeholder()', 'call = PartitionedCall[f=f](x)'],
      function('f', 'a', {'p': 'a'}, ['old = writes(a)']),
      function('writes', 'a', {'p': 'a'}, ['w = AssignVariableOp(a)']))
  _prune(graph, 'call:0')
  assert lines_of(graph, 'f') == ['old = writes(a)']
  assert lines_of(graph, 'writes') == ['w = AssignVariableOp(a)']


def test_check_in_a_function_that_is_named_stays_with_what_names_it():
  graph = graph_def(
      ['x = Placeholder()', 'call = PartitionedCall[f=f](x)'],
      function('f', 'a', {'p': 'a'}, ['map = MapDataset[f=checks](a)']),
      function('checks', 'a', {'p': 'a'},
               ['neg = Neg(a)', 'check = Assert(neg:y:0)', 'dead = Exp(neg:y:0)']))
  _prune(graph, 'call:0')
  assert lines_of(graph, 'f') == ['map = MapDataset(a)']
  assert lines_of(graph, 'checks') == ['neg = Neg(a)', 'check = Assert(neg:y:0)']


def test_attribute_without_a_function_means_none():
  graph = graph_def(['x = Placeholder()', 'y = Optional[f=](x)', 'z = Neg(x)'])
  _prune(graph, 'y:0')
  assert lines_of(graph) == ['x = Placeholder()', 'y = Optional(x)']


def test_gradients_stay_with_their_functions():
  graph = graph_def(['x = Placeholder()', 'a = PartitionedCall[f=f](x)'],
                    *(function(name, 'a b', {'p': 'a', 'q': 'b'}, [])
                      for name in 'fghi'))
  graph.library.gradient.add(function_name='f', gradient_func='g')
  graph.library.gradient.add(function_name='h', gradient_func='i')
  for name in 'gi':
    graph.library.registered_gradients.add(
        gradient_func=name, registered_op_type=name.upper())
  graph.node[1].input.append('x')
  _prune(graph, 'a:0')
  assert _functions(graph) == ['f', 'g']
  assert [len(f.signature.input_arg) for f in graph.library.function] == [2, 2]
  assert [g.gradient_func for g in graph.library.gradient] == ['g']
  assert [g.registered_op_type for g in graph.library.registered_gradients] == ['G']


def test_functions_that_implement_the_same_stay_alike():
  graph = graph_def(
      ['x = Placeholder()', 'y = Placeholder()',
       'call = PartitionedCall[f=cpu](x, y, y)'],
      function('cpu', 'a b c', {'p': 'n:y:0', 'q': 'b'}, ['n = Neg(a)']),
      function('gpu', 'a b c', {'p': 'n:z:0', 'q': 'e:y:0'},
               ['n = Sub(a, c)', 'e = Exp(b)']),
      function('backward', 'a', {'p': 'a'}, []),
      function('unrelated', 'a b c', {'p': 'a', 'q': 'b'}, []))
  for definition, name in zip(graph.library.function, ('api', 'api', 'api', 'other')):
    definition.attr['api_implements'].s = name.encode()
  graph.library.function[2].attr['forward_function_name'].s = b'forward'
  kept = _prune(graph, 'call:0')
  assert _functions(graph) == ['cpu', 'gpu']
  assert kept.arguments == {'cpu': [0, 2], 'gpu': [0, 2]}
  assert kept.results == {'cpu': [0], 'gpu': [0]}
  assert lines_of(graph, 'gpu') == ['n = Sub(a, c)']
  assert lines_of(graph)[-1] == 'call = PartitionedCall(x, y)'


def test_loops_keep_what_their_gradients_count_with():
  graph = graph_def(
      ['x = Placeholder()', 'i = Const()', 'call = While[cond=cond body=body](i, i, x, x)'],
      function('cond', 'i n a b', {'r': 'less:z:0'}, ['less = Less(a, a)']),
      function('body', 'i n a b', {'i': 'add:z:0', 'n': 'n', 'a': 'a', 'b': 'b'},
               ['add = Add(i, i)']))
  graph.node[2].attr['_num_original_outputs'].i = 3
  for _ in range(3):
    graph.node[2].attr['_output_shapes'].list.shape.add()  # One too few.
  kept = _prune(graph, 'call:3')
  assert kept.results['body'] == [0, 1, 2, 3]
  kept = _prune(graph, 'call:2')
  assert kept.results['body'] == [0, 1, 2]
  assert graph.node[2].attr['_num_original_outputs'].i == 3
  assert '_output_shapes' not in graph.node[2].attr


def test_colocation_with_what_has_gone_is_forgotten():
  graph = graph_def(['x = Placeholder()', 'dead = Exp(x)',
                     'a = Sin[_class=loc:@dead|loc:@x|other](x)',
                     'b = Sin[_class=loc:@dead](a)'])
  _prune(graph, 'b:0')
  assert list(graph.node[1].attr['_class'].list.s) == [b'loc:@x', b'other']
  assert '_class' not in graph.node[2].attr


class TestOrder:
  """`f` takes a variable `v` and a tensor `a`; what waits must go on waiting."""

  def _pruned(self, results, nodes, control_results=()):
    graph = graph_def(
        ['v = VarHandleOp()', 'x = Placeholder()',
         'call = StatefulPartitionedCall[f=f](v, x)'],
        function('f', 'v a', results, nodes, control_results))
    _prune(graph, 'call:0')
    return graph

  def test_write_after_a_read_that_stays(self):
    graph = self._pruned(
        {'p': 'read:value:0', 'q': 'dead:y:0'},
        ['read = ReadVariableOp(v)', 'dead = Exp(read:value:0)',
         'write = AssignVariableOp(v, a, ^dead)'])
    assert lines_of(graph, 'f') == [
        'read = ReadVariableOp(v)', 'write = AssignVariableOp(v, a, ^read)']

  def test_read_after_a_write_behind_a_node_that_stays(self):
    graph = self._pruned(
        {'p': 'read:value:0', 'q': 'neg:y:0', 'r': 'dead:y:0'},
        ['write = AssignVariableOp(v, a)', 'neg = Neg(a, ^write)',
         'dead = Exp(neg:y:0)', 'read = ReadVariableOp(v, ^dead)'])
    assert 'read = ReadVariableOp(v, ^write)' in lines_of(graph, 'f') or (
        'neg = Neg(a, ^write)' in lines_of(graph, 'f')
        and 'read = ReadVariableOp(v, ^neg)' in lines_of(graph, 'f'))

  def test_write_after_a_write_behind_a_dead_read(self):
    graph = self._pruned(
        {'p': 'a', 'q': 'read:value:0'},
        ['one = AssignVariableOp(v, a)', 'read = ReadVariableOp(v, ^one)',
         'two = AssignVariableOp(v, a, ^read)'], ['one', 'read', 'two'])
    assert lines_of(graph, 'f') == [
        'one = AssignVariableOp(v, a)', 'two = AssignVariableOp(v, a, ^one)']
    assert set(function_of(graph, 'f').control_ret) == {'one', 'two'}
    assert list(function_of(graph, 'f').signature.control_output) == ['one', 'two']

  def test_result_waits_for_writes_but_for_no_dead_read(self):
    graph = self._pruned(
        {'p': 'result:output:0', 'q': 'read:value:0'},
        ['write = AssignVariableOp(v, a)', 'read = ReadVariableOp(v, ^write)',
         'all = NoOp(^write, ^read)', 'result = Identity(a, ^all)'])
    assert lines_of(graph, 'f') == [
        'write = AssignVariableOp(v, a)', 'result = Identity(a, ^write)']

  _READ = ['read = ReadVariableOp(v)', 'all = NoOp(^read)',
           'sum = Add(read:value:0, a)', 'p = Identity(a, ^all)',
           'q = Identity(sum:z:0, ^all)']

  def test_where_nothing_writes_nobody_waits_for_a_read(self):
    graph = self._pruned({'p': 'q:output:0'}, self._READ, ['read'])
    assert lines_of(graph, 'f')[-1] == 'q = Identity(sum:z:0)'
    assert not function_of(graph, 'f').control_ret

  def test_where_something_writes_reads_end_before_their_call_does(self):
    graph = graph_def(
        ['v = VarHandleOp()', 'x = Placeholder()',
         'call = StatefulPartitionedCall[f=g](v, x)'],
        function('g', 'v a', {'p': 'f:output:0'},
                 ['f = StatefulPartitionedCall[f=f](v, a)',
                  'w = AssignVariableOp(v, a, ^f)']),
        function('f', 'v a', {'p': 'q:output:0'}, self._READ, ['read']))
    _prune(graph, 'call:0')
    assert dict(function_of(graph, 'f').control_ret) == {'read': 'read'}
    assert lines_of(graph, 'f')[-1] == 'q = Identity(sum:z:0, ^read)'
    assert 'w = AssignVariableOp(v, a, ^f)' in lines_of(graph, 'g')


def test_long_chains_and_deep_calls_need_no_recursion():
  chain = ['n0 = Neg(a)', *(f'n{i + 1} = Neg(n{i}:y:0)' for i in range(20000))]
  depth = 150
  graph = graph_def(
      ['x = Placeholder()', 'call = PartitionedCall[f=f0](x)'],
      *(function(f'f{i}', 'a', {'p': 'c:output:0', 'q': 'd:y:0'},
                 [f'c = PartitionedCall[f=f{i + 1}](a)', 'd = Exp(c:output:1)'])
        for i in range(depth)),
      function(f'f{depth}', 'a', {'p': 'n20000:y:0', 'q': 'd:y:0'},
               [*chain, 'd = Exp(a)']))
  _prune(graph, 'call:0')
  assert len(lines_of(graph, f'f{depth}')) == 20001
  assert lines_of(graph, 'f0') == ['c = PartitionedCall(a)']


@st.composite
def _graphs(draw):
  """A main graph that calls f0, which calls and loops over f1, f2 and so on."""
  functions = [function('less', 'a b c', {'r': 'less:z:0'}, ['less = Less(a, c)'])]
  for number in range(draw(st.integers(1, 4))):
    # Loops want as many results as arguments; all functions here take three.
    tensors, nodes, results = ['a', 'b', 'c'], [], {}
    tensor = st.sampled_from(tensors)
    for i in range(draw(st.integers(0, 8))):
      waits = [f'^{n}' for n in draw(st.lists(
          st.sampled_from([line.split()[0] for line in nodes]), max_size=2,
          unique=True))] if nodes else []
      inner = st.integers(0, number - 1) if number else st.nothing()
      op = draw(st.sampled_from(
          ['Neg', 'Add', 'Unknown', 'ReadVariableOp', 'Assert', 'Identity']
          + ['PartitionedCall', 'While', 'If', 'MapDataset'] * (number > 0)))
      name = f'n{i}'
      inputs = [draw(tensor) for _ in range(3)]
      if op == 'While':
        op = f'While[cond=less body=f{draw(inner)}]'
      elif op == 'If':
        op = f'If[then_branch=f{draw(inner)} else_branch=f{draw(inner)}]'
        inputs.append(draw(tensor))
      elif op in ('PartitionedCall', 'MapDataset'):
        op = f'{op}[f=f{draw(inner)}]'
      elif op != 'Add':
        inputs = inputs[:1]
      nodes.append(f'{name} = {op}({", ".join(inputs + waits)})')
      outputs = 3 if op.startswith(('While', 'If', 'Part')) else 1
      tensors += [f'{name}:output:{k}' for k in range(outputs)]
      tensor = st.sampled_from(tensors)
    results = {f'r{k}': draw(tensor) for k in range(3)}
    functions.append(function(f'f{number}', 'a b c', results, nodes))
  last = len(functions) - 2
  main = ['x = Placeholder()', 'y = Placeholder()', 'z = Placeholder()',
          f'call = PartitionedCall[f=f{last}](x, y, z)']
  kept = draw(st.sets(st.integers(0, 2), min_size=1))
  return graph_def(main, *functions), sorted(kept)


@settings(max_examples=100, deadline=None)
@given(_graphs())
def test_random_graphs_are_complete_and_free_of_dead_parts(graph_and_kept):
  graph, kept_outputs = graph_and_kept
  names = [f'call:{i}' for i in kept_outputs]
  kept = _prune(graph, *names)
  meta_graph = meta_graph_pb2.MetaGraphDef(graph_def=graph)
  signature = meta_graph.signature_def['s']
  for name in names:
    signature.outputs[name].name = kept.tensor_name(name)
  # Fails also where an edge leads to a node, argument or result that is gone.
  dead = dead_parts(meta_graph, stateful_ops=_STATEFUL)
  assert not dead, (dead, as_text(graph))
  once = graph.SerializeToString(deterministic=True)
  _prune(graph, *(t.name for t in signature.outputs.values()))
  assert graph.SerializeToString(deterministic=True) == once


@pytest.mark.both_stacks
def test_real_ops_are_known_as_stateful_or_not(tf):
  meta_graph = meta_graph_pb2.MetaGraphDef(graph_def=graph_def(
      ['a = VarHandleOp()', 'b = Neg(a)', 'c = f(a)', 'd = FromElsewhere(a)',
       'e = Assign(a, b)'],
      function('f', 'a', {'p': 'a'}, ['w = AssignVariableOp(a, a)'])))
  assert op_kinds(meta_graph) == OpKinds(frozenset({
      'VarHandleOp', 'AssignVariableOp', 'FromElsewhere'}), frozenset({'Assign'}))
  meta_graph.meta_info_def.stripped_op_list.op.add(name='FromElsewhere')
  assert op_kinds(meta_graph).stateful == {'VarHandleOp', 'AssignVariableOp'}
