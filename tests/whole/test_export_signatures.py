"""Exports with several signatures: one body, one copy of the variables."""

import numpy as np
import pytest

from exporter.saved_model import variable_bundle
from exporter.saved_model.signature import read_signatures
from exporter.serving.image_request import run_on_image
from families import SSD

pytestmark = pytest.mark.slow

_MAIN = 'exporter.exporter_main_v2:run'


def _entries(folder):
  return variable_bundle.entry_sizes(
      str(folder / 'saved_model' / 'variables' / 'variables'), None)


def test_signatures_share_one_body(exports, exporter_server, tmp_path, image):
  target = tmp_path / 'exported'
  exporter_server.run(_MAIN, argv=[
      'exporter_main_v2', f'--pipeline_config_path={SSD.pipeline}',
      f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
      f'--output_directory={target}', f'--output_keys={SSD.output_keys}',
      f'--exclude_output_keys={SSD.exclude_output_keys}', '--verify',
      '--add_signature=from_bytes:encoded_image_string_tensor',
      f'--warmup_image={image}']).ok()
  alone = exports.selected(SSD)
  signatures = read_signatures(target)
  served = {name for name in signatures if not name.startswith('__')}
  assert served == {'serving_default', 'from_bytes'}
  main = read_signatures(alone)['serving_default']
  assert signatures['serving_default'].outputs == main.outputs
  assert signatures['from_bytes'].outputs == main.outputs
  assert signatures['from_bytes'].inputs['input_tensor'].shape == (1,)
  expected = run_on_image(alone, main, image)
  for name in served:
    found = run_on_image(target, signatures[name], image)
    for key, value in expected.items():
      np.testing.assert_array_equal(found[key], value)
  assert sum(_entries(target).values()) == sum(_entries(alone).values())
  sizes = [(folder / 'saved_model' / 'saved_model.pb').stat().st_size
           for folder in (alone, target)]
  assert sizes[1] <= 1.12 * sizes[0], sizes
