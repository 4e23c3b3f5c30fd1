"""Copying entries of a checkpoint: portions, memory, missing and damaged files."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from exporter.saved_model import variable_bundle
from exporter.errors import UserError

_ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def source(tf, tmp_path):
  """A checkpoint of ten vectors of 4 kB, a string and a scalar."""
  prefix = str(tmp_path / 'source' / 'variables')
  values = {f'v{i}': np.full([1024], i, np.float32) for i in range(10)}
  values |= {'text': np.array([b'a', b'bc'], object), 'scalar': np.int64(7)}
  os.makedirs(os.path.dirname(prefix))
  tf.raw_ops.SaveV2(prefix=prefix, tensor_names=list(values),
                    shape_and_slices=[''] * len(values),
                    tensors=[tf.constant(v) for v in values.values()])
  return prefix


@pytest.fixture
def target(tmp_path):
  os.makedirs(tmp_path / 'target')
  return str(tmp_path / 'target' / 'variables')


def _values(tf, prefix):
  reader = tf.train.load_checkpoint(prefix)
  return {key: reader.get_tensor(key)
          for key in reader.get_variable_to_shape_map()}


@pytest.mark.both_stacks
@pytest.mark.parametrize('portion_bytes, shards', [(1, 4), (9000, 2), (1 << 20, 1)])
def test_portions_become_shards(tf, source, target, portion_bytes, shards):
  entries = {'new/a': 'v3', 'new/b': 'v0', 'c': 'text', 'd': 'v9'}
  variable_bundle.copy_entries(source, target, entries, b'graph', portion_bytes)
  found = _values(tf, target)
  assert found.pop('_CHECKPOINTABLE_OBJECT_GRAPH') == b'graph'
  expected = _values(tf, source)
  assert set(found) == set(entries)
  for key, old in entries.items():
    np.testing.assert_array_equal(found[key], expected[old])
  names = sorted(os.listdir(os.path.dirname(target)))
  assert names == [*(f'variables.data-{i:05d}-of-{shards:05d}'
                     for i in range(shards)), 'variables.index']


def test_an_object_graph_alone(tf, source, target):
  variable_bundle.copy_entries(source, target, {}, b'graph')
  assert _values(tf, target) == {'_CHECKPOINTABLE_OBJECT_GRAPH': b'graph'}


def test_one_entry_for_two_keys(tf, source, target):
  variable_bundle.copy_entries(source, target, {'a': 'v1', 'b': 'v1'})
  found = _values(tf, target)
  np.testing.assert_array_equal(found['a'], found['b'])


def test_several_shards_are_read(tf, source, target, tmp_path):
  middle = str(tmp_path / 'middle')
  variable_bundle.copy_entries(
      source, middle, {f'v{i}': f'v{i}' for i in range(10)}, None, 1)
  variable_bundle.copy_entries(middle, target, {'x': 'v7'})
  assert _values(tf, target)['x'].tolist() == [7.0] * 1024


def test_sizes(tf, source):
  sizes = variable_bundle.entry_sizes(source)
  assert sizes['v1'] == 4096 and sizes['scalar'] == 8 and len(sizes) == 12
  assert variable_bundle.entry_sizes(source + 'nowhere') == {}


def _assert_one_sentence(error, *parts):
  text = str(error.value)
  assert '\n' not in text and text.endswith('.')
  for part in parts:
    assert part in text


def test_missing_entry_is_named(source, target):
  with pytest.raises(UserError) as error:
    variable_bundle.copy_entries(source, target, {'a': 'absent'})
  _assert_one_sentence(error, "'absent'", source)


def test_missing_checkpoint(tf, target):
  with pytest.raises(UserError) as error:
    variable_bundle.copy_entries('/nowhere/variables', target, {'a': 'v0'})
  _assert_one_sentence(error, '/nowhere/variables')


@pytest.mark.both_stacks
@pytest.mark.parametrize('suffix', ['.index', '.data-00000-of-00001'])
@pytest.mark.parametrize('damage', ['missing', 'empty', 'half', 'garbage'])
def test_damaged_files(source, target, suffix, damage):
  path = pathlib.Path(source + suffix)
  contents = path.read_bytes()
  path.unlink()
  if damage != 'missing':
    path.write_bytes({'empty': b'', 'half': contents[:len(contents) // 2],
                      'garbage': bytes(255 - b for b in contents)}[damage])
  with pytest.raises(UserError) as error:
    variable_bundle.copy_entries(source, target, {'a': 'v9', 'b': 'v0', 'c': 'text'})
  _assert_one_sentence(error, source)
  with pytest.raises(UserError) as error:
    variable_bundle.are_equal(source, 'v9', 'v8')
  _assert_one_sentence(error, source)


_COPY = '''
import resource, sys
from exporter.saved_model import variable_bundle
import tensorflow as tf
source, target, portion = sys.argv[1:]
tf.zeros([1]).numpy()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sizes = variable_bundle.entry_sizes(source)
variable_bundle.copy_entries(source, target, {k: k for k in sizes}, None, int(portion))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
'''


@pytest.mark.slow
def test_memory_is_bounded_by_the_portion(tf, tmp_path):
  """2.25 GB of variables, with far less of memory."""
  os.makedirs(tmp_path / 'big')
  prefix = str(tmp_path / 'big' / 'variables')
  parts = []
  for i in range(36):
    parts.append(f'{prefix}_{i}')
    tf.raw_ops.SaveV2(prefix=parts[-1], tensor_names=[f'v{i}'],
                      shape_and_slices=[''], tensors=[tf.fill([16 << 20], float(i))])
  tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=prefix,
                                delete_old_dirs=False)
  os.makedirs(tmp_path / 'copy')
  copy = str(tmp_path / 'copy' / 'variables')
  run = subprocess.run(
      [sys.executable, '-c', _COPY, prefix, copy, str(128 << 20)], cwd=_ROOT,
      env={**os.environ, 'PYTHONPATH': str(_ROOT)}, capture_output=True, text=True,
      check=True)
  assert int(run.stdout.split()[-1]) < 900 << 10  # In kB.
  reader = tf.train.load_checkpoint(copy)
  for i in 0, 17, 35:
    value = reader.get_tensor(f'v{i}')
    assert value.shape == (16 << 20,) and value[0] == value[-1] == i
