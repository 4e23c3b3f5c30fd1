"""Images of every kind become stock's pixels, and a GIF its first frame."""

import pytest

from families import SSD_ENCODED, SSD_TF_EXAMPLE
from image_files import STILL, write_image_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('images')
  write_image_files(folder)
  return folder


@pytest.fixture(scope='module')
def decoded(folder, exporter_server):
  paths = sorted(map(str, folder.iterdir()))
  return exporter_server.run('image_jobs:decode', paths).ok().value


@pytest.mark.both_stacks
@pytest.mark.parametrize('name', STILL)
def test_pixels_are_stocks(decoded, name):
  stock, ours, stock_example, our_example = decoded[name]
  assert ours == stock
  assert our_example == stock_example
  assert ours.startswith(('(40, 56, 3) uint8', 'error: '))


def test_most_kinds_can_be_decoded(decoded):
  failed = {name for name in STILL if decoded[name][0].startswith('error')}
  assert failed <= {'gray.bmp', 'cmyk.jpg'}, failed


@pytest.mark.both_stacks
@pytest.mark.parametrize('name', ['still', 'moving'])
def test_gif_is_its_first_frame(decoded, name):
  _, ours, _, our_example = decoded[f'{name}.gif']
  frame = decoded[f'{name}_frame.png'][0]
  assert frame.startswith('(40, 56, 3)')
  assert ours == our_example == frame


@pytest.mark.parametrize('family', [
    pytest.param(f, id=f.input_type) for f in (SSD_ENCODED, SSD_TF_EXAMPLE)])
def test_export_takes_a_gif(exports, loader_server, folder, family):
  saved_model = exports.selected(family) / 'saved_model'
  of_gif, of_frame = (
      loader_server.run('image_run_jobs:run', saved_model, folder / name).ok().value
      for name in ('moving.gif', 'moving_frame.png'))
  assert of_gif == of_frame
