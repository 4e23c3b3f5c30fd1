"""Slimming a SavedModel: what it takes and refuses, and what it leaves alone."""

import hashlib
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.saved_model.files import SavedModelFiles
from exporter.slimming import contents_of, slim_saved_model

tf = pytest.importorskip('tensorflow')
_X = np.float32([1, 2, 3])


class _Model(tf.Module):
  """Two signatures; one variable for each output of the first."""

  def __init__(self):
    super().__init__()
    self.small = tf.Variable(2.0)
    self.large = tf.Variable(tf.random.normal([256, 256]))

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  def __call__(self, x):
    return {'small': x * self.small, 'large': tf.reduce_sum(self.large) * x}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  def other(self, x):
    return {'sum': x + self.small, 'difference': x - self.small}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  folder = tmp_path_factory.mktemp('made') / 'model'
  model = _Model()
  tf.saved_model.save(model, str(folder), signatures={
      'serving_default': model.__call__.get_concrete_function(),
      'other': model.other.get_concrete_function()})
  return folder


@pytest.fixture
def source(made, tmp_path):
  return shutil.copytree(made, tmp_path / 'source')


def _slim(source, target, allow='small', **options):
  return slim_saved_model(
      str(source), target and str(target), OutputSelection.parse(allow), **options)


def _digest(folder: pathlib.Path) -> dict[str, str]:
  """Every file but the fingerprint, which holds a number made at random."""
  return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
          for path in sorted(folder.rglob('*'))
          if path.is_file() and path.name != 'fingerprint.pb'}


def _run(folder, signature='serving_default'):
  loaded = tf.saved_model.load(str(folder)).signatures[signature]
  return {key: value.numpy() for key, value in loaded(x=tf.constant(_X)).items()}


@pytest.mark.both_stacks
def test_keeps_the_selected_outputs_and_what_they_need(source, tmp_path):
  before = _digest(source)
  report = _slim(source, tmp_path / 'slim')
  outputs = _run(tmp_path / 'slim')
  assert list(outputs) == ['small']
  np.testing.assert_array_equal(outputs['small'], _run(source)['small'])
  assert [shape for key, shape in tf.train.list_variables(
      str(tmp_path / 'slim/variables/variables')) if 'VALUE' in key] == [[]]
  assert _digest(source) == before
  assert report.before.outputs == ('large', 'small')
  assert report.after == contents_of(str(tmp_path / 'slim'))
  assert report.dropped_signatures == ('other',)
  assert report.is_callable
  # Positions count the keys in alphabetical order.
  (moved,) = report.moved_tensors
  assert (moved.signature, moved.key) == ('serving_default', 'small')
  node, _, position = moved.before.partition(':')
  assert (position, moved.after) == ('1', f'{node}:0')


def test_slimming_twice_changes_nothing_more(source, tmp_path):
  _slim(source, tmp_path / 'once')
  report = _slim(tmp_path / 'once', tmp_path / 'twice')
  assert report.before == report.after
  assert _digest(tmp_path / 'once') == _digest(tmp_path / 'twice')


@pytest.mark.both_stacks
def test_other_signatures_stay_when_asked_for(source, tmp_path):
  report = _slim(source, tmp_path / 'slim', keep_other_signatures=True)
  assert report.dropped_signatures == ()
  expected = _run(source, 'other')
  for key, value in _run(tmp_path / 'slim', 'other').items():
    np.testing.assert_array_equal(value, expected[key])


def test_another_signature_can_be_slimmed(source, tmp_path):
  _slim(source, tmp_path / 'slim', 'sum', signature='other')
  assert list(_run(tmp_path / 'slim', 'other')) == ['sum']
  assert list(tf.saved_model.load(str(tmp_path / 'slim')).signatures) == ['other']


def test_dry_run_reports_the_same_and_writes_nothing(source, tmp_path):
  before = _digest(tmp_path)
  planned = _slim(source, None, dry_run=True)
  assert _digest(tmp_path) == before
  assert planned == _slim(source, tmp_path / 'slim')


@pytest.mark.both_stacks
def test_in_place_replaces_it_and_keeps_foreign_files(source):
  (source / 'LICENSE').write_text('somebody else\'s')
  _slim(source, None, in_place=True)
  assert list(_run(source)) == ['small']
  assert (source / 'LICENSE').read_text() == 'somebody else\'s'


