"""The example client, as people will copy it, against the prediction server."""

import ast
import io
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from examples import serving_client
from exports import assert_same

_SCRIPT = pathlib.Path(serving_client.__file__)
_TRANSPORTS = ('grpc', 'rest')

_OUTPUTS = {
    'num_detections': np.float32(2),
    'detection_scores': np.float32([0.9, 0.4, 0]),
    'detection_classes': np.float32([3, 1, 1]),
    'detection_boxes': np.float32([[0, 0.25, 0.5, 1], [0, 0, 1, 1], [0, 0, 0, 0]]),
}


def test_needs_nothing_of_this_repository():
  roots = set()
  for node in ast.walk(ast.parse(_SCRIPT.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      roots |= {alias.name.partition('.')[0] for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0
      roots.add(node.module.partition('.')[0])
  assert roots - sys.stdlib_module_names == {
      'PIL', 'absl', 'grpc', 'numpy', 'tensorflow', 'tensorflow_serving'}


def test_text_of_detections():
  assert serving_client.detections_text(_OUTPUTS, 0.5) == (
      '0.900  class 3  y 0.000 to 0.500, x 0.250 to 1.000')
  assert len(serving_client.detections_text(_OUTPUTS, 0).splitlines()) == 2
  masks = {'detection_masks': np.zeros([3, 7, 9])}
  assert '7 × 9' in serving_client.detections_text(_OUTPUTS | masks, 0.5)
  assert 'Nothing' in serving_client.detections_text(_OUTPUTS, 0.95)


def _run(folder, *args):
  """Runs a copy of the script as a new process, away from this repository."""
  copy = folder / 'copied_client.py'
  copy.write_bytes(_SCRIPT.read_bytes())
  return subprocess.run([sys.executable, copy, *args], cwd=folder, text=True,
                        capture_output=True)


@pytest.mark.parametrize('args, words', [
    (['--image=none.png', '--model=m', '--rest=x'], 'none.png cannot be read'),
    (['--image=none.png', '--model=m'], 'either --grpc or --rest'),
    (['--image=image.png', '--model=m', '--rest=127.0.0.1:1'], 'refused'),
])
def test_mistakes_are_told(tmp_path, args, words):
  Image.new('RGB', (4, 4)).save(tmp_path / 'image.png')
  done = _run(tmp_path, *args)
  assert done.returncode == 1
  assert words in done.stderr and len(done.stderr.splitlines()) == 1


# Against the server.


def _predict(serving, transport, model, image, outputs):
  """What the client's function for the transport returns for a file or an .npy."""
  if transport == 'rest':
    loaded = np.load(image) if image.suffix == '.npy' else image.read_bytes()
    return serving_client.predict_rest(serving.addresses.rest, model, loaded)
  serving.run('predict_with_client', serving.addresses.grpc, model, image,
              outputs).ok()
  with np.load(outputs) as f:
    return {key: f[key] for key in f}


@pytest.fixture
def photo(serving, tmp_path):
  """The server's image as a lossless file."""
  path = tmp_path / 'photo.png'
  Image.fromarray(serving.image[0]).save(path)
  return path


@pytest.mark.slow
@pytest.mark.parametrize('transport', _TRANSPORTS)
def test_returns_what_the_loaded_model_does(serving, transport, tmp_path):
  np.save(tmp_path / 'image.npy', serving.image[0])
  found = _predict(serving, transport, 'ours', tmp_path / 'image.npy',
                   tmp_path / 'outputs.npz')
  assert_same(found, {key: array[0] for key, array in serving.expected.items()})


@pytest.mark.slow
@pytest.mark.parametrize('transport', _TRANSPORTS)
def test_sends_a_file_as_it_is(serving, transport, photo, tmp_path):
  found = _predict(serving, transport, 'encoded', photo, tmp_path / 'outputs.npz')
  red = serving.image[0, :, :, 0].mean() / 255
  np.testing.assert_allclose(found['detection_scores'], [red], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('send_file', [False, True])
@pytest.mark.parametrize('transport', _TRANSPORTS)
def test_script_prints_the_detections(serving, transport, send_file, photo, tmp_path):
  address = getattr(serving.addresses, transport)
  args = [f'--image={photo}', f'--{transport}={address}', '--min_score=0',
          f'--model={"encoded" if send_file else "ours"}',
          *(['--send_file'] if send_file else [])]
  if transport == 'rest':
    done = _run(tmp_path, *args)
    assert done.returncode == 0, done.stderr
  else:  # Where TensorFlow is imported already.
    done = serving.run('run_script', _SCRIPT, *args).ok()
  lines = done.stdout.splitlines()
  if send_file:
    assert len(lines) == 1 and 'class 7' in lines[0]
    return
  count = int(serving.expected['num_detections'][0])
  assert len(lines) == count > 0
  for line, score, class_, box in zip(
      lines, *(serving.expected[f'detection_{name}'][0]
               for name in ('scores', 'classes', 'boxes'))):
    assert line.startswith(f'{score:.3f}  class {class_:.0f}  y {box[0]:.3f} to')


@pytest.mark.slow
@pytest.mark.parametrize('transport, words', [
    ('grpc', 'NOT_FOUND: Servable not found for request: Latest(theirs)'),
    ('rest', '404: Servable not found for request: Latest(theirs)')])
def test_script_tells_what_the_server_says(serving, transport, words, photo, tmp_path):
  address = getattr(serving.addresses, transport)
  args = [f'--image={photo}', f'--{transport}={address}', '--model=theirs']
  if transport == 'rest':
    done = _run(tmp_path, *args)
    status = done.returncode
  else:
    done = serving.run('run_script', _SCRIPT, *args)
    status = done.status
  assert status == 1
  assert words in done.stderr and 'Traceback' not in done.stderr


def test_photo_formats_are_read_as_rgb(tmp_path):
  buffer = io.BytesIO()
  Image.new('L', (3, 2), 7).save(buffer, 'png')
  (tmp_path / 'gray.png').write_bytes(buffer.getvalue())
  image = serving_client._read_image(tmp_path / 'gray.png', False)
  assert image.dtype == np.uint8 and image.shape == (2, 3, 3) and (image == 7).all()
