"""The command line where it needs no TensorFlow: help, and what is typed wrong."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from traps import set_traps

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_MAIN = _ROOT / 'exporter' / 'exporter_main_v2.py'
_PIPELINE = _ROOT / 'configs' / 'pipelines' / 'ssd_mobilenet_v2_small.config'

OURS = ('output_keys', 'exclude_output_keys', 'output_config', 'list_output_keys')
UPSTREAMS = ('input_type', 'pipeline_config_path', 'trained_checkpoint_dir',
             'output_directory', 'config_override', 'use_side_inputs',
             'side_input_shapes', 'side_input_types', 'side_input_names')


@pytest.fixture(scope='session')
def no_tensorflow(tmp_path_factory) -> pathlib.Path:
  """A folder for PYTHONPATH with packages that fail when they are imported."""
  return set_traps(tmp_path_factory.mktemp('no_tensorflow'),
                   ('tensorflow', 'tf_keras', 'keras', 'object_detection'))


@pytest.fixture
def run(no_tensorflow, tmp_path):
  """Runs the exporter in an empty folder, with a TensorFlow that must not run."""
  def run(*args, start=('-m', 'exporter.exporter_main_v2'), path=(_ROOT,)):
    cwd = tmp_path / 'working_directory'
    cwd.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, *map(str, start), *map(str, args)], cwd=cwd,
        capture_output=True, text=True, check=False,
        env={**os.environ, 'COLUMNS': '80', 'PYTHONPATH': os.pathsep.join(
            map(str, (no_tensorflow, *path)))})
  return run


def test_the_trap_works(run):
  done = run(start=('-c', 'import tensorflow'))
  assert 'tensorflow was imported' in done.stderr


@pytest.mark.parametrize('start, path', [
    (('-m', 'exporter.exporter_main_v2'), (_ROOT,)),
    ((_MAIN,), ()),
    ((os.path.relpath(_MAIN, '/'),), ()),
], ids=['module', 'path', 'relative path'])
def test_help_needs_no_tensorflow(run, tmp_path, start, path):
  if not os.path.isabs(start[0]) and start[0] != '-m':
    start = (os.path.relpath(_MAIN, tmp_path / 'working_directory'),)
  done = run('--help', start=start, path=path)
  assert 'was imported' not in done.stderr
  for flag in (*OURS, *UPSTREAMS):
    assert re.search(rf'--(\[no\])?{flag}\b', done.stdout), flag


def test_entry_point_of_the_console_script(run):
  done = run('--help', start=('-c', 'from exporter.exporter_main_v2 import run;'
                              'run()'))
  assert '--output_keys' in done.stdout and 'was imported' not in done.stderr


VALID = (f'--pipeline_config_path={_PIPELINE}', '--trained_checkpoint_dir=training',
         '--output_directory=exported')


@pytest.mark.parametrize('args, says', [
    (['--output_keys='], "output_keys is ''"),
    (['--output_keys= , '], 'names no output key'),
    (['--exclude_output_keys='], "exclude_output_keys is ''"),
    (['--output_config=none.yaml'], 'none.yaml cannot be read'),
    (['--output_config='], 'cannot be read'),
    (['--output_config=broken.yaml'], 'not valid YAML at line'),
    (['--output_config=unknown.yaml'], "did you mean 'output_keys'"),
    (['--use_side_inputs'], 'side_input_shapes|side_input_types|side_input_names'),
    (['--use_side_inputs', '--side_input_shapes=1,x', '--side_input_types=float',
      '--side_input_names=a'], "'1,x'"),
    (['--use_side_inputs', '--side_input_shapes=1', '--side_input_types=flaot',
      '--side_input_names=a'], "did you mean 'float'"),
    (['--use_side_inputs', '--side_input_shapes=1', '--side_input_names=a',
      '--side_input_types=__import__("os").mkdir("evaluated")'],
     'side_input_types holds'),
    (['--output_directory=file'], 'file is a file'),
    (['--output_directory=file/exported'], 'file is a file'),
    (['--output_directory=training'], 'training directory'),
    (['--label_map_path=none.pbtxt'], 'none.pbtxt cannot be read'),
    (['--input_shape=4,640,640'], '3 dimensions'),
    (['--trained_checkpoint_prefix=training/ckpt-1'], 'each is given'),
    (['--trained_checkpoint_dir=file'], 'file does not exist or is not a folder'),
    (['--rename=input_tensor'], "rename has the entry 'input_tensor'"),
    (['--rename_signature=x:y'], "'x', which is no signature"),
    (['--input_type=image_tenser'], "did you mean 'image_tensor'"),
    (['exported'], "'exported' is not a flag"),
], ids=lambda value: value[0][:40] if isinstance(value, list) else None)
def test_mistake_is_one_sentence_and_needs_no_tensorflow(run, tmp_path, args, says):
  folder = tmp_path / 'working_directory'
  folder.mkdir()
  (folder / 'file').write_text('mine')
  (folder / 'broken.yaml').write_text('output_keys:\n  - [a\n')
  (folder / 'unknown.yaml').write_text('output_key: [a]\n')
  (folder / 'training').mkdir()
  (folder / 'training' / 'checkpoint').write_text('model_checkpoint_path: "ckpt-1"')
  before = sorted(folder.rglob('*'))
  done = run(*VALID, *args)
  assert done.returncode == 1
  assert done.stdout == ''
  assert done.stderr.startswith('exporter_main_v2: ')
  assert done.stderr.count('\n') == 1
  assert re.search(says, done.stderr)
  assert sorted(folder.rglob('*')) == before


@pytest.mark.parametrize('args, says', [
    ([], '--pipeline_config_path must have a value'),
    ([VALID[0]], '--trained_checkpoint_dir and --output_directory must have'),
    ([VALID[0], VALID[1]], '--output_directory must have'),
    (['--list_output_keys'], '--pipeline_config_path must have a value'),
    ([*VALID, '--output_key=detection_boxes'], "Did you mean: output_keys"),
    ([*VALID, '--use_side_inputs=perhaps'], 'perhaps'),
], ids=str)
def test_flags_that_do_not_parse(run, args, says):
  done = run(*args)
  assert done.returncode == 1
  assert re.search(says, done.stderr + done.stdout)
  assert 'Traceback' not in done.stderr
  assert 'was imported' not in done.stderr


def test_listing_needs_neither_checkpoint_nor_output_directory(run):
  # The flags were fine: next is the environment, which is a trap here.
  done = run(VALID[0], '--list_output_keys')
  assert 'The package object_detection' in done.stderr
