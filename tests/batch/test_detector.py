"""A Detector gives what the SavedModel gives, of every input type and batch."""

from __future__ import annotations

import io
import pickle

import numpy as np
from PIL import Image
import pytest

from families import CONTEXT_RCNN, DEEPMAC, SSD, SSD_ENCODED, SSD_FLOAT, SSD_TF_EXAMPLE

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def detect(loader_server, tmp_path_factory):
  def detect(saved_model_dir, images, **options):
    """The columns, and the sizes of the calls."""
    folder = tmp_path_factory.mktemp('detect')
    (folder / 'images').write_bytes(pickle.dumps(images))
    sizes = loader_server.run('batch_jobs:detect', saved_model_dir, folder / 'images',
                              folder / 'columns', *options.values()).ok().value
    return pickle.loads((folder / 'columns').read_bytes()), sizes
  return detect


@pytest.fixture(scope='module')
def models(loader_server, tmp_path_factory):
  folder = tmp_path_factory.mktemp('models')
  loader_server.run('batch_jobs:write_models', folder).ok()
  return folder


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
  stream = io.BytesIO()
  Image.fromarray(pixels).save(stream, kind)
  return stream.getvalue()


def _image(height: int, width: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).integers(
      200, size=(height, width, 3), dtype=np.uint8)


def _assert_same(value: np.ndarray, expected: np.ndarray):
  assert value.dtype == expected.dtype and value.shape == expected.shape
  assert value.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    'family', [pytest.param(SSD, marks=pytest.mark.both_stacks), SSD_FLOAT, SSD_ENCODED,
               SSD_TF_EXAMPLE],
    ids=lambda family: family.input_type)
def test_gives_what_stock_computes(exports, detect, family):
  export = exports.selected(family)
  # Stock was run on what is made of these images.
  rng = np.random.default_rng(7)
  images = rng.integers(256, size=(family.batch, 96, 128, 3), dtype=np.uint8)
  columns, sizes = detect(export, list(images), batch_size=family.batch)
  assert sizes == [family.batch]
  assert columns['height'] == [96] * family.batch
  assert columns['width'] == [128] * family.batch
  assert columns['error'] == [None] * family.batch
  expected = exports.stock_outputs(family)
  keys = columns.keys() - {'height', 'width', 'error'}
  assert keys and keys <= expected.keys()
  for key in keys:
    for i, value in enumerate(columns[key]):
      _assert_same(value, expected[key][i])


def test_encoded_files_of_every_kind_and_size_and_broken_ones(exports, detect):
  first, second = _image(40, 60), _image(50, 30, 1)
  images = [first, _encoded(first, 'PNG'), _encoded(first, 'BMP'), b'rubbish',
            second, b'', _encoded(second, 'PNG')[:-300], _encoded(second, 'GIF'),
            _encoded(second, 'JPEG'), first[:, :, 0]]
  for family in (SSD, SSD_ENCODED):
    columns, _ = detect(exports.selected(family), images)
    errors = columns['error']
    assert [i for i, error in enumerate(errors) if error] == [3, 5, 6, 9]
    assert errors[3] == 'The file is damaged, or no JPEG, PNG, GIF or BMP image.'
    assert errors[5] == 'The file is empty.'
    assert 'shape [40, 60]' in errors[9]
    assert columns['height'] == [40, 40, 40, None, 50, None, None, 50, 50, None]
    scores = columns['detection_scores']
    _assert_same(scores[0], scores[1])
    _assert_same(scores[0], scores[2])
    assert not np.array_equal(scores[0], scores[4])
    assert [i for i, value in enumerate(scores) if value is None] == [3, 5, 6, 9]


def test_groups_images_of_one_size_and_keeps_their_order(models, detect):
  sizes = [(4, 5), (6, 5), (4, 5), (4, 5), (6, 5), (4, 5), (7, 7)]
  images = [np.full([*size, 3], 10 * i, np.uint8) for i, size in enumerate(sizes)]
  columns, calls = detect(models / 'any_batch', images, batch_size=3,
                          outputs=['detection_scores'])
  assert sorted(calls) == [1, 1, 2, 3]
  assert [value[0] for value in columns['detection_scores']] == [
      10.0 * i for i in range(len(sizes))]
  # Anchors are none of any image's, so images go alone.
  columns, calls = detect(models / 'any_batch', images, batch_size=3)
  assert calls == [1] * len(sizes)
  assert columns['anchors'][0].shape == (2, 4)


def test_fills_up_a_fixed_batch(models, loader_server, detect):
  images = [np.full([4, 5, 3], 10 * i, np.uint8) for i in range(5)]
  columns, calls = detect(models / 'batch_of_3', images, batch_size=1,
                          outputs=['detection_scores'])
  assert calls == [3, 2]
  assert [value[0] for value in columns['detection_scores']] == [0, 10, 20, 30, 40]
  assert "'anchors'" in loader_server.run(
      'batch_jobs:mistake', models / 'batch_of_3').ok().value


@pytest.mark.parametrize('model', ['fixed_size', 'one_image'])
def test_takes_other_shapes(models, detect, model):
  columns, _ = detect(models / model, [np.full([20, 30, 3], 7, np.uint8),
                                       _encoded(np.full([9, 5, 3], 8, np.uint8), 'PNG')])
  assert columns['height'] == [20, 9] and columns['width'] == [30, 5]
  assert [float(value.ravel()[0]) for value in columns['detection_scores']] == [7, 8]


def test_decodes_for_a_model_of_one_channel(models, detect):
  columns, _ = detect(models / 'gray', [_encoded(_image(5, 6), 'PNG'),
                                        np.full([5, 6, 1], 9, np.uint8), _image(5, 6)])
  assert columns['detection_scores'][1][0] == 9
  assert columns['error'][:2] == [None, None] and '[5, 6, 3]' in columns['error'][2]


def test_image_on_which_the_model_fails_fails_alone(models, detect):
  images = [np.full([4, 5, 3], value, np.uint8) for value in (1, 255, 3)]
  columns, calls = detect(models / 'any_batch', images, batch_size=3,
                          outputs=['detection_scores'])
  assert calls[0] == 3
  assert columns['error'][0] is None and columns['error'][2] is None
  assert columns['error'][1].startswith('The model cannot be run on it: ')
  assert columns['height'] == [4] * 3
  assert columns['detection_scores'][2][0] == 3


@pytest.mark.parametrize('family, said', [
    (CONTEXT_RCNN, 'context_features [1, 10, 32]'), (DEEPMAC, 'boxes [1, ?, 4]')],
    ids=['context_rcnn', 'deepmac'])
def test_refuses_side_inputs(exports, loader_server, family, said):
  message = loader_server.run('batch_jobs:mistake', exports.selected(family)).ok().value
  assert 'side inputs' in message and said in message


def test_mistakes_are_told(exports, loader_server, tmp_path):
  def mistake(*args):
    return loader_server.run('batch_jobs:mistake', *args).ok().value

  export = exports.selected(SSD)
  assert 'There is no directory' in mistake(tmp_path / 'none')
  assert "did you mean 'detection_boxes'?" in mistake(export, ['detection_box'])
  assert "no signature 'other'" in mistake(export, None, 'other')
