"""Applying, applying again and reverting, in every state that a fork can be in."""

import json
import os
import pathlib

import pytest

import fork_edits
import fork_shapes
from exporter.errors import UserError
from patches import file_changes
from patches import fork as fork_lib
from patches import ledger
from patches import plan as plan_lib
from patches import structure
from patches.fork import Fork, ForkError
from patches.plan import Request

BOTH = Request(drop_keys=('mask_predictions',))


def _apply(root, request=BOTH):
  return fork_edits.apply(root, request)


def _names(plan):
  return [change.name for change in plan.sources]


def test_apply_and_revert_leave_every_byte_as_it_was(fork, contents):
  before = contents(fork)
  plan = _apply(fork)
  assert _names(plan) == [
      fork_lib.LIBRARY, fork_lib.SCRIPT, fork_lib.META_ARCH_FILE]
  assert all(contents(fork)[name] != before[name] for name in _names(plan))
  fork_edits.revert(fork)
  assert contents(fork) == before


@pytest.mark.parametrize('request_', [
    Request(), BOTH, Request(import_from='vendored'),
    Request(only='exporter'), Request('meta_arch', None, ('mask_predictions',))])
def test_applying_twice_changes_nothing(fork, contents, request_):
  _apply(fork, request_)
  once = contents(fork)
  plan = plan_lib.apply(Fork.at(str(fork)), request_)
  assert not plan.sources and not plan.record and not plan.notes
  assert plan_lib.is_applied(Fork.at(str(fork)), request_)
  assert contents(fork) == once


def test_applying_again_without_options_keeps_them(fork, contents):
  _apply(fork, Request(import_from='vendored', drop_keys=('mask_predictions',)))
  once = contents(fork)
  _apply(fork, Request())
  assert contents(fork) == once


def test_only_one_edit_touches_only_its_files(fork, contents):
  before = contents(fork)
  _apply(fork, Request(only='exporter'))
  assert contents(fork)[fork_lib.META_ARCH_FILE] == before[fork_lib.META_ARCH_FILE]
  fork_edits.revert(fork)
  _apply(fork, Request('meta_arch', drop_keys=('mask_predictions',)))
  after = contents(fork)
  assert after[fork_lib.LIBRARY] == before[fork_lib.LIBRARY]
  assert after[fork_lib.SCRIPT] == before[fork_lib.SCRIPT]


def test_default_leaves_postprocess_as_it_was(fork, contents):
  before = contents(fork)
  _apply(fork, Request())
  assert contents(fork)[fork_lib.META_ARCH_FILE] == before[fork_lib.META_ARCH_FILE]


def test_default_does_not_ask_for_the_meta_architecture(fork):
  (fork / fork_lib.META_ARCH_FILE).unlink()
  _apply(fork, Request())
  with pytest.raises(ForkError, match='is not there'):
    _apply(fork, BOTH)


def test_meta_architecture_alone_needs_no_exporter(fork):
  (fork / fork_lib.LIBRARY).unlink()
  (fork / fork_lib.SCRIPT).unlink()
  _apply(fork, Request('meta_arch', drop_keys=BOTH.drop_keys))
  with pytest.raises(ForkError, match='exporter_lib_v2.py is not there'):
    _apply(fork, Request('exporter'))


def test_options_can_be_changed_and_changed_back(fork, contents):
  _apply(fork)
  package = contents(fork)
  plan = _apply(fork, Request(import_from='vendored'))
  assert _names(plan) == [fork_lib.SCRIPT, fork_lib.VENDORED]
  plan = _apply(fork, Request(drop_keys=('box_classifier_features',)))
  assert _names(plan) == [fork_lib.META_ARCH_FILE]
  plan = _apply(fork, Request(import_from='package', drop_keys=BOTH.drop_keys))
  assert _names(plan) == [
      fork_lib.SCRIPT, fork_lib.VENDORED, fork_lib.META_ARCH_FILE]
  assert contents(fork) == package