def test_extra_assets_stay(source, tmp_path):
  (source / 'assets.extra').mkdir()
  (source / 'assets.extra/tf_serving_warmup_requests').write_bytes(b'requests')
  _slim(source, tmp_path / 'slim')
  assert (tmp_path / 'slim/assets.extra/tf_serving_warmup_requests'
          ).read_bytes() == b'requests'


@pytest.mark.parametrize('target, sentence', [
    ('source', 'lie in one another'),
    ('source/inside', 'lie in one another'),
    ('.', 'lie in one another'),
    ('file', 'is a file'),
    ('file/below', 'is a file'),
])
def test_refuses_an_unfit_output_directory(source, tmp_path, target, sentence):
  (tmp_path / 'file').write_text('')
  before = _digest(tmp_path)
  with pytest.raises(UserError, match=sentence):
    _slim(source, tmp_path / target)
  assert _digest(tmp_path) == before


# Room for nothing; for a part of the variables; for all but a part of the graph.
@pytest.mark.parametrize('size', ['16k', '120k', '260k'])
def test_full_disk(source, small_disk, size):
  disk = small_disk(size)
  with pytest.raises(UserError, match='cannot be written: .*[Nn]o space left'):
    _slim(source, disk / 'slim', 'large')
  assert list(disk.iterdir()) == []


# Of the variables; of the graph.
@pytest.mark.parametrize('kilobytes, key', [(100, 'large'), (4, 'small')])
def test_files_may_not_be_that_large(source, tmp_path, kilobytes, key):
  def limit():
    size = kilobytes << 10
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

  done = subprocess.run(
      _command(f'--saved_model_dir={source}', f'--output_keys={key}',
               f'--output_directory={tmp_path / "slim"}'),
      preexec_fn=limit, capture_output=True, text=True, check=False)
  assert done.returncode == 1
  assert 'cannot be written: ' in done.stderr and 'File too large' in done.stderr
  assert 'Traceback' not in done.stderr
  assert [path.name for path in tmp_path.iterdir()] == ['source']


def test_refuses_two_targets(source, tmp_path):
  with pytest.raises(UserError, match='leave one of them out'):
    _slim(source, tmp_path / 'elsewhere', in_place=True)
  with pytest.raises(UserError, match='output directory is needed'):
    _slim(source, None)


def test_unknown_names_come_with_the_nearest(source, tmp_path):
  with pytest.raises(UserError, match="did you mean 'serving_default'.*other"):
    _slim(source, tmp_path / 'slim', signature='serving_defualt')
  with pytest.raises(UserError, match="did you mean 'small'.*large, small"):
    _slim(source, tmp_path / 'slim', 'smal')
  assert not (tmp_path / 'slim').exists()


def test_an_export_folder_stands_for_the_saved_model_in_it(source, tmp_path):
  _slim(source, tmp_path / 'slim')
  export = tmp_path / 'export'
  export.mkdir()
  source.rename(export / 'saved_model')
  _slim(export, tmp_path / 'slim_of_export')
  assert (tmp_path / 'slim_of_export/saved_model.pb').read_bytes() == (
      tmp_path / 'slim/saved_model.pb').read_bytes()


def test_the_newest_version_is_slimmed_but_not_in_place(source, tmp_path):
  served = tmp_path / 'served'
  served.mkdir()
  (served / '1').mkdir()
  (served / '1/saved_model.pb').write_bytes(b'damaged')
  source.rename(served / '2')
  before = _digest(served)
  with pytest.raises(UserError, match='served/2.*another output directory'):
    _slim(served, None, in_place=True)
  _slim(served, tmp_path / 'slim')
  assert list(_run(tmp_path / 'slim')) == ['small']
  assert _digest(served) == before
  _slim(served / '2', None, in_place=True)
  assert list(_run(served / '2')) == ['small']


def _add_graph_for_tpu(source):
  """Adds the graph once more, tagged serve and tpu, in front."""
  path = source / 'saved_model.pb'
  saved_model = SavedModelFiles.open(source).proto
  graph = saved_model.meta_graphs[0]
  both = [type(graph)(), graph]
  both[0].CopyFrom(graph)
  both[0].meta_info_def.tags.append('tpu')
  path.write_bytes(type(saved_model)(
      saved_model_schema_version=1, meta_graphs=both).SerializeToString())


