"""Folders that are complete or absent, whatever happens while they are written."""

import ctypes
import errno
import os
import pathlib
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from exporter.errors import UserError
from exporter.publishing import atomic_directory
from exporter.publishing.atomic_directory import check_writable, new_directory

_NOBODY = 65534
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def write(target, files, owned=('model/*', 'config')):
  """Writes a folder with the files of a {relative path: text}."""
  with new_directory(str(target), owned) as folder:
    for name, text in files.items():
      path = pathlib.Path(folder, name)
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text)


def read(folder) -> dict[str, str]:
  return {str(path.relative_to(folder)): path.read_text()
          for path in sorted(folder.rglob('*')) if path.is_file()}


def entries(folder) -> list[str]:
  return sorted(os.listdir(folder))


def test_new_folder_appears_when_the_block_ends(tmp_path):
  target = tmp_path / 'exported'
  with new_directory(str(target)) as folder:
    pathlib.Path(folder, 'config').write_text('new')
    assert not target.exists()
  assert read(target) == {'config': 'new'}
  assert entries(tmp_path) == ['exported']


def test_parents_are_made(tmp_path):
  write(tmp_path / 'a' / 'b' / 'exported', {'config': 'new'})
  assert read(tmp_path / 'a' / 'b' / 'exported') == {'config': 'new'}


def test_target_may_end_in_a_slash(tmp_path):
  write(f'{tmp_path}/exported/', {'config': 'new'})
  assert read(tmp_path / 'exported') == {'config': 'new'}


