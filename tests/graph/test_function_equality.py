"""Which functions compute the same."""

from exporter.graph.function_equality import (
    Application, Captured, FunctionDigests, NodesByName, Passed, unwrap)
from exporter.graph.bodies import bodies_of
from exporter.graph.op_effects import OpEffects, OpKinds
from small_graphs import function, graph_def

_STATEFUL = frozenset({'AssignVariableOp', 'ReadVariableOp', 'Assert',
                       'RandomUniform'})


def _same(one, other, results=(0,), labels=(Passed('x'), Captured(7)), rest=()):
  bodies = bodies_of(graph_def((), one, other, *rest))
  digests = FunctionDigests(bodies, OpEffects(bodies, OpKinds(_STATEFUL)))
  same = (digests.of(Application(one[0], labels, results))
          == digests.of(Application(other[0], labels, results)))
  # Both say so, but for loops, whose nodes have no order.
  assert same or not _same_by_name(one, other, results, labels, rest) or any(
      'Merge' in node for node in one[3])
  return same


def _same_by_name(one, other, results=(0,), labels=(Passed('x'), Captured(7)), rest=(),
                  other_labels=None):
  bodies = bodies_of(graph_def((), one, other, *rest))
  return NodesByName(bodies).are_same(
      Application(one[0], labels, results),
      Application(other[0], other_labels or labels, results))


def test_two_traces_with_the_same_names_in_another_order():
  one = function('f', 'a v', {'p': 'n:z:0'}, ['m = Exp(a)', 'n = Add(m:y:0, v)'])
  other = function('g', 'w_1 a', {'p': 'n:z:0'}, ['n = Add(m:y:0, w_1)', 'm = Exp(a)'])
  crossed = Captured(7), Passed('x')
  assert _same_by_name(one, other, other_labels=crossed)
  assert not _same_by_name(one, other)
  for nodes in (['m = Exp(v)', 'n = Add(m:y:0, v)'], ['m = Exp(a)', 'n = Add(v, m:y:0)'],
                ['m = Log(a)', 'n = Add(m:y:0, v)'], ['m = Exp(a)', 'n = Add(m:z:0, v)'],
                ['m = Exp(a)', 'n = Add(m:y:0, v, ^m)'],
                ['m = Exp(a)', 'n = Add(m:y:0, v)', 'k = Assert(a)']):
    assert not _same_by_name(one, function('g', 'a v', {'p': 'n:z:0'}, nodes))


def test_names_and_the_order_of_nodes_do_not_matter():
  assert _same(
      function('f', 'a v', {'p': 'n:z:0'}, ['m = Exp(a)', 'n = Add(m:y:0, v)']),
      function('g', 'x w', {'q': 'k:z:0'}, ['k = Add(l:y:0, w)', 'l = Exp(x)']))


def test_what_arguments_stand_for_matters():
  assert not _same(
      function('f', 'a v', {'p': 'n:z:0'}, ['n = Sub(a, v)']),
      function('g', 'a v', {'p': 'n:z:0'}, ['n = Sub(v, a)']))


def test_outputs_of_one_op_differ():
  assert not _same(
      function('f', 'a v', {'p': 't:values:0'}, ['t = TopKV2(a)']),
      function('g', 'a v', {'p': 't:indices:0'}, ['t = TopKV2(a)']))


def test_draws_of_random_numbers_differ():
  nodes = ['r = RandomUniform(a)', 's = RandomUniform(a)']
  one = function('f', 'a v', {'p': 'r:output:0', 'q': 's:output:0'}, nodes)
  other = function('g', 'a v', {'p': 'r:output:0', 'q': 'r:output:0'}, nodes)
  assert not _same(one, other, (0, 1))
  assert _same(one, (('h',) + one[1:]), (0, 1))


def test_reading_before_writing_differs_from_after():
  assert not _same(
      function('f', 'a v', {'p': 'r:value:0'},
               ['r = ReadVariableOp(v)', 'w = AssignVariableOp(v, a, ^r)']),
      function('g', 'a v', {'p': 'r:value:0'},
               ['w = AssignVariableOp(v, a)', 'r = ReadVariableOp(v, ^w)']))


def test_effects_that_no_result_needs_matter():
  assert not _same(function('f', 'a v', {'p': 'a'}, ['w = AssignVariableOp(v, a)']),
                   function('g', 'a v', {'p': 'a'}, []))


def test_functions_inside_are_compared_by_what_they_do():
  rest = (function('one', 'b', {'p': 'e:y:0'}, ['e = Exp(b)']),
          function('two', 'c', {'q': 'f:y:0'}, ['f = Exp(c)']),
          function('three', 'c', {'q': 'f:y:0'}, ['f = Sin(c)']))
  calls = [function(name, 'a v', {'p': 'c:output:0'},
                    [f'c = PartitionedCall[f={inner}](a)'])
           for name, inner in (('f', 'one'), ('g', 'two'), ('h', 'three'))]
  assert _same(calls[0], calls[1], rest=rest)
  assert not _same(calls[0], calls[2], rest=rest)


def test_loops_of_tf1_are_the_same_only_by_their_names():
  nodes = ['m = Merge(a, n:output:0)', 'n = NextIteration(m:output:0)']
  one = function('f', 'a v', {'p': 'm:output:0'}, nodes)
  other = ('g',) + one[1:]
  assert not _same(one, other)
  assert _same(one, one)
  assert _same_by_name(one, other)


def test_unwrap_finds_the_function_that_does_the_work():
  bodies = bodies_of(graph_def(
      (),
      function('outer', 'a v', {'p': 'i:output:0', 'q': 'c:output:0'},
               ['c = PartitionedCall[f=inner](v, a)', 'i = Identity(c:output:1, ^n)',
                'n = NoOp(^c)']),
      function('inner', 'w b', {'r': 'b', 's': 'e:y:0'}, ['e = Exp(b)'])))
  assert unwrap(Application('outer', (Passed('a'), Captured(3)), (0, 1)), bodies) == (
      Application('inner', (Captured(3), Passed('a')), (1, 0)))
