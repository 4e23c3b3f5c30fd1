"""What the table of stacks says of an outcome."""

import numpy as np
import pytest

from benchmarks import load_cells, stack_cells, stacks

_ONE = np.array([1.], np.float32)


def _raise():
  raise KeyError('no such op\nand more')


@pytest.mark.parametrize('way, outcome', [
    (lambda: ({'a': _ONE}, {'a': _ONE.copy()}), 'equal'),
    (lambda: ({'a': _ONE}, {'a': np.nextafter(_ONE, 2, dtype=np.float32)}),
     'differs: a'),
    (lambda: ({'a': _ONE}, {'a': _ONE.astype(np.float64)}), 'differs: a'),
    (lambda: ({'a': _ONE, 'c': _ONE}, {'a': _ONE, 'b': _ONE}), 'differs: b, c'),
    # -0 is 0, but has other bits.
    (lambda: ({'a': -0 * _ONE}, {'a': np.array([-0.], np.float32)}), 'differs: a'),
    (_raise, "fails: KeyError: 'no such op\\nand more'"),
])
def test_outcome(way, outcome):
  assert stack_cells._outcome(way) == outcome


def test_what_is_not_equal_gets_a_note():
  notes = ['of another cell']
  cells = [stacks._cell(outcome, notes)
           for outcome in ('equal', 'differs: a, b', 'fails: KeyError: x')]
  assert cells == ['bit-equal', 'differs [2]', 'fails [3]']
  assert notes == ['of another cell', 'differs: a, b', 'fails: KeyError: x']


def test_what_does_not_load_is_an_outcome(tmp_path):
  np.savez(tmp_path / 'inputs.npz', input_tensor=_ONE)
  assert load_cells._outcome(tmp_path, 'stock').startswith('fails: ')
