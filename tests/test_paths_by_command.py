"""Each command with each way to name a folder or a file: it works, or says why not."""

from __future__ import annotations

import os
import pathlib
import shutil

from PIL import Image
import pytest

pytestmark = pytest.mark.slow

_LATIN = os.fsdecode(b'K\xf6ln')
# Ways to name a SavedModel from the folder of `files`.
_MODELS = {
    'relative': 'model', 'slashes': './/model//', 'blanks': 'a  b/[v2] $x',
    'umlauts': 'Ko\u0308ln ü/é', 'newline': 'a\nb', 'up': 'other/../model', 'link': 'link',
    'up from a link': 'link/..', 'export': 'export/', 'versions': 'serving/', 'not UTF-8': _LATIN,
}
# Ways to name a folder or a file that is written, in a folder that is there.
_OUTPUTS = {
    'relative': '{}', 'here': './{}', 'blanks': 'a  b/[v2] $x/{}', 'umlauts': 'Ko\u0308ln ü/{}',
    'up': 'other/../{}', 'link': 'linked folder/{}', 'up from a link': 'link/../{}',
    'double slash': 'other//{}',
}
# What each command reads a SavedModel with, beside it; it writes to the folder `out`.
_READERS = {
    'payload': (), 'triton_config': (), 'dead_nodes': (),
    'slim_saved_model': ('--output_keys=detection_boxes', '--output_directory=out/slim'),
    'draw_detections': ('--image=photo.png', '--output=out/drawn.png'),
    'detect_images': ('--images=photo.png', '--output=out/found'),
}
# What each command writes, and by which flags; `{}` is what is written.
_WRITERS = {
    'payload': ('plot.png', ('--plot={}',)),
    'slim_saved_model': ('slim/', ('--output_keys=detection_boxes', '--output_directory={}')),
    'draw_detections': ('drawn.png', ('--image=photo.png', '--output={}')),
    'detect_images': ('found/', ('--images=photo.png', '--output={}')),
}


@pytest.fixture(scope='module')
def model(loader_server, tmp_path_factory):
  folder = tmp_path_factory.mktemp('detector') / 'model'
  loader_server.run('batch_jobs:write_detector', folder).ok()
  return folder


@pytest.fixture
def files(model, tmp_path):
  """A folder with the SavedModel in all the places that `_MODELS` names."""
  for path in ('model', 'a  b/[v2] $x', 'Ko\u0308ln ü/é', 'a\nb', 'deep/[inner]/saved_model',
               'export/saved_model', 'export/3', 'serving/2', 'serving/10', _LATIN):
    shutil.copytree(model, tmp_path / path, copy_function=os.link)
  (tmp_path / 'serving' / '11').mkdir()  # Which is not complete yet.
  (tmp_path / 'other').mkdir()
  (tmp_path / 'out').mkdir()
  (tmp_path / 'link').symlink_to(tmp_path / 'deep' / '[inner]' / 'saved_model')
  (tmp_path / 'linked folder').symlink_to('deep')
  Image.new('RGB', (8, 8)).save(tmp_path / 'photo.png')
  return tmp_path


@pytest.fixture
def run(loader_server, files):
  def run(command, *flags, cwd=files):
    return loader_server.run(
        f'exporter.{command}:run', argv=[command, *flags], cwd=cwd, timeout=60)
  return run


def _files_in(folder: pathlib.Path) -> set[str]:
  return {str(path.relative_to(folder)) for path in folder.rglob('*') if not path.is_dir()}


@pytest.mark.parametrize('command', _READERS)
@pytest.mark.parametrize('way', _MODELS)
def test_a_saved_model_by_any_path(run, files, command, way):
  before = _files_in(files)
  ended = run(command, f'--saved_model_dir={_MODELS[way]}', *_READERS[command])
  _check_worked(command, ended)
  said = ended.stderr.splitlines()
  assert (said[:1] == ['serving/ holds versions of a SavedModel; read is the newest,'
                       ' serving/10.']) == (way == 'versions'), said
  assert all(path.startswith('out/') for path in _files_in(files) - before)


@pytest.mark.parametrize('command', _READERS)
def test_the_working_directory_as_saved_model(run, files, command):
  flags = [flag.replace('=out', '=../out').replace('=photo', '=../photo')
           for flag in _READERS[command]]
  _check_worked(command, run(command, '--saved_model_dir=.', *flags, cwd=files / 'model'))


@pytest.mark.parametrize('command', _READERS)
@pytest.mark.parametrize('path, named', [
    ('~/model', '~/model'), (' ', "' '"), ('photo.png', 'photo.png'), ('other', 'other')])
def test_what_is_no_saved_model_is_named(run, files, command, path, named):
  before = _files_in(files)
  ended = run(command, f'--saved_model_dir={path}', *_READERS[command])
  assert ended.status == 1
  (line,) = ended.stderr.splitlines()
  assert line.startswith(f'{command}: ') and named in line
  assert _files_in(files) == before


@pytest.mark.parametrize('command', _WRITERS)
@pytest.mark.parametrize('way', _OUTPUTS)
def test_a_result_by_any_path(run, files, command, way):
  name, flags = _WRITERS[command]
  path = _OUTPUTS[way].format(name)
  before = _files_in(files)
  _check_worked(command, run(
      command, '--saved_model_dir=model', *(flag.format(path) for flag in flags)))
  new = _files_in(files) - before
  # As the system reads the path, and not by its text.
  place = os.path.relpath(os.path.realpath(files / path), files)
  assert new and all(os.path.realpath(files / file).startswith(str(files / place))
                     for file in new), new


@pytest.mark.parametrize('command', ['slim_saved_model', 'detect_images'])
def test_the_working_directory_as_output(run, files, command):
  flags = [flag.replace('{}', '.').replace('=photo', '=../photo')
           for flag in _WRITERS[command][1]]
  _check_worked(command, run(
      command, '--saved_model_dir=../model', *flags, cwd=files / 'other'))
  assert list((files / 'other').iterdir())


@pytest.mark.parametrize('command', _WRITERS)
@pytest.mark.parametrize('folder', ['~', 'photo.png'])
def test_an_output_that_cannot_be_is_named(run, files, command, folder):
  name, flags = _WRITERS[command]
  before = _files_in(files)
  ended = run(command, '--saved_model_dir=model',
              *(flag.format(f'{folder}/{name}') for flag in flags))
  assert ended.status == 1
  assert 'Traceback' not in ended.stderr
  assert f'{folder}/{name}'.rstrip('/') in ended.stderr.splitlines()[-1]
  assert _files_in(files) == before


def test_a_slim_model_in_the_training_directory_leaves_what_is_there(run, files):
  training = {'checkpoint': b'model_checkpoint_path: "ckpt-1"', 'ckpt-1.index': b'1',
              'ckpt-1.data-00000-of-00001': b'2', 'pipeline.config': b'3'}
  for name, content in training.items():
    (files / 'other' / name).write_bytes(content)
  _check_worked('slim_saved_model', run(
      'slim_saved_model', '--saved_model_dir=model', '--output_keys=detection_boxes',
      '--output_directory=other'))
  assert training.items() <= {
      path.name: path.read_bytes() for path in (files / 'other').iterdir()
      if path.is_file()}.items()
  assert (files / 'other' / 'saved_model.pb').exists()


def _check_worked(command, ended):
  assert 'Traceback' not in ended.stderr, ended.stderr
  # It finds nodes that nothing needs.
  assert ended.status == (command == 'dead_nodes'), ended.stderr
  assert ended.stdout
