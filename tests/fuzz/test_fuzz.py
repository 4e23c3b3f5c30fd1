"""A few random models, the same each time; `make fuzz` runs many."""

import pytest

# Of TF2 and of TF1, as many as take about as long.
_SEEDS = {'tf2': range(7), 'tf1': range(12)}


@pytest.fixture(scope='module')
def differential(tf):
  import differential
  before = tf.config.optimizer.get_experimental_options()
  differential.without_grappler()
  yield differential
  tf.config.optimizer.set_experimental_options(
      {'disable_meta_optimizer': False, **before})


@pytest.mark.slow
@pytest.mark.parametrize('kind', _SEEDS)
def test_slimmed_models_compute_the_same(differential, tmp_path, kind):
  verdicts = []
  for seed in _SEEDS[kind]:
    folder = tmp_path / str(seed)
    folder.mkdir()
    outcome = differential.run_seed(kind, seed, folder)
    assert not outcome.is_fault, (seed, outcome)
    verdicts.append(outcome.verdict)
  # Else they would prove little.
  assert verdicts.count('same') > 0.7 * len(verdicts), verdicts