def test_reverting_one_edit_keeps_the_other(fork, contents):
  before = contents(fork)
  _apply(fork, Request(only='exporter'))
  exporter = contents(fork)
  _apply(fork)
  fork_edits.revert(fork, 'meta_arch')
  assert contents(fork) == exporter
  fork_edits.revert(fork, 'exporter')
  assert contents(fork) == before


def test_reverting_an_unpatched_fork_changes_nothing(fork, contents):
  before = contents(fork)
  plan = fork_edits.revert(fork)
  assert not plan.sources and not plan.record
  assert contents(fork) == before


@pytest.mark.parametrize('name', [
    fork_lib.LIBRARY, fork_lib.SCRIPT, fork_lib.META_ARCH_FILE, fork_lib.VENDORED])
def test_revert_refuses_a_file_that_was_edited_since(fork, contents, name):
  _apply(fork, Request(import_from='vendored', drop_keys=BOTH.drop_keys))
  with open(fork / name, 'ab') as f:
    f.write(b'# mine\n')
  edited = contents(fork)
  with pytest.raises(ForkError) as error:
    fork_edits.revert(fork)
  assert name in str(error.value) and 'was edited since' in str(error.value)
  assert contents(fork) == edited


def test_revert_refuses_a_file_that_is_gone(fork):
  _apply(fork)
  (fork / fork_lib.SCRIPT).unlink()
  with pytest.raises(ForkError, match='is gone'):
    fork_edits.revert(fork)


@pytest.mark.parametrize('spoil', [
    lambda path: path.unlink(), lambda path: path.write_bytes(b'other\n')])
def test_revert_refuses_a_spoilt_original(fork, contents, spoil):
  _apply(fork)
  spoil(fork / ledger.original_name(fork_lib.LIBRARY))
  spoilt = contents(fork)
  with pytest.raises(ForkError, match='orig-lean'):
    fork_edits.revert(fork)
  assert contents(fork) == spoilt


def test_apply_keeps_an_edited_file_and_says_so(fork, contents):
  _apply(fork)
  with open(fork / fork_lib.LIBRARY, 'ab') as f:
    f.write(b'# mine\n')
  edited = contents(fork)
  plan = _apply(fork)
  assert contents(fork) == edited
  assert len(plan.notes) == 1 and 'edited since' in plan.notes[0]
  assert plan_lib.is_applied(Fork.at(str(fork)), BOTH)


def test_options_of_an_edited_file_cannot_change(fork, contents):
  _apply(fork, Request(import_from='vendored', drop_keys=BOTH.drop_keys))
  for name in (fork_lib.SCRIPT, fork_lib.META_ARCH_FILE):
    with open(fork / name, 'ab') as f:
      f.write(b'# mine\n')
  edited = contents(fork)
  with pytest.raises(ForkError, match='import_from cannot be changed from vendored'):
    _apply(fork, Request(import_from='package'))
  with pytest.raises(ForkError, match='drop_keys cannot be changed from mask_pred'):
    _apply(fork, Request(drop_keys=('box_classifier_features',)))
  assert contents(fork) == edited


def test_clone_without_the_record_is_seen_as_applied(fork, contents):
  _apply(fork)
  for path in [fork / ledger.NAME, *fork.rglob('*.orig-lean')]:
    path.unlink()
  clone = contents(fork)
  assert plan_lib.is_applied(Fork.at(str(fork)), BOTH)
  assert len(_apply(fork).notes) == 3
  with pytest.raises(ForkError, match='does not know its original'):
    fork_edits.revert(fork)
  assert contents(fork) == clone


def test_checkout_of_the_originals_is_seen_as_not_applied(fork, contents):
  before = contents(fork)
  _apply(fork)
  patched = contents(fork)
  for name in (fork_lib.LIBRARY, fork_lib.SCRIPT, fork_lib.META_ARCH_FILE):
    (fork / name).write_bytes(before[name])
  assert not plan_lib.is_applied(Fork.at(str(fork)), BOTH)
  _apply(fork)
  assert contents(fork) == patched
  for name in (fork_lib.LIBRARY, fork_lib.SCRIPT, fork_lib.META_ARCH_FILE):
    (fork / name).write_bytes(before[name])
  fork_edits.revert(fork)
  assert contents(fork) == before