def test_target_may_be_relative(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write('exported', {'config': 'new'})
  assert read(tmp_path / 'exported') == {'config': 'new'}


def test_staging_is_beside_the_target_so_that_a_rename_suffices(tmp_path):
  with new_directory(str(tmp_path / 'exported')) as folder:
    assert pathlib.Path(folder).parent == tmp_path


@pytest.fixture(params=['exchange in one step', 'three renames'])
def exchange(request, monkeypatch):
  """With and without the kernel's exchange of two names."""
  if request.param == 'three renames':
    monkeypatch.setattr(ctypes, 'CDLL', lambda *a, **k: object())


def test_owned_entries_are_replaced_and_others_stay(tmp_path, exchange):
  target = tmp_path / 'exported'
  write(target, {'config': 'old', 'model/a': 'old', 'model/b': 'old'})
  (target / 'notes.txt').write_text('mine')
  (target / 'logs' / 'deep').mkdir(parents=True)
  (target / 'logs' / 'deep' / 'log').write_text('mine')
  (target / 'link').symlink_to('nowhere')
  (target / '.hidden').write_text('mine')
  write(target, {'model/a': 'new'})
  assert read(target) == {
      'model/a': 'new', 'notes.txt': 'mine', 'logs/deep/log': 'mine',
      '.hidden': 'mine'}
  assert os.readlink(target / 'link') == 'nowhere'
  assert entries(tmp_path) == ['exported']


def test_files_of_others_stay_in_the_folders_of_an_export(tmp_path, exchange):
  target = tmp_path / 'zoo'
  mine = {'checkpoint/ckpt-7.index': 'mine', 'checkpoint/notes.txt': 'mine',
          'saved_model/assets/labels': 'mine'}
  for name, text in mine.items():
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (target / name).write_text(text)
  (target / 'checkpoint' / 'empty').mkdir()
  (target / 'checkpoint' / 'link').symlink_to('ckpt-7.index')
  (target / 'checkpoint' / 'to_folder').symlink_to('..')
  owned = ('checkpoint/ckpt-0.*', 'saved_model/saved_model.pb')
  for text in ('first', 'second'):
    new = {'checkpoint/ckpt-0.index': text, 'saved_model/saved_model.pb': text}
    write(target, new, owned)
    found = read(target)
    assert found.pop('checkpoint/link') == 'mine'
    assert found == {**mine, **new}
    assert (target / 'checkpoint' / 'empty').is_dir()
    assert os.readlink(target / 'checkpoint' / 'to_folder') == '..'
  write(target, {'saved_model/saved_model.pb': 'third'}, owned)
  assert not (target / 'checkpoint' / 'ckpt-0.index').exists()
  assert entries(tmp_path) == ['zoo']


@pytest.mark.parametrize('there, new', [
    ('model', 'model/a'), ('model/a/mine', 'model/a')])
def test_a_file_where_a_folder_must_be_is_refused_and_stays(tmp_path, there, new):
  target = tmp_path / 'exported'
  (target / there).parent.mkdir(parents=True)
  (target / there).write_text('mine')
  with pytest.raises(UserError, match='is in the way'):
    write(target, {new: 'new'})
  assert read(target) == {there: 'mine'}
  assert entries(tmp_path) == ['exported']


def fails_with(code):
  def fail(*args, **options):
    raise OSError(code, os.strerror(code))
  return fail


def test_a_system_without_a_library_to_call_renames(tmp_path, monkeypatch):
  def windows_library(name, **options):
    raise TypeError(f'bad argument type for built-in operation: {name}')
  real_rename = os.rename

  def windows_rename(source, target):
    if os.path.lexists(target):
      raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    real_rename(source, target)
  monkeypatch.setattr(ctypes, 'CDLL', windows_library)
  monkeypatch.setattr(os, 'rename', windows_rename)
  monkeypatch.setattr(atomic_directory, 'fcntl', None)
  target = tmp_path / 'exported'
  write(target, {'config': 'old', 'model/a': 'old', 'model/b': 'old'})
  (target / 'model' / 'mine').write_text('mine')
  write(target, {'model/a': 'new'}, ('config', 'model/[ab]'))
  assert read(target) == {'model/a': 'new', 'model/mine': 'mine'}
  assert entries(tmp_path) == ['exported']


@pytest.mark.parametrize('code', [errno.EINVAL, errno.ENOSYS])
def test_a_kernel_that_cannot_exchange_renames(tmp_path, monkeypatch, code):
  class Library:
    @staticmethod
    def renameat2(*args):
      ctypes.set_errno(code)
      return -1
  monkeypatch.setattr(ctypes, 'CDLL', lambda *args, **options: Library)
  write(tmp_path / 'exported', {'config': 'old'})
  write(tmp_path / 'exported', {'config': 'new'})
  assert read(tmp_path / 'exported') == {'config': 'new'}
  assert entries(tmp_path) == ['exported']


def test_links_to_folders_stay_and_are_filled(tmp_path, exchange):
  target, disk = tmp_path / 'exported', tmp_path / 'disk'
  for folder in (target, disk / 'model'):
    folder.mkdir(parents=True)
  (disk / 'model' / 'mine').write_text('mine')
  (disk / 'model' / 'a').write_text('old')
  (target / 'model').symlink_to('../disk/model')
  write(target, {'config': 'new', 'model/b': 'new'}, ('config', 'model/[ab]'))
  assert os.readlink(target / 'model') == '../disk/model'
  assert read(disk / 'model') == {'b': 'new', 'mine': 'mine'}
  assert (target / 'config').read_text() == 'new'
  assert entries(tmp_path) == ['disk', 'exported']
  assert entries(disk) == ['model']


def test_what_cannot_be_carried_late_brings_the_old_folder_back(
    tmp_path, monkeypatch, exchange):
  target = tmp_path / 'exported'
  write(target, {'config': 'old'})

  def late(*args):
    if not carried:
      carried.append(args)
      (target / 'notes.txt').write_text('mine')
      return
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  carried = []
  monkeypatch.setattr(atomic_directory.others_files, 'carry', late)
  with pytest.raises(UserError, match='No space'):
    write(target, {'config': 'new'})
  assert read(target) == {'config': 'old', 'notes.txt': 'mine'}
  assert entries(tmp_path) == ['exported']


@pytest.mark.parametrize('failing', [2, 3])
def test_a_rename_that_fails_loses_nothing(tmp_path, monkeypatch, failing):
  monkeypatch.setattr(ctypes, 'CDLL', lambda *args, **options: object())
  target = tmp_path / 'exported'
  write(target, {'config': 'old'})
  (target / 'notes.txt').write_text('mine')
  real_rename, calls = os.rename, []

  def rename(source, destination):
    calls.append(source)
    if len(calls) == failing:
      raise OSError(errno.EIO, os.strerror(errno.EIO))
    real_rename(source, destination)
  monkeypatch.setattr(os, 'rename', rename)
  with pytest.raises(OSError):
    write(target, {'config': 'new'})
  assert read(target)['notes.txt'] == 'mine'
  monkeypatch.setattr(os, 'rename', real_rename)
  write(target, {'config': 'newer'})
  assert read(target) == {'config': 'newer', 'notes.txt': 'mine'}
  assert entries(tmp_path) == ['exported']


def test_killed_between_the_renames_the_next_run_puts_back(tmp_path, monkeypatch):
  monkeypatch.setattr(ctypes, 'CDLL', lambda *args, **options: object())
  target = tmp_path / 'exported'
  write(target, {'config': 'old'})
  (target / 'notes.txt').write_text('mine')
  pid = os.fork()
  if not pid:
    real_rename, calls = os.rename, []

    def rename(source, destination):
      calls.append(source)
      if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
      real_rename(source, destination)
    os.rename = rename
    write(target, {'config': 'new'})
  os.waitpid(pid, 0)
  assert not target.exists()
  with pytest.raises(ValueError):
    with new_directory(str(target), ('config',)):
      assert read(target) == {'config': 'old', 'notes.txt': 'mine'}
      raise ValueError
  assert read(target) == {'config': 'old', 'notes.txt': 'mine'}
  assert entries(tmp_path) == ['exported']


@pytest.mark.parametrize('code', [
    errno.ENOSYS, errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, code):
  monkeypatch.setattr(atomic_directory.fcntl, 'flock', fails_with(code))
  write(tmp_path / 'exported', {'config': 'old'})
  write(tmp_path / 'exported', {'config': 'new'})
  assert read(tmp_path / 'exported') == {'config': 'new'}
  assert entries(tmp_path) == ['exported']


@pytest.mark.parametrize('code', [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_modes_times_and_links(tmp_path, monkeypatch, code):
  for name in ('chmod', 'utime', 'link'):
    monkeypatch.setattr(os, name, fails_with(code))
  target = tmp_path / 'exported'
  write(target, {'config': 'old'})
  (target / 'model').mkdir()
  (target / 'model' / 'mine').write_text('mine')
  write(target, {'model/a': 'new'}, ('config', 'model/a'))
  assert read(target) == {'model/a': 'new', 'model/mine': 'mine'}
  assert entries(tmp_path) == ['exported']


@pytest.mark.parametrize('name', ['n' * 240, 'ü' * 120, '[v2]', 'a b', 'ä*?'])
def test_any_name_that_the_file_system_takes(tmp_path, name):
  write(tmp_path / name, {'config': 'old'})
  write(tmp_path / name, {'config': 'new'})
  assert read(tmp_path / name) == {'config': 'new'}
  assert entries(tmp_path) == [name]


def test_a_name_that_only_looks_like_ours_is_left_alone(tmp_path):
  for name in ('.exported.incomplete-mine', '.exported.replaced-of-mine'):
    (tmp_path / name).mkdir()
  write(tmp_path / 'exported', {'config': 'old'})
  write(tmp_path / 'exported', {'config': 'new'})
  assert entries(tmp_path) == [
      '.exported.incomplete-mine', '.exported.replaced-of-mine', 'exported']


def test_file_put_there_during_the_block_stays(tmp_path, exchange):
  target = tmp_path / 'exported'
  write(target, {'config': 'old'})
  with new_directory(str(target), ('config',)) as folder:
    pathlib.Path(folder, 'config').write_text('new')
    (target / 'late').write_text('mine')
  assert read(target) == {'config': 'new', 'late': 'mine'}


def test_others_keep_times_modes_and_hard_links(tmp_path):
  target = tmp_path / 'exported'
  write(target, {'config': 'old'})
  other = target / 'notes.txt'
  other.write_text('mine')
  other.chmod(0o640)
  os.utime(other, (1, 1))
  write(target, {'config': 'new'})
  status = other.stat()
  assert (status.st_mtime, stat.S_IMODE(status.st_mode)) == (1, 0o640)


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
def test_error_in_the_block_leaves_all_as_it_was(tmp_path, error):
  target = tmp_path / 'exported'
  write(target, {'config': 'old', 'model/a': 'old'})
  with pytest.raises(error):
    with new_directory(str(target), ('config', 'model/*')) as folder:
      pathlib.Path(folder, 'config').write_text('new')
      raise error('stop')
  assert read(target) == {'config': 'old', 'model/a': 'old'}
  assert entries(tmp_path) == ['exported']


def test_error_in_the_block_makes_no_target(tmp_path):
  with pytest.raises(ValueError):
    with new_directory(str(tmp_path / 'exported')):
      raise ValueError
  assert entries(tmp_path) == []


@pytest.mark.parametrize('code', [
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_full_or_read_only_disk_is_a_clear_error(tmp_path, code):
  target = tmp_path / 'exported'
  with pytest.raises(UserError, match=os.strerror(code)) as e:
    with new_directory(str(target)):
      raise OSError(code, os.strerror(code))
  assert str(target) in str(e.value)
  assert entries(tmp_path) == []


def test_other_os_errors_are_bugs(tmp_path):
  with pytest.raises(IsADirectoryError):
    with new_directory(str(tmp_path / 'exported')) as folder:
      open(folder, encoding='utf-8')


def test_modes_are_those_that_mkdir_gives(tmp_path):
  umask = os.umask(0o027)
  try:
    write(tmp_path / 'exported', {'config': 'new'})
  finally:
    os.umask(umask)
  assert stat.S_IMODE((tmp_path / 'exported').stat().st_mode) == 0o750


def test_existing_target_keeps_its_mode(tmp_path):
  target = tmp_path / 'exported'
  write(target, {'config': 'old'})
  target.chmod(0o2775)
  write(target, {'config': 'new'})
  assert stat.S_IMODE(target.stat().st_mode) == 0o2775


def test_symbolic_link_to_a_folder_is_followed(tmp_path):
  real = tmp_path / 'disk' / 'exports'
  real.mkdir(parents=True)
  (real / 'notes.txt').write_text('mine')
  (tmp_path / 'exported').symlink_to(real)
  write(tmp_path / 'exported', {'config': 'new'})
  assert (tmp_path / 'exported').is_symlink()
  assert read(real) == {'config': 'new', 'notes.txt': 'mine'}
  assert entries(tmp_path) == ['disk', 'exported']
  assert entries(tmp_path / 'disk') == ['exports']


@pytest.fixture
def mount_point(tmp_path):
  """A folder that cannot be renamed, as a container's volume."""
  volume, target = tmp_path / 'volume', tmp_path / 'exported'
  volume.mkdir()
  target.mkdir()
  mounted = subprocess.run(['mount', '--bind', volume, target], check=False,
                           capture_output=True)
  if mounted.returncode:
    pytest.skip(f'may not mount: {mounted.stderr.decode().strip()}')
  yield target
  subprocess.run(['umount', target], check=True)


def test_mount_point_is_filled_in_place(tmp_path, mount_point):
  write(mount_point, {'config': 'old', 'model/a': 'old', 'model/b': 'old'})
  (mount_point / 'notes.txt').write_text('mine')
  with new_directory(str(mount_point), ('config', 'model/*')) as folder:
    pathlib.Path(folder, 'model').mkdir()
    pathlib.Path(folder, 'model', 'a').write_text('new')
    assert read(mount_point / 'model') == {'a': 'old', 'b': 'old'}
  assert read(tmp_path / 'volume') == {'model/a': 'new', 'notes.txt': 'mine'}
  assert entries(mount_point) == ['model', 'notes.txt']


def test_error_leaves_a_mount_point_as_it_was(mount_point):
  write(mount_point, {'config': 'old'})
  with pytest.raises(ValueError):
    with new_directory(str(mount_point), ('config',)) as folder:
      pathlib.Path(folder, 'config').write_text('new')
      raise ValueError
  assert read(mount_point) == {'config': 'old'}
  assert entries(mount_point) == ['config']


def test_working_directory_stays_the_one_that_a_shell_is_in(
    tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write('.', {'config': 'old', 'model/a': 'old'})
  write('.', {'model/a': 'new'})
  assert entries('.') == ['model']
  assert read(tmp_path) == {'model/a': 'new'}


# What check_writable tells.


def test_nothing_to_complain_about(tmp_path):
  check_writable(str(tmp_path), ('model',))
  check_writable(str(tmp_path / 'a' / 'b' / 'c'))
  (tmp_path / 'model').mkdir()
  check_writable(str(tmp_path), ('model',))
  assert entries(tmp_path) == ['model']


def test_target_is_a_file(tmp_path):
  (tmp_path / 'exported').write_text('mine')
  with pytest.raises(UserError, match='exported is a file'):
    check_writable(str(tmp_path / 'exported'))
  with pytest.raises(UserError, match='exported is a file'):
    write(tmp_path / 'exported', {'config': 'new'})
  assert (tmp_path / 'exported').read_text() == 'mine'


def test_target_is_a_dangling_link(tmp_path):
  (tmp_path / 'exported').symlink_to('nowhere')
  with pytest.raises(UserError, match='is a link to nowhere'):
    write(tmp_path / 'exported', {'config': 'new'})
  assert entries(tmp_path) == ['exported']


def test_name_is_too_long(tmp_path):
  target = str(tmp_path / ('n' * 256))
  with pytest.raises(UserError, match=f'{target} cannot be made: File name too long'):
    atomic_directory.check_writable(target)


def test_links_lead_round_in_a_ring(tmp_path):
  (tmp_path / 'ring').symlink_to('ring')
  with pytest.raises(UserError, match='ring/out cannot be made: Too many levels of symbolic'):
    atomic_directory.check_writable(str(tmp_path / 'ring' / 'out'))


def test_parent_is_a_file(tmp_path):
  (tmp_path / 'file').write_text('mine')
  with pytest.raises(UserError, match='file is a file'):
    check_writable(str(tmp_path / 'file' / 'a' / 'exported'))


def test_training_directory(tmp_path):
  (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "ckpt-1"')
  with pytest.raises(UserError, match='training directory'):
    check_writable(str(tmp_path), ('checkpoint', 'saved_model'))


@pytest.fixture
def closed_folder():
  """A folder that this process cannot write to."""
  # Not under pytest's own folder, which no other user can enter.
  folder = pathlib.Path(tempfile.mkdtemp(prefix='closed-'))
  folder.chmod(0o555)
  if os.geteuid() == 0:
    os.setresuid(_NOBODY, _NOBODY, 0)
    yield folder
    os.setresuid(0, 0, 0)
  else:
    yield folder
  folder.chmod(0o755)
  shutil.rmtree(folder)


def test_no_permission_above_the_target(closed_folder):
  with pytest.raises(UserError, match='cannot be written'):
    check_writable(str(closed_folder / 'exported'))
  with pytest.raises(UserError, match='cannot be written'):
    write(closed_folder / 'exported', {'config': 'new'})
  assert entries(closed_folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason='gives a folder to another user')
def test_target_of_ours_in_a_folder_that_is_not(closed_folder):
  os.setresuid(0, 0, 0)
  target = closed_folder / 'exported'
  target.mkdir()
  os.chown(target, _NOBODY, _NOBODY)
  os.setresuid(_NOBODY, _NOBODY, 0)
  write(target, {'config': 'old', 'model/a': 'old'})
  write(target, {'model/a': 'new'})
  assert read(target) == {'model/a': 'new'}
  assert entries(target) == ['model']


# Other processes.

_HOLD = '''
import sys, time
from exporter.publishing.atomic_directory import new_directory
with new_directory(sys.argv[1]) as folder:
  print(folder, flush=True)
  time.sleep(60)
'''

# Writes version after version; each is 40 files that hold the version's number.
_REWRITE = '''
import sys
from exporter.publishing.atomic_directory import new_directory
for version in range(int(sys.argv[2]), 10**9):
  with new_directory(sys.argv[1], ("model/[0-9]*", "version")) as folder:
    import os
    os.mkdir(f"{folder}/model")
    for i in range(40):
      with open(f"{folder}/model/{i}", "w") as f:
        f.write(str(version))
    with open(f"{folder}/version", "w") as f:
      f.write(str(version))
  if version == int(sys.argv[2]):
    print("first", flush=True)
'''


def start(script, *args):
  return subprocess.Popen(
      [sys.executable, '-c', script, *map(str, args)], stdout=subprocess.PIPE,
      text=True, env={**os.environ, 'PYTHONPATH': str(_ROOT)})


def kill(process):
  process.send_signal(signal.SIGKILL)
  process.wait()
  process.stdout.close()


def test_leftovers_of_a_killed_run_are_cleared_by_the_next(tmp_path):
  process = start(_HOLD, tmp_path / 'exported')
  left = pathlib.Path(process.stdout.readline().strip())
  kill(process)
  assert left.is_dir()
  write(tmp_path / 'exported', {'config': 'new'})
  assert entries(tmp_path) == ['exported']


def test_folder_of_a_run_under_way_is_left_alone(tmp_path):
  process = start(_HOLD, tmp_path / 'exported')
  try:
    other = pathlib.Path(process.stdout.readline().strip())
    write(tmp_path / 'exported', {'config': 'new'})
    assert other.is_dir()
  finally:
    kill(process)


def test_leftovers_of_another_target_are_left_alone(tmp_path):
  process = start(_HOLD, tmp_path / 'exported')
  left = pathlib.Path(process.stdout.readline().strip())
  kill(process)
  write(tmp_path / 'export', {'config': 'new'})
  assert left.is_dir()


def test_killed_at_any_moment_the_target_is_one_whole_version(tmp_path):
  target = tmp_path / 'exported'
  rng = random.Random(0)
  seen = 0
  foreign = {}
  for i in range(50):
    process = start(_REWRITE, target, seen + 1)
    assert process.stdout.readline() == 'first\n'
    if not i:
      foreign = {'notes.txt': 'mine', 'model/ckpt-7.index': 'mine', 'model/a/b': 'mine'}
      (target / 'model' / 'a').mkdir()
      for name, text in foreign.items():
        (target / name).write_text(text)
    time.sleep(rng.uniform(0, 0.05))
    kill(process)
    files = read(target)
    assert {name: files.pop(name) for name in foreign} == foreign
    versions = set(files.values())
    assert len(files) == 41 and len(versions) == 1
    assert int(versions.pop()) > seen
    seen = int(files['version'])
  write(target, {'config': 'last'}, ('model/[0-9]*', 'version', 'config'))
  assert read(target) == {'config': 'last', **foreign}
  assert entries(tmp_path) == ['exported']
