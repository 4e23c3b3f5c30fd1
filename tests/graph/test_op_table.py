"""Every op of the installed TensorFlow has been judged, or is not ours to judge.

`pure_ops.txt` holds the names of the ops that TensorFlow does not call stateful and
that change nothing, of TensorFlow 2.8 to 2.21. A name that this test finds is of an
op which TensorFlow has since learnt: see what its kernel does to its inputs and to
the world, and put it there or into `op_table.CHANGES_UNSEEN`.
"""

import pathlib

import pytest

from exporter.graph import op_table

pytestmark = pytest.mark.both_stacks

_PURE = frozenset(
    pathlib.Path(__file__).with_name('pure_ops.txt').read_text().split())


@pytest.fixture(scope='module')
def kinds(loader_server):
  """Names of TensorFlow's own ops; other packages that are loaded add some."""
  kinds = loader_server.run('op_jobs:registered_ops').ok().value
  return {kind: {name for name in names if '>' not in name}
          for kind, names in kinds.items()}


def test_all_ops_have_been_judged(kinds):
  judged = _PURE | op_table.CHANGES_UNSEEN | op_table.CHECKS
  assert not kinds['other'] - judged


def test_tables_name_ops_of_the_right_kind(kinds):
  assert kinds['reference'] >= op_table.READS_REFERENCE
  # Some TensorFlows call one or the other of them stateful.
  assert not op_table.CHANGES_UNSEEN & (kinds['reference'] | _PURE)
  assert op_table.CHANGES_UNSEEN & kinds['other']
  assert op_table.WITHOUT_EFFECT & kinds['stateful']
