"""Everything read from a bucket and written to it, over a server of S3."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bucket_server
from bucket_server import BUCKET
from cluster_packages import needs
from families import SSD
from image_folders import write_images

pytestmark = [pytest.mark.slow, pytest.mark.cluster,
              needs('flask', 'moto', 's3fs', 'pyarrow')]

_LABEL_MAP = 'item { id: 1 name: "cat" }\n'
_PROFILE = 'output_keys: [detection_*, num_detections]\n'
_UPLOAD = ('import sys; from exporter import command_line;'
           'from exporter.publishing import remote_directory;'
           'sys.exit(command_line._status(lambda: remote_directory.upload(*sys.argv[1:]),'
           '"upload", [""], __import__("contextlib").nullcontext))')


@pytest.fixture(scope='module')
def port(tmp_path_factory):
  with bucket_server.served(tmp_path_factory.mktemp('bucket')) as port:
    yield port


@pytest.fixture(scope='module')
def bucket(port):
  return bucket_server.bucket(port)


@pytest.fixture(scope='module')
def run(port, exporter_server):
  """Runs a command line; as in a fresh process."""
  def run(module, *flags):
    return exporter_server.run('bucket_jobs:command', bucket_server.environment(port),
                               module, *flags)
  return run


@pytest.fixture(scope='module')
def exported(run, bucket, exports, tmp_path_factory):
  """An export from the bucket to the bucket, with a version."""
  folder = tmp_path_factory.mktemp('images')
  image = write_images(folder, 1)[0]
  bucket.put(str(exports.checkpoint(SSD.name)), f'{BUCKET}/training', recursive=True)
  bucket.put_file(str(SSD.pipeline), f'{BUCKET}/pipeline.config')
  bucket.put_file(image, f'{BUCKET}/photos/1.jpg')
  bucket.pipe(f'{BUCKET}/label map ü.pbtxt', _LABEL_MAP.encode())
  bucket.pipe(f'{BUCKET}/profile.yaml', _PROFILE.encode())
  url = f'{BUCKET}/exported'
  flags = [f'--pipeline_config_path={BUCKET}/pipeline.config',
           f'--trained_checkpoint_dir={BUCKET}/training/', f'--output_directory={url}',
           f'--output_config={BUCKET}/profile.yaml', '--serving_version=3',
           f'--label_map_path={BUCKET}/label map ü.pbtxt',
           f'--warmup_image={BUCKET}/photos/1.jpg']
  ended = run('exporter_main_v2', *flags).ok()
  assert ended.stdout.startswith(f'{url}: ')
  again = run('exporter_main_v2', *flags)
  assert again.status == 1
  assert f'{url} has a version 3 already' in again.stderr
  return url


def test_an_export_from_a_bucket_is_the_same(exported, bucket, exports, tmp_path):
  bucket.get(f'{exported}/3', str(tmp_path / 'version'), recursive=True)
  bucket.get(f'{exported}/saved_model', str(tmp_path / 'saved_model'), recursive=True)
  files = {str(p.relative_to(tmp_path / 'version')): p.read_bytes()
           for p in (tmp_path / 'version').rglob('*') if p.is_file()}
  assert {str(p.relative_to(tmp_path / 'saved_model')): p.read_bytes()
          for p in (tmp_path / 'saved_model').rglob('*') if p.is_file()} == files
  assert files['assets/label map ü.pbtxt'] == _LABEL_MAP.encode()
  assert {'saved_model.pb', 'variables/variables.index'} < set(files)
  local = exports.selected(SSD) / 'saved_model' / 'variables'
  # The same weights, in a graph with one output more.
  assert files['variables/variables.data-00000-of-00001'] == (
      local / 'variables.data-00000-of-00001').read_bytes()


def test_every_command_reads_an_export_in_a_bucket(run, exported, bucket):
  ended = run('payload', f'--saved_model_dir={exported}').ok()
  assert 'detection_boxes' in ended.stdout
  assert 'detection_boxes' in run('triton_config', f'--saved_model_dir={exported}/3').ok().stdout
  assert ' are dead.' in run('dead_nodes', f'--saved_model_dir={exported}/').ok().stdout
  run('draw_detections', f'--saved_model_dir={exported}',
      f'--image={BUCKET}/photos/1.jpg', '--min_score=0',
      f'--output={BUCKET}/drawn/1.png').ok()
  assert bucket.cat_file(f'{BUCKET}/drawn/1.png').startswith(b'\x89PNG')
  drawn = run('draw_detections', f'--saved_model_dir={exported}/saved_model',
              f'--image={BUCKET}/photos/none.jpg', f'--output={BUCKET}/drawn/2.png')
  assert (drawn.status, drawn.stderr) == (
      1, f'draw_detections: The image {BUCKET}/photos/none.jpg cannot be read: there is'
         ' no such file, folder or bucket.\n')


def test_a_slimming_between_buckets_and_one_that_breaks_off(
    run, exported, bucket, port, exporter_server):
  flags = [f'--saved_model_dir={exported}', '--output_keys=detection_boxes']
  run('slim_saved_model', *flags, f'--output_directory={BUCKET}/slim',
      '--serving_version=1').ok()
  assert bucket.exists(f'{BUCKET}/slim/1/saved_model.pb')
  same = run('slim_saved_model', *flags, '--in_place')
  assert same.status == 1
  assert f'in_place replaces {exported}/saved_model, which is a URL' in same.stderr
  # What is read has a few requests; what is written, megabytes.
  with bucket_server.cut_after(port, 3_000_000) as cut:
    ended = exporter_server.run(
        'bucket_jobs:command', bucket_server.environment(cut), 'slim_saved_model', *flags,
        f'--output_directory={BUCKET}/slim', '--serving_version=2')
  assert ended.status == 1
  assert ended.stderr.splitlines()[-1].startswith(
      f'slim_saved_model: The output directory {BUCKET}/slim was not written to its end')
  assert 'Traceback' not in ended.stderr
  found = bucket.find(f'{BUCKET}/slim')
  assert 'bucket/slim/2/saved_model.pb' not in found
  assert 'bucket/slim/saved_model.pb' in found
  assert bucket.cat_file(f'{BUCKET}/slim/saved_model.pb') == bucket.cat_file(
      f'{BUCKET}/slim/1/saved_model.pb')
  assert 'bucket/slim/1/saved_model.pb' in found


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  """A folder as an export is, of 400 kB."""
  folder = tmp_path_factory.mktemp('written')
  for name in ('pipeline.config', 'checkpoint/checkpoint', 'checkpoint/ckpt-0.index',
               'saved_model/saved_model.pb', 'saved_model/variables/variables.index',
               '4/saved_model.pb', '4/variables/variables.index',
               '4/assets.extra/tf_serving_warmup_requests'):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'x' * 50_000)
  return folder


# Where all is on its way, and where it has come and takes its names.
@pytest.mark.parametrize('sent', [0, 220_000, 395_000, 425_000])
def test_a_broken_upload_leaves_nothing_to_serve(port, bucket, written, sent):
  url = f'{BUCKET}/broken-{sent}'
  bucket.pipe(f'{url}/saved_model/saved_model.pb', b'old')
  with bucket_server.cut_after(port, sent) as cut:
    ended = _upload(cut, written, url)
  assert ended.returncode == 1
  (line,) = ended.stderr.splitlines()
  assert line.startswith(f'upload: The output directory {url} was not written to its end')
  found = {path[len(f'bucket/broken-{sent}/'):] for path in bucket.find(url)}
  assert '4/saved_model.pb' not in found
  if sent < 400_000:  # What stood there stands.
    assert {name for name in found if not name.startswith('.')} == {
        'saved_model/saved_model.pb'}
    assert bucket.cat_file(f'{url}/saved_model/saved_model.pb') == b'old'
    assert 'what stands there is as it was' in line or sent == 0
  else:
    assert 'saved_model/saved_model.pb' not in found
    assert 'pipeline.config' in found
  ended = _upload(port, written, url)
  assert ended.returncode == 0, ended.stderr
  assert len(bucket.find(url)) == 8


def _upload(port, folder, url):
  return subprocess.run(
      [sys.executable, '-c', _UPLOAD, folder, url], capture_output=True, text=True,
      check=False, env={'PATH': '', **bucket_server.environment(port)})


@pytest.mark.parametrize('flag', [
    '--pipeline_config_path=s3://none/p.config', '--trained_checkpoint_dir=s3://bucket/none',
    '--output_directory=s3://none/exported', '--output_config=s3://bucket/none.yaml',
    '--warmup_image=s3://none/1.jpg'])
def test_what_is_missing_in_a_bucket_is_named(run, exports, tmp_path, flag):
  ended = run('exporter_main_v2', f'--pipeline_config_path={SSD.pipeline}',
              f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
              f'--output_directory={tmp_path / "out"}', flag)
  assert ended.status == 1
  assert 'Traceback' not in ended.stderr
  line = ended.stderr.splitlines()[-1]
  assert line.startswith('exporter_main_v2: ')
  assert flag.partition('=')[2] in line
  assert list(tmp_path.iterdir()) == []


def test_detection_from_a_bucket_to_a_bucket(run, bucket, loader_server, tmp_path):
  from pyarrow import parquet
  loader_server.run('batch_jobs:write_detector', tmp_path / 'model').ok()
  bucket.put(str(tmp_path / 'model'), f'{BUCKET}/model', recursive=True)
  write_images(tmp_path / 'photos', 5, broken=1)
  bucket.put(str(tmp_path / 'photos'), f'{BUCKET}/many', recursive=True)
  bucket.pipe(f'{BUCKET}/many/notes.txt', b'mine')
  parts = [f'bucket/found/part-{i:06d}.parquet' for i in range(3)]

  def detect(*flags):
    return run('detect_images', f'--saved_model_dir={BUCKET}/model',
               f'--images={BUCKET}/many/*.jpg', f'--output={BUCKET}/found',
               '--images_per_part=2', *flags)

  assert detect().ok().stdout.startswith('5 images, 1 of them errors')
  assert [path for path in bucket.find(f'{BUCKET}/found') if 'part-' in path] == parts
  assert 'is not empty' in detect().stderr
  bucket.rm_file(parts[1])
  assert detect('--resume').ok().stdout.startswith('2 images, 1 of them errors')
  rows = [row for part in parts for row in parquet.read_table(bucket.open(part)).to_pylist()]
  assert [row['path'] for row in rows] == [f'{BUCKET}/many/{i:05d}.jpg' for i in range(5)]
  assert [row['error'] for row in rows] == [None] * 3 + ['The file is empty.', None]
