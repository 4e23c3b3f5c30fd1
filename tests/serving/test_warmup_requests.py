"""Warm-up requests: what they hold, and that the model answers them."""

import hashlib
import pathlib
import shutil

import numpy as np
import pytest

from exporter.serving import warmup_requests
from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from families import (
    CONTEXT_RCNN, DEEPMAC, MASK_RCNN, SSD, SSD_ENCODED, SSD_FLOAT, SSD_TF_EXAMPLE)
from image_files import write_image_files

_WARMUP = 'assets.extra/tf_serving_warmup_requests'


@pytest.fixture(scope='module')
def image(tmp_path_factory, loader_server):
  path = tmp_path_factory.mktemp('image') / 'noise.png'
  loader_server.run('warmup_jobs:write_image', path).ok()
  return path


def test_a_missing_image_is_named(tmp_path):
  with pytest.raises(UserError, match='none.jpg cannot be read'):
    warmup_requests.check_images([str(tmp_path / 'none.jpg')])


def test_more_than_the_server_takes(tmp_path):
  with pytest.raises(UserError, match='1001 warm-up images are too many'):
    warmup_requests.check_images([str(tmp_path / 'x.jpg')] * 1001)


def test_no_image_needs_no_package(monkeypatch):
  monkeypatch.setattr(warmup_requests.importlib.util, 'find_spec', lambda name: None)
  warmup_requests.check_images([])


def test_a_missing_package_is_named(monkeypatch, tmp_path):
  (tmp_path / 'x.jpg').write_bytes(b'\xff\xd8\xff')
  monkeypatch.setattr(warmup_requests.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(UserError, match='pip install tensorflow-serving-api'):
    warmup_requests.check_images([str(tmp_path / 'x.jpg')])


@pytest.mark.parametrize('content, says', [
    (b'RIFF\x10\0\0\0WEBPVP8 ', 'is WebP, and no JPEG, PNG, GIF or BMP image'),
    (b'II*\0', 'is TIFF'), (b'\0\0\0\x18ftypheic', 'is HEIC or AVIF'),
    (b'<svg xmlns="">', 'is SVG'), (b'%PDF-1.4', 'is PDF'),
    (b'hello', 'x.jpg is no JPEG, PNG, GIF or BMP image'), (b'', 'is empty')])
def test_what_no_model_decodes_is_named(tmp_path, content, says):
  (tmp_path / 'x.jpg').write_bytes(content)
  with pytest.raises(UserError, match=says):
    warmup_requests.check_images([str(tmp_path / 'x.jpg')])


@pytest.mark.slow
@pytest.mark.parametrize('family', [
    pytest.param(f, id=f'{f.name}-{f.input_type}') for f in
    (MASK_RCNN, SSD_FLOAT, SSD_ENCODED, SSD_TF_EXAMPLE, CONTEXT_RCNN, DEEPMAC)])
def test_the_model_answers_its_requests(exports, loader_server, image, tmp_path,
                                        family):
  saved_model = shutil.copytree(exports.selected(family) / 'saved_model',
                                tmp_path / 'saved_model')
  loader_server.run(
      'warmup_jobs:write', saved_model, [str(image), str(image)]).ok()
  replayed = loader_server.run('warmup_jobs:replay', saved_model).ok().value
  assert len(replayed) == 2
  stock = exports.stock_signature(family)
  keys = OutputSelection.parse(
      family.output_keys, family.exclude_output_keys).select(stock['outputs'])
  for request in replayed:
    assert request['signature'] == 'serving_default'
    assert request['outputs'] == sorted(keys)
    assert sorted(request['inputs']) == sorted(stock['inputs'])
    dtype, shape = request['inputs']['input_tensor']
    assert dtype == stock['inputs']['input_tensor'][0]
    if dtype == 'string':
      assert shape == [1]
    else:
      assert shape == [1, 48, 64, 3]
      assert request['sum'] == np.load(f'{image}.npy').sum(dtype=float)


@pytest.mark.slow
def test_export_for_a_server(exporter_server, loader_server, exports, image,
                             tmp_path):
  def run(version, *flags):
    return exporter_server.run(
        'exporter.exporter_main_v2:run', argv=[
            'exporter_main_v2', f'--pipeline_config_path={SSD.pipeline}',
            f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
            f'--output_directory={tmp_path / "ssd"}',
            '--output_keys=detection_boxes,detection_scores',
            f'--serving_version={version}', *flags])

  run(1, f'--warmup_image={image}', f'--warmup_image={image}').ok()
  assert sorted(p.name for p in (tmp_path / 'ssd').iterdir()) == [
      '1', 'checkpoint', 'pipeline.config', 'saved_model']
  assert len(loader_server.run(
      'warmup_jobs:replay', tmp_path / 'ssd' / '1').ok().value) == 2
  first = _digest(tmp_path / 'ssd' / '1')
  assert first == _digest(tmp_path / 'ssd' / 'saved_model')

  refused = run(1)
  assert refused.status == 1
  assert 'has a version 1 already' in refused.stderr
  assert 'Traceback' not in refused.stderr

  run(2).ok()
  assert _digest(tmp_path / 'ssd' / '1') == first
  assert not (tmp_path / 'ssd' / '2' / _WARMUP).exists()


@pytest.fixture
def as_stock_decodes(tf, save) -> pathlib.Path:
  """A model that decodes as stock's exports do, where a GIF becomes its frames."""
  def decode(encoded):
    image = tf.io.decode_image(encoded, channels=3)
    image.set_shape([None, None, 3])
    return tf.image.resize(image, [8, 8])

  module = tf.Module()
  module.detect = tf.function(
      lambda x: {'detection_boxes': tf.map_fn(decode, x, fn_output_signature=tf.float32)},
      input_signature=[tf.TensorSpec([None], tf.string, 'input_tensor')])
  return save(module, module.detect)


@pytest.mark.slow
@pytest.mark.parametrize('images, says', [
    (['noise.png', 'moving.gif'], r'image \S*moving.gif cannot be run by the model'),
    (['noise.png', 'cut.png'], r'image \S*cut.png is damaged'),
])
def test_what_the_model_cannot_run_is_not_written(
    as_stock_decodes, image, tmp_path, images, says):
  write_image_files(tmp_path)
  shutil.copy(image, tmp_path / 'noise.png')
  (tmp_path / 'cut.png').write_bytes(image.read_bytes()[:200])
  source = str(as_stock_decodes)
  with pytest.raises(UserError, match=says):
    warmup_requests.write(source, [str(tmp_path / name) for name in images])
  assert not (as_stock_decodes / 'assets.extra').exists()
  warmup_requests.write(source, [str(tmp_path / 'noise.png')])
  assert (as_stock_decodes / _WARMUP).exists()


@pytest.mark.slow
def test_slimmed_for_a_server(exports, loader_server, image, tmp_path):
  source = exports.selected(SSD) / 'saved_model'
  ended = loader_server.run(
      'exporter.slim_saved_model:run', argv=[
          'slim_saved_model', f'--saved_model_dir={source}',
          f'--output_directory={tmp_path / "ssd"}', '--output_keys=detection_boxes',
          '--serving_version=7', f'--warmup_image={image}'])
  ended.ok()
  replayed = loader_server.run(
      'warmup_jobs:replay', tmp_path / 'ssd' / '7').ok().value
  assert [request['outputs'] for request in replayed] == [['detection_boxes']]
  assert (tmp_path / 'ssd' / 'saved_model.pb').exists()
  assert not (source / _WARMUP).exists()


def _digest(folder) -> dict[str, str]:
  return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
          for path in folder.rglob('*') if path.is_file()}
