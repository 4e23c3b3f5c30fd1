"""Upstream's own tests of its exporter pass with ours in its place.

Those of evaluation, `model_lib_tf2_test`, read records and configs that the package
does not ship; test_fine_tuning.py evaluates after an export instead.
"""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.both_stacks]


@pytest.mark.parametrize('lean', [False, True], ids=['as it is', 'every export lean'])
def test_upstreams_tests_pass(exporter_server, lean):
  ended = exporter_server.run('upstream_test_jobs:run_upstreams_tests', lean).ok()
  # The two are `test_session`, which TensorFlow itself skips, one a class.
  assert ended.value == {'run': 13, 'skipped': 2, 'failed': []}
