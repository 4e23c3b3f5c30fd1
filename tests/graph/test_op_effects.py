"""What ops do beside making their outputs."""

import pytest

from exporter.graph.bodies import MAIN_GRAPH, bodies_of
from exporter.graph.op_effects import Effect, OpEffects, OpKinds
from small_graphs import function, graph_def

_STATEFUL = frozenset({'AssignVariableOp', 'ReadVariableOp', 'Assert', 'PrintV2',
                       'StatefulPartitionedCall', 'If', 'While', 'FromElsewhere'})


def _effect(line, *functions):
  bodies = bodies_of(graph_def([line], *functions))
  node, = bodies[MAIN_GRAPH].nodes.values()
  return OpEffects(bodies, OpKinds(_STATEFUL)).of(node)


def _function(name, *nodes):
  return function(name, 'a', {'p': 'a'}, nodes)


@pytest.mark.parametrize('line, effect', [
    ('n = Add()', Effect.NONE), ('n = ReadVariableOp()', Effect.NONE),
    ('n = Assert()', Effect.CHECKS), ('n = PrintV2()', Effect.CHECKS),
    ('n = CheckNumerics()', Effect.CHECKS),
    ('n = AssignVariableOp()', Effect.CHANGES),
    ('n = FromElsewhere()', Effect.CHANGES)])
def test_ops(line, effect):
  assert _effect(line) is effect


@pytest.mark.parametrize('inner, effect', [
    ('x = Exp(a)', Effect.NONE), ('x = Assert(a)', Effect.CHECKS),
    ('x = AssignVariableOp(a)', Effect.CHANGES)])
@pytest.mark.parametrize('call', [
    'n = PartitionedCall[f=f]()', 'n = StatefulPartitionedCall[f=f]()',
    'n = If[then_branch=pure else_branch=f]()', 'n = Case[branches=pure|f]()',
    'n = While[cond=pure body=f]()', 'n = While[cond=f body=pure]()',
    'n = MapDataset[f=f]()', 'n = f()'])
def test_a_call_does_what_its_functions_do(call, inner, effect):
  assert _effect(call, _function('pure', 'y = Neg(a)'),
                 _function('f', 'c = PartitionedCall[f=g](a)'),
                 _function('g', inner)) is effect


def test_functions_that_are_not_there_may_do_anything():
  assert _effect('n = MapDataset[f=missing]()') is Effect.CHANGES
