"""Random checkpoints, which the tests and the demo export."""

import pytest


@pytest.mark.slow
def test_seeds_weights_without_keras_own_seeding(exporter_server):
  # Keras 2.17 and 2.18 give `randint` a float then, which Python 3.12 refuses.
  first, same, other = (
      exporter_server.run('export_jobs:numbers_of_seed', seed).ok().value
      for seed in (0, 0, 1))
  assert first == same
  assert first != other