def test_of_several_graphs_the_one_that_servers_load_or_the_one_named(source, tmp_path):
  _add_graph_for_tpu(source)
  _slim(source, tmp_path / 'slim')
  assert SavedModelFiles.open(tmp_path / 'slim', ['serve'])
  _slim(source, tmp_path / 'tpu', tag_set=['tpu', 'serve'])
  assert SavedModelFiles.open(tmp_path / 'tpu', ['serve', 'tpu'])
  with pytest.raises(UserError, match='are: serve,tpu; serve'):
    _slim(source, tmp_path / 'none', tag_set=['tpu'])


def test_a_url_that_nothing_serves_is_refused_as_such(tmp_path):
  with pytest.raises(UserError, match='nowhere://bucket/model cannot be reached'):
    _slim('nowhere://bucket/model', tmp_path / 'slim')
  assert not (tmp_path / 'slim').exists()


def _truncate(path: pathlib.Path, share: float):
  content = path.read_bytes()
  path.write_bytes(content[:int(len(content) * share)])


@pytest.mark.parametrize('damage, sentence', [
    (lambda d: _truncate(d / 'saved_model.pb', 0.5), 'damaged'),
    (lambda d: (d / 'saved_model.pb').write_bytes(b'\x00garbage\xff' * 99), 'damaged'),
    (lambda d: (d / 'saved_model.pb').write_bytes(b''), 'damaged'),
    (lambda d: (d / 'variables/variables.index').unlink(), 'cannot be read'),
    (lambda d: _truncate(d / 'variables/variables.index', 0.5), 'cannot be read'),
    (lambda d: (d / 'variables/variables.data-00000-of-00001').unlink(),
     'cannot be read'),
    (lambda d: shutil.rmtree(d / 'variables'), 'cannot be read'),
], ids=['truncated pb', 'garbage pb', 'empty pb', 'no index', 'truncated index',
        'no shard', 'no variables'])
def test_a_damaged_model_is_one_sentence(source, tmp_path, damage, sentence):
  damage(source)
  with pytest.raises(UserError, match=sentence):
    _slim(source, tmp_path / 'slim')
  assert sorted(path.name for path in tmp_path.iterdir()) == ['source']


def _command(*flags):
  return [sys.executable, '-m', 'exporter.slim_saved_model', *map(str, flags)]


@pytest.mark.both_stacks
def test_command_line_prints_what_has_gone(source, tmp_path):
  done = subprocess.run(
      _command(f'--saved_model_dir={source}', '--output_keys=s*',
               f'--output_directory={tmp_path / "slim"}'),
      capture_output=True, text=True, check=True)
  assert 'Outputs that are gone: large' in done.stdout
  assert 'Signatures that are gone: other' in done.stdout
  assert re.search(r'  small: (\S+):1 -> \1:0$', done.stdout, re.M)
  assert list(_run(tmp_path / 'slim')) == ['small']


_PRINT = """
from exporter.serving.response_size import ResponseSize
from exporter.slim_saved_model import print_report
from exporter.slimming import Contents, SlimReport
contents = Contents((), 0, 0, 0, 0, 0, ResponseSize(0, 0))
print_report(SlimReport(contents, contents, (), (), True, acting_ops=('PyFunc (2)',),
                        given_up_gradients=('while/while_context',)))
"""


def test_prints_what_acts_and_what_has_no_gradients():
  # In a process of its own, as commands share names of flags.
  done = subprocess.run(
      [sys.executable, '-c', _PRINT], capture_output=True, text=True, check=True)
  assert 'Kept because they may change state: PyFunc (2)\n' in done.stdout
  assert 'Gradients are given up through these loops of TF1: while/while_context' in (
      done.stdout)


