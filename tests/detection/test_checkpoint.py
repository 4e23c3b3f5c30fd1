"""Which checkpoint is exported, and what cannot be one."""

import pathlib
import shutil

import pytest

from exporter.detection import checkpoint_choice
from exporter.errors import UserError

pytestmark = pytest.mark.both_stacks


@pytest.fixture
def training(tf, tmp_path) -> pathlib.Path:
  """A training folder with ckpt-1, which is not the latest, and ckpt-2."""
  folder = tmp_path / 'training'
  manager = tf.train.CheckpointManager(
      tf.train.Checkpoint(variable=tf.Variable(1.0)), str(folder), max_to_keep=None)
  manager.save()
  manager.save()
  return folder


@pytest.fixture
def find(tf):
  from exporter.detection import checkpoint
  return checkpoint.find


def _assert_refused(call, *words):
  with pytest.raises(UserError) as raised:
    call()
  sentence = str(raised.value)
  assert '\n' not in sentence
  for word in words:
    assert str(word) in sentence


def test_a_folder_stands_for_its_latest(find, training):
  assert find(training) == str(training / 'ckpt-2')


@pytest.mark.parametrize('name', ['training', 'run [v2]'])
def test_a_prefix_stands_for_itself(find, training, name):
  training = training.rename(training.parent / name)
  assert find(None, training / 'ckpt-1') == str(training / 'ckpt-1')


@pytest.mark.parametrize('separator', ['/', '\\'], ids=['POSIX', 'Windows'])
def test_a_folder_that_was_moved(find, training, tmp_path, separator):
  """Its file `checkpoint` names the place where training ran."""
  state = training / 'checkpoint'
  elsewhere = separator.join(['', 'gone', 'ckpt-2']).replace('\\', '\\\\')
  state.write_text(f'model_checkpoint_path: "{elsewhere}"\n')
  moved = training.rename(tmp_path / 'moved [1]')
  assert find(moved) == str(moved / 'ckpt-2')


def test_a_folder_whose_latest_is_still_elsewhere(find, training, tmp_path):
  copied = pathlib.Path(shutil.copytree(training, tmp_path / 'copied'))
  (copied / 'checkpoint').write_text(
      f'model_checkpoint_path: "{training}/ckpt-2"\n')
  assert find(copied) == str(training / 'ckpt-2')  # As TensorFlow reads it.


def test_what_is_missing_and_where(find, training):
  (training / 'checkpoint').write_text('model_checkpoint_path: "/gone/ckpt-9"\n')
  _assert_refused(lambda: find(training), '/gone/ckpt-9.index',
                  training / 'ckpt-9.index', 'ckpt-1, ckpt-2',
                  'trained_checkpoint_prefix')


def test_a_folder_without_the_file_checkpoint(find, training):
  (training / 'checkpoint').unlink()
  _assert_refused(lambda: find(training), 'no checkpoint in', 'ckpt-1, ckpt-2',
                  'trained_checkpoint_prefix')


@pytest.mark.parametrize('content', [
    b'', b'model_checkpoint_path: ""', bytes(range(256)),
    b'\xef\xbb\xbfmodel_checkpoint_path: "ckpt-2"'])
def test_a_file_checkpoint_that_says_nothing(find, training, content):
  (training / 'checkpoint').write_bytes(content)
  _assert_refused(lambda: find(training), f'The file {training}/checkpoint cannot be read',
                  'trained_checkpoint_prefix')


def test_a_checkpoint_of_tf1(tf, find, tmp_path):
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    variable = tf.compat.v1.get_variable('v', initializer=1.0, use_resource=False)
    session.run(variable.initializer)
    tf.compat.v1.train.Saver().save(session, str(tmp_path / 'model.ckpt'))
  for given in (tmp_path, None), (None, tmp_path / 'model.ckpt'):
    _assert_refused(lambda: find(*given), 'is one of TF1', 'slim_saved_model')


@pytest.mark.parametrize('directory, prefix, words', [
    (None, None, ['neither is given']),
    ('.', 'ckpt-1', ['each is given']),
    ('ckpt-1', None, ['no folder', 'trained_checkpoint_prefix=ckpt-1.']),
    ('ckpt-1.index', None, ['trained_checkpoint_prefix=ckpt-1.']),
    ('ckpt-9', None, ['does not exist']),
    (None, '.', ['is a folder', 'trained_checkpoint_dir']),
    (None, 'ckpt-1.index', ['trained_checkpoint_prefix=ckpt-1.']),
    (None, 'ckpt-1.data-00000-of-00001', ['trained_checkpoint_prefix=ckpt-1.']),
    (None, 'checkpoint', ['checkpoint is a file']),
    (None, 'ckpt-11', ["did you mean 'ckpt-1'", 'holds ckpt-1, ckpt-12']),
    (None, 'none/ckpt-1', ['no folder none']),
    (None, '', ["trained_checkpoint_prefix is ''"]),
    ('', None, ["trained_checkpoint_dir is ''"]),
])
def test_what_is_told_without_tensorflow(
    tmp_path, monkeypatch, directory, prefix, words):
  for name in ('checkpoint', 'ckpt-1.index', 'ckpt-1.data-00000-of-00001',
               'ckpt-12.index'):
    (tmp_path / name).write_text('')
  monkeypatch.chdir(tmp_path)
  _assert_refused(lambda: checkpoint_choice.check(directory, prefix), *words)


@pytest.mark.parametrize('directory, prefix', [
    ('.', None), (None, 'ckpt-1'), ('gs://bucket/training', None),
    (None, 'gs://bucket/training/ckpt-1')])
def test_what_may_be_one(tmp_path, monkeypatch, directory, prefix):
  (tmp_path / 'ckpt-1.index').write_text('')
  monkeypatch.chdir(tmp_path)
  checkpoint_choice.check(directory, prefix)


def test_prefixes_are_found_among_names():
  names = ['ckpt-2.index', 'ckpt-10.index', 'checkpoint', 'ckpt-2.data-00000-of-00001']
  assert checkpoint_choice.prefixes_in(names) == ['ckpt-10', 'ckpt-2']
