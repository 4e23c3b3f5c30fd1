"""How contenders are measured, with processes that do nothing much."""

from benchmarks import processes
from benchmarks import speed


def test_contenders_take_turns_and_medians_count(tmp_path):
  log = tmp_path / 'log'

  def contender(name):
    return lambda: processes.run_python('-c', (
        f'open({str(log)!r}, "a").write({name!r}); sum(range(10 ** 6)); print({name!r})'))

  done = speed.in_turn({name: contender(name) for name in 'ab'}, rounds=3)
  assert log.read_text() == 'ababab'
  assert done['a'].stdout == 'a\n'
  assert 0 < done['a'].cpu_seconds < 60


def test_cells_are_ours_to_the_other():
  ours, stock = (speed.Medians(*values, stdout='') for values in (
      (2., 1., 300., 5.), (8., 5., 400., 0.)))
  assert speed.ratios(ours, stock) == ['8.0', '2.0', '0.25', '0.20', '0.75', '']
