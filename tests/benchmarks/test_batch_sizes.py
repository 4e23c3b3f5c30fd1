"""What the benchmark of batches makes of its seconds."""

import pytest

from benchmarks.batch_sizes import ratio


def test_a_slow_round_slows_both():
  # The second round ran on a machine half as fast, the third disturbed stock alone.
  times = {'stock': [4, 8, 30], 'ours': [2, 4, 3]}
  assert ratio(times, 'stock', 'ours') == 2
  assert ratio(times, 'ours', 'stock') == pytest.approx(.5)