@pytest.mark.parametrize('flags, sentence', [
    (['--output_directory=slim'], 'Say which outputs stay'),
    (['--output_keys=,', '--output_directory=slim'], 'names no output key'),
    (['--output_config=missing.yaml'], 'cannot be read'),
    (['--output_keys=small'], 'output directory is needed'),
    (['small', '--output_keys=small'], 'is not a flag'),
])
def test_mistakes_are_told_before_tensorflow(tmp_path, flags, sentence):
  (tmp_path / 'model').mkdir()
  (tmp_path / 'model/saved_model.pb').write_bytes(b'')
  (tmp_path / 'tensorflow').mkdir()
  (tmp_path / 'tensorflow/__init__.py').write_text('raise AssertionError')
  root = pathlib.Path(__file__).resolve().parents[1]
  done = subprocess.run(
      _command('--saved_model_dir=model', *flags), cwd=tmp_path,
      env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{root}'},
      capture_output=True, text=True, check=False)
  assert done.returncode == 1
  assert sentence in done.stderr
  assert 'Traceback' not in done.stderr


# Of each way to slim; more are run by hand: KILLS=25 make test ARGS='-k test_killed'.
_KILLS = int(os.environ.get('KILLS', '3'))


@pytest.mark.slow
@pytest.mark.parametrize('in_place', [True, False])
def test_killed_leaves_the_old_one_or_the_new_one(source, tmp_path, in_place):
  """What is there, also below another output directory, is one of them and complete."""
  for name in ('assets.extra/mine', 'variables/mine', 'mine'):
    (source / name).parent.mkdir(exist_ok=True)
    (source / name).write_text('mine')

  def slim(folder):
    return _command(f'--saved_model_dir={folder if in_place else source}',
                    '--output_keys=small', '--in_place' if in_place else
                    f'--output_directory={folder}')

  target = source if in_place else shutil.copytree(source, tmp_path / 'target')
  old = _digest(target)
  start = time.monotonic()
  reference = shutil.copytree(target, tmp_path / 'reference')
  subprocess.run(slim(reference), check=True, capture_output=True)
  whole = time.monotonic() - start
  new = _digest(reference)
  chance = random.Random(0)
  for _ in range(_KILLS):
    process = subprocess.Popen(slim(target), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    time.sleep(chance.uniform(0.6, 1.05) * whole)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _digest(target) in (old, new)
    _run(target)
  # The next run that is let be clears away what the killed ones left.
  subprocess.run(slim(target), check=True, capture_output=True)
  assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
      {'reference', 'source', target.name})


_SAVE_LARGE = """
import sys
import tensorflow as tf

class Large(tf.Module):

  def __init__(self):
    super().__init__()
    self.kept = [tf.Variable(tf.zeros([55, 1000, 1000])) for _ in range(10)]
    self.dropped = tf.Variable(tf.zeros([1000, 1000]))

  @tf.function(input_signature=[tf.TensorSpec([], tf.float32, 'x')])
  def __call__(self, x):
    return {'kept': tf.add_n([x + v[0, 0, 0] for v in self.kept]),
            'dropped': x + self.dropped[0, 0]}

model = Large()
tf.saved_model.save(model, sys.argv[1],
                    signatures=model.__call__.get_concrete_function())
"""

# From inside: what the kernel tells the parent counts the parent's own memory, as
# it was before the new process ran Python.
_SLIM_AND_TELL_PEAK = """
import atexit, re, runpy

@atexit.register
def tell():
  with open('/proc/self/status') as f:
    print(re.search(r'VmHWM:\\s*(\\d+) kB', f.read())[1])

runpy.run_module('exporter.slim_saved_model', run_name='__main__')
"""


@pytest.mark.slow
def test_more_variables_than_memory_to_hold_them(tmp_path):
  """2.2 GB of variables pass through a process that stays below 1.5 GB."""
  # Elsewhere: TensorFlow would keep in this process what it has allocated.
  subprocess.run([sys.executable, '-c', _SAVE_LARGE, str(tmp_path / 'large')],
                 check=True, capture_output=True)
  done = subprocess.run(
      [sys.executable, '-c', _SLIM_AND_TELL_PEAK,
       f'--saved_model_dir={tmp_path / "large"}', '--output_keys=kept',
       f'--output_directory={tmp_path / "slim"}'],
      check=True, capture_output=True, text=True)
  assert int(done.stdout.split()[-1]) < 1_500_000
  contents = contents_of(str(tmp_path / 'slim'))
  assert contents.variables == 10
  assert contents.variable_bytes == 10 * 55 * 1000 * 1000 * 4