def test_newer_upstream_files_are_patched_afresh(fork, contents):
  _apply(fork)
  library, script = fork_shapes.EXPORTERS['third']
  (fork / fork_lib.LIBRARY).write_text(library)
  (fork / fork_lib.SCRIPT).write_text(script)
  _apply(fork, Request())
  assert plan_lib.is_applied(Fork.at(str(fork)), Request())
  fork_edits.revert(fork)
  assert contents(fork)[fork_lib.LIBRARY] == library.encode()
  assert contents(fork)[fork_lib.SCRIPT] == script.encode()


@pytest.mark.parametrize('reverting', [False, True])
@pytest.mark.parametrize('after', range(1, 8))
def test_interrupted_run_can_be_taken_up_and_taken_back(
    fork, contents, reverting, after):
  before = contents(fork)
  request = Request(import_from='vendored', drop_keys=BOTH.drop_keys)
  plan = plan_lib.apply(Fork.at(str(fork)), request)
  changes = plan.record + plan.sources
  if reverting:
    file_changes.write(fork, changes)
    plan = plan_lib.revert(Fork.at(str(fork)), None)
    changes = plan.sources + plan.record
  # As if the power had gone after so many renames.
  file_changes.write(fork, changes[:after])
  _apply(fork, request)
  assert plan_lib.is_applied(Fork.at(str(fork)), request)
  fork_edits.revert(fork)
  assert contents(fork) == before


@pytest.mark.parametrize('broken', [
    fork_lib.LIBRARY, fork_lib.SCRIPT, fork_lib.META_ARCH_FILE])
@pytest.mark.parametrize('source,message', [
    (b'print "Python 2"\n', 'cannot be parsed as Python 3: syntax error at line 1'),
    (b'def f(:\n', 'cannot be parsed as Python 3'),
    (b'x = 1\n', 'is not a revision of'),
    (b'# -*- coding: no-such -*-\n', 'cannot be read as Python'),
    (b'x = "\xff"\n', 'cannot be read as Python'),
    (b'x = 1\n\x0cdef f(): pass\n', 'libcst would lose'),
])
def test_one_file_that_is_refused_leaves_all_as_they_were(
    fork, contents, broken, source, message):
  (fork / broken).write_bytes(source)
  before = contents(fork)
  with pytest.raises(structure.UnrecognisedSource) as error:
    _apply(fork)
  assert message in str(error.value)
  assert str(fork / broken) in str(error.value)
  assert contents(fork) == before


@pytest.mark.parametrize('encode', [
    lambda text: text.replace('\n', '\r\n').encode(),
    lambda text: b'\xef\xbb\xbf' + text.encode(),
    lambda text: ('# -*- coding: latin-1 -*-\n# é\n' + text).encode('latin-1'),
    lambda text: ('# é\n' + text).encode(),
    lambda text: text.rstrip('\n').encode(),
], ids=['crlf', 'bom', 'latin-1', 'utf-8', 'no newline at the end'])
def test_encoding_and_line_ends_are_kept(tmp_path, contents, encode):
  library, script = fork_shapes.EXPORTERS['today']
  meta_arch = fork_shapes.META_ARCHES['tensors only']
  root = fork_shapes.write_fork(
      tmp_path / 'research', *map(encode, (library, script, meta_arch)))
  before = contents(root)
  _apply(root)
  after = contents(root)
  plain = fork_shapes.write_fork(tmp_path / 'plain', library, script, meta_arch)
  _apply(plain)
  for name in (fork_lib.LIBRARY, fork_lib.SCRIPT, fork_lib.META_ARCH_FILE):
    assert after[name] == encode((plain / name).read_text())
  fork_edits.revert(root)
  assert contents(root) == before


