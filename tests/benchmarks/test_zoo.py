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


@pytest.mark.parametrize('folder, said', [
    ('', "CONFIGS is '', which is not a folder"), ('missing', 'missing\', which is not a folder'),
    ('a.config', "a.config', which is not a folder"), ('empty', 'no *.config in ')])
def test_folders_without_configs(tmp_path, folder, said):
  (tmp_path / 'a.config').touch()
  (tmp_path / 'empty').mkdir()
  ended = subprocess.run(
      [sys.executable, '-m', 'benchmarks.zoo',
       f'--configs={tmp_path / folder if folder else ""}'],
      capture_output=True, text=True, check=False)
  assert ended.returncode == 1 and ended.stdout == ''
  assert said in ended.stderr and ended.stderr.count('\n') == 1


def test_configs_of_one_name_in_two_folders_are_two(tmp_path):
  for name in ('b.config', 'x/a.config', 'y/a.config', 'a.txt'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  assert zoo.configs_in(str(tmp_path)) == {
      name: f'{tmp_path}/{name}.config' for name in ('b', 'x/a', 'y/a')}


@pytest.mark.slow
def test_configs_that_cannot_be_compared_say_why(tmp_path):
  configs = tmp_path / 'configs'
  configs.mkdir()
  (configs / 'broken.config').write_text('model { ssd {')
  (configs / 'empty.config').touch()
  (configs / 'experiment.config').write_text("model { experimental_model { name: 'a' } }")
  (configs / 'folder.config').mkdir()
  (configs / 'picture.config').write_bytes(b'\x89PNG\xff')
  ended = subprocess.run(
      [sys.executable, '-W', 'ignore', '-m', 'benchmarks.zoo', f'--configs={configs}',
       f'--output_directory={tmp_path}/out'], capture_output=True, text=True, check=False)
  assert ended.returncode == 1, ended.stderr
  rows = {row.split(' | ')[0]: row for row in ended.stdout.splitlines()[2:]}
  assert list(rows) == [f'| {name}' for name in (
      'broken', 'empty', 'experiment', 'folder', 'picture')]
  for name, reason in {
      'broken': 'not a valid TrainEvalPipelineConfig', 'empty': 'describes no model',
      'experiment': 'experimental_model', 'folder': 'Is a directory',
      'picture': 'not UTF-8'}.items():
    assert reason in rows[f'| {name}']


@pytest.mark.slow
@pytest.mark.parametrize('most, size', [(64, 64), (1000, 192)])
def test_images_are_made_small_and_never_large(exporter_server, tmp_path, most, size):
  exporter_server.run('benchmarks.zoo:write_small_pipeline', EFFICIENTDET.pipeline,
                      str(tmp_path), most).ok()
  written = (tmp_path / 'pipeline.config').read_text()
  assert f'height: {size}' in written and f'width: {size}' in written
