"""The comparison of exports of a folder of pipeline configs."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import zoo
from families import EFFICIENTDET


def test_bits_dtypes_shapes_and_keys_are_compared(tmp_path):
  same = {'a': np.arange(4, dtype=np.float32), 'nan': np.array([np.nan])}
  np.savez(tmp_path / 'stock.npz', **same, bits=np.array([0.0]), gone=np.zeros(2))
  np.savez(tmp_path / 'ours.npz', **same, bits=np.array([-0.0]), new=np.zeros(2))
  count, different, size = zoo._differences(
      str(tmp_path / 'stock.npz'), str(tmp_path / 'ours.npz'))
  assert (count, different, size) == (4, ('bits', 'gone', 'new'), 16 + 8 + 8 + 16)


def test_a_folder_without_configs(tmp_path):
  ended = subprocess.run(
      [sys.executable, '-m', 'benchmarks.zoo', f'--configs={tmp_path}'],
      capture_output=True, text=True, check=False)
  assert ended.returncode == 1
  assert f'no *.config in {tmp_path}' in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize('most, size', [(64, 64), (1000, 192)])
def test_images_are_made_small_and_never_large(exporter_server, tmp_path, most, size):
  exporter_server.run('benchmarks.zoo:write_small_pipeline', EFFICIENTDET.pipeline,
                      str(tmp_path), most).ok()
  written = (tmp_path / 'pipeline.config').read_text()
  assert f'height: {size}' in written and f'width: {size}' in written