def test_installed_revision_round_trips(installed_fork, contents):
  before = contents(installed_fork)
  _apply(installed_fork)
  after = contents(installed_fork)
  for name in before:
    assert after[name] != before[name]
    compile(after[name], name, 'exec')
    # The wheel's files have Windows line ends.
    assert after[name].count(b'\n') == after[name].count(b'\r\n') or (
        b'\r' not in before[name])
  fork_edits.revert(installed_fork)
  assert contents(installed_fork) == before


@pytest.mark.parametrize('mode', [0o644, 0o755, 0o600])
def test_mode_bits_are_kept(fork, mode):
  script = fork / fork_lib.SCRIPT
  script.chmod(mode)
  _apply(fork)
  assert script.stat().st_mode & 0o777 == mode
  fork_edits.revert(fork)
  assert script.stat().st_mode & 0o777 == mode


def test_file_behind_a_link_changes_and_the_link_stays(fork, tmp_path):
  script = fork / fork_lib.SCRIPT
  real = tmp_path / 'elsewhere.py'
  script.rename(real)
  script.symlink_to(real)
  before = real.read_bytes()
  _apply(fork)
  assert script.is_symlink() and real.read_bytes() != before
  fork_edits.revert(fork)
  assert script.is_symlink() and real.read_bytes() == before


@pytest.mark.parametrize('failing', range(1, 8))
def test_a_write_that_fails_leaves_all_as_they_were(
    fork, contents, monkeypatch, failing):
  before = contents(fork)
  replace, calls = os.replace, []

  def failing_replace(source, target):
    calls.append(target)
    if len(calls) == failing:
      raise OSError(28, 'No space left on device', str(target))
    replace(source, target)

  monkeypatch.setattr(os, 'replace', failing_replace)
  request = Request(import_from='vendored', drop_keys=BOTH.drop_keys)
  with pytest.raises(UserError, match='No space left on device; no file was'):
    _apply(fork, request)
  assert contents(fork) == before


def test_foreign_file_of_the_vendored_name_is_not_overwritten(fork, contents):
  (fork / fork_lib.VENDORED).write_text('"""Mine."""\n')
  before = contents(fork)
  with pytest.raises(ForkError, match='is not ours'):
    _apply(fork, Request(import_from='vendored'))
  assert contents(fork) == before
  _apply(fork, Request(import_from='package'))
  fork_edits.revert(fork)
  assert contents(fork) == before


@pytest.mark.parametrize('record', [
    b'not json', b'[]', b'{"files": {"a": 1}}',
    b'{"files": {"object_detection/exporter_lib_v2.py": {"x": 1}}}'])
def test_damaged_record_is_refused(fork, contents, record):
  (fork / ledger.NAME).write_bytes(record)
  before = contents(fork)
  for action in (_apply, fork_edits.revert):
    with pytest.raises(ForkError, match='lean_patches.json is damaged'):
      action(fork)
  assert contents(fork) == before


def test_record_cannot_name_another_file(fork, contents):
  entry = {'original': None, 'patched': 'x'}
  (fork / ledger.NAME).write_text(json.dumps({'files': {'../mine': entry}}))
  before = contents(fork)
  with pytest.raises(ForkError, match='which no edit is about'):
    fork_edits.revert(fork)
  assert contents(fork) == before


def test_fork_is_found_and_near_misses_are_told(fork, tmp_path):
  assert Fork.at(str(fork)).root == fork
  for near in (fork / 'object_detection', tmp_path):
    with pytest.raises(ForkError) as error:
      Fork.at(str(near))
    assert f'Did you mean {pathlib.Path(fork)}?' in str(error.value)
  with pytest.raises(ForkError, match='give the folder models/research'):
    Fork.at(str(tmp_path / 'nowhere'))


def test_meta_arch_alone_needs_keys(fork):
  with pytest.raises(UserError, match='drops nothing without drop_keys'):
    _apply(fork, Request('meta_arch'))
  assert not plan_lib.is_applied(Fork.at(str(fork)), Request('meta_arch'))
  _apply(fork)
  assert plan_lib.is_applied(Fork.at(str(fork)), Request('meta_arch'))
