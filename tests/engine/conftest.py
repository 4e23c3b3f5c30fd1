"""Fixtures of the pruning engine's tests: make, slim and compare SavedModels."""

import pathlib
from collections.abc import Callable

import pytest

from exporter.detection import environment


def pytest_configure(config):
  config.addinivalue_line('markers', 'slow: takes more than a few seconds')
  config.addinivalue_line(
      'markers', 'both_stacks: worth running on every TensorFlow that we support')


@pytest.fixture(scope='session')
def tf():
  """TensorFlow, set up as every command of ours sets it up."""
  environment.prepare()
  import tensorflow
  return tensorflow


@pytest.fixture
def save(tf, tmp_path) -> Callable[..., pathlib.Path]:
  """`save(module, signatures)` writes a TF2 SavedModel and gives its folder."""
  def save_module(module, signatures=None, name='source', **options):
    path = tmp_path / name
    tf.saved_model.save(module, str(path), signatures=signatures, **options)
    return path
  return save_module


@pytest.fixture
def slim(tf, tmp_path):
  """`slim(source, outputs)` runs `write_lean` and proves the result.

  The new SavedModel must hold no dead part, take the same inputs, and give the
  same kept outputs, bit for bit, in the TF2 and the v1 loader. Returns its folder
  and what pruning left out.
  """
  import saved_models
  from exporter.saved_model import writing

  def slim_and_compare(source, outputs, inputs=None, name='lean', loaders=('v2', 'v1')):
    """`inputs` are arrays by name, by signature; None runs nothing."""
    target = tmp_path / name
    pruned = writing.write_lean(str(source), str(target), outputs)
    saved_models.check_is_lean(target, outputs)
    if inputs is not None:
      saved_models.check_computes_the_same(source, target, outputs, inputs, loaders)
    return target, pruned
  return slim_and_compare
