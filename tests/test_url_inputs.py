"""A URL that no installed package serves: every command says what to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize('module, flags, url', [
    ('slim_saved_model', ['--saved_model_dir=gs://models/old', '--output_keys=a',
                          '--output_directory=slim'], 'gs://models/old'),
    ('payload', ['--saved_model_dir=abfs://models/old'], 'abfs://models/old'),
    ('dead_nodes', ['--saved_model_dir=gs://models/old'], 'gs://models/old'),
    ('triton_config', ['--saved_model_dir=gs://models/old'], 'gs://models/old'),
    ('exporter_main_v2', ['--pipeline_config_path=p', '--trained_checkpoint_dir=t',
                          '--output_directory=o', '--warmup_image=gs://images/1.jpg'],
     'gs://images/1.jpg'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_url_is_named_with_what_serves_it(tmp_path, module, flags, url):
  ended = subprocess.run(
      [sys.executable, '-m', f'exporter.{module}', *flags], cwd=tmp_path,
      capture_output=True, text=True, check=False)
  assert ended.returncode == 1
  (line,) = ended.stderr.splitlines()
  assert f'{url} cannot be reached' in line
  assert 'pip install "lean-detection-exporter[remote]"' in line
  assert list(tmp_path.iterdir()) == []
