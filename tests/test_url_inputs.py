"""What is read must be local, and every command says so."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize('module, flags, url', [
    ('slim_saved_model', ['--saved_model_dir=gs://models/old', '--output_keys=a',
                          '--output_directory=slim'], 'gs://models/old'),
    ('payload', ['--saved_model_dir=s3://models/old'], 's3://models/old'),
    ('dead_nodes', ['--saved_model_dir=gs://models/old'], 'gs://models/old'),
    ('triton_config', ['--saved_model_dir=gs://models/old'], 'gs://models/old'),
    ('exporter_main_v2', ['--pipeline_config_path=p', '--trained_checkpoint_dir=t',
                          '--output_directory=o', '--warmup_image=gs://images/1.jpg'],
     'gs://images/1.jpg'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_url_is_named_as_one(tmp_path, module, flags, url):
  ended = subprocess.run(
      [sys.executable, '-m', f'exporter.{module}', *flags], cwd=tmp_path,
      capture_output=True, text=True, check=False)
  assert ended.returncode == 1
  assert f'{url} is a URL; what is read must be local' in ended.stderr
  assert 'Traceback' not in ended.stderr
  assert list(tmp_path.iterdir()) == []
