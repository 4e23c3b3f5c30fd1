"""`python -m patches`, as people call it."""

import os
import subprocess

import pytest

import fork_edits
from patches import fork as fork_lib
from patches.plan import Request

TWO = ('mask_predictions', 'box_classifier_features')
DROP = f'--drop_keys={",".join(TWO)}'


def test_apply_check_revert(fork, contents, patches):
  before = contents(fork)
  research = f'--research_dir={fork}'
  done = patches(research, '--check')
  assert (done.returncode, done.stdout) == (1, 'Not applied.\n')
  done = patches(research, DROP)
  assert done.returncode == 0
  assert [line.split('/')[-1] for line in done.stdout.splitlines()] == [
      'exporter_lib_v2.py', 'exporter_main_v2.py', 'faster_rcnn_meta_arch.py']
  done = patches(research, '--check')
  assert (done.returncode, done.stdout) == (0, 'Applied.\n')
  done = patches(research, DROP)
  assert (done.returncode, done.stdout) == (0, 'Already applied.\n')
  done = patches(research, '--check', '--drop_keys=mask_predictions')
  assert (done.returncode, done.stdout) == (1, 'Not applied.\n')
  done = patches(research, '--revert')
  assert done.returncode == 0 and done.stdout.count('Reverted') == 3
  assert contents(fork) == before
  done = patches(research, '--revert')
  assert (done.returncode, done.stdout) == (0, 'Nothing to revert.\n')


@pytest.mark.parametrize('only,name', [
    ('exporter', fork_lib.LIBRARY), ('meta_arch', fork_lib.META_ARCH_FILE)])
def test_check_of_one_edit_ignores_the_other(fork, patches, only, name):
  drop = [DROP] if only == 'meta_arch' else []
  done = patches(f'--research_dir={fork}', f'--only={only}', *drop)
  assert done.returncode == 0 and name in done.stdout
  for other in fork_lib.EDITS:
    done = patches(f'--research_dir={fork}', f'--only={other}', '--check')
    assert done.returncode == (0 if other == only else 1)


@pytest.mark.parametrize('flags,request_', [
    ([], Request()),
    ([DROP], Request(drop_keys=TWO)),
    (['--import_from=vendored', DROP], Request(None, 'vendored', TWO)),
    (['--only=exporter', '--import_from=vendored'], Request('exporter', 'vendored')),
    (['--only=meta_arch', DROP], Request('meta_arch', None, TWO))])
@pytest.mark.parametrize('which', ['fork', 'installed_fork'])
def test_diff_changes_nothing_and_applies_as_git_does(
    which, flags, request_, contents, patches, request):
  root = request.getfixturevalue(which)
  before = contents(root)
  # Bytes: the installed files have Windows line ends.
  done = patches(f'--research_dir={root}', '--diff', *flags, text=False)
  assert (done.returncode, done.stderr) == (0, b'')
  assert contents(root) == before
  _assert_diff_does(root, done.stdout, request_, contents)


def test_diff_of_files_without_a_last_newline(fork, contents, patches):
  for name in (fork_lib.LIBRARY, fork_lib.SCRIPT):
    path = fork / name
    path.write_bytes(path.read_bytes().rstrip(b'\n'))
  done = patches(f'--research_dir={fork}', '--diff', text=False)
  _assert_diff_does(fork, done.stdout, Request(), contents)


def _assert_diff_does(root, diff, request, contents):
  """Fails unless `git apply` of a diff gives what the request gives."""
  fork_edits.apply(root, request)
  patched = _sources(contents(root))
  fork_edits.revert(root)
  before = contents(root)
  _git_apply(root, diff)
  assert contents(root) == patched != before


def _git_apply(root, diff):
  subprocess.run(['git', 'apply', '--whitespace=nowarn', '-'], cwd=root, check=True,
                 input=diff)


def _sources(files):
  return {name: data for name, data in files.items()
          if not name.endswith(('.orig-lean', 'lean_patches.json'))}


def test_diff_of_revert_shows_the_way_back(fork, contents, patches):
  before = contents(fork)
  fork_edits.apply(fork, Request(import_from='vendored'))
  patched = contents(fork)
  done = patches(f'--research_dir={fork}', '--revert', '--diff', text=False)
  assert contents(fork) == patched
  _git_apply(fork, done.stdout)
  assert _sources(contents(fork)) == before


def test_diff_of_an_applied_fork_is_empty(fork, patches):
  fork_edits.apply(fork, Request())
  done = patches(f'--research_dir={fork}', '--diff')
  assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('flags,message', [
    (['--revert', '--check'], '--revert and --check do not go together'),
    (['--revert', DROP], '--revert and --drop_keys do not go together'),
    (['--check', '--diff'], '--check and --diff do not go together'),
    (['--only=exporter', DROP], '--only=exporter and --drop_keys do not go'),
    (['--only=meta_arch', '--import_from=package'], 'do not go together'),
    (['--only=meta_arch'], 'drops nothing without drop_keys'),
    (['--drop_keys=,'], 'names no key'),
    (['--drop_keys=detection_boxes'], 'which the evaluator needs'),
    (['--drop_keys=anchors'], 'which loss needs'),
    (['--drop_keys=mask_prediction'], "did you mean 'mask_predictions'?"),
])
def test_mistake_is_one_sentence_and_changes_nothing(
    fork, contents, patches, flags, message):
  before = contents(fork)
  done = patches(f'--research_dir={fork}', *flags)
  assert done.returncode == 1
  assert message in done.stderr
  assert 'Traceback' not in done.stderr and done.stderr.count('\n') == 1
  assert contents(fork) == before


def test_wrong_folder_is_told(tmp_path, patches):
  done = patches(f'--research_dir={tmp_path}')
  assert done.returncode == 1
  assert 'has no object_detection/exporter_lib_v2.py' in done.stderr
  assert 'Traceback' not in done.stderr


def test_refused_revert_names_the_file(fork, contents, patches):
  fork_edits.apply(fork, Request())
  with open(fork / fork_lib.SCRIPT, 'a', encoding='utf-8') as f:
    f.write('# mine\n')
  edited = contents(fork)
  done = patches(f'--research_dir={fork}', '--revert')
  assert done.returncode == 1
  assert 'exporter_main_v2.py was edited since' in done.stderr
  assert contents(fork) == edited
  done = patches(f'--research_dir={fork}')
  assert done.returncode == 0 and 'stays as it is' in done.stderr


def test_help_and_edits_wait_for_no_tensorflow(fork, patches, tmp_path):
  (tmp_path / 'tensorflow.py').write_text('raise ImportError("not needed")')
  env = dict(os.environ, PYTHONPATH=str(tmp_path))
  for flags in (['--help'], [f'--research_dir={fork}', DROP]):
    done = patches(*flags, env=env)
    assert 'not needed' not in done.stderr
    assert done.stdout


def test_without_libcst_the_cure_is_told(fork, patches, tmp_path):
  (tmp_path / 'libcst.py').write_text('raise ImportError("not installed")')
  done = patches(f'--research_dir={fork}',
                 env=dict(os.environ, PYTHONPATH=str(tmp_path)))
  assert done.returncode == 1
  assert 'extra `patches`' in done.stderr and 'Traceback' not in done.stderr
