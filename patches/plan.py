"""What a run would change in a fork: all is worked out before anything is written.

A file of the fork is in one of three states:

* original: without the edit, whatever it holds otherwise;
* patched: byte for byte what an edit made of an original that is still there;
* kept: it has the edit, and cannot be made anew, because it was edited since or
  its original is not there. It stays as it is.
"""

from __future__ import annotations

import dataclasses
import enum

from patches import exporter_lib_edit
from patches import exporter_main_edit
from patches import fork as fork_lib
from patches import ledger
from patches import meta_arch_edit
from patches import prediction_keys
from patches import structure
from patches import vendored_file
from patches.file_changes import FileChange
from patches.fork import EXPORTER, META_ARCH, Fork, ForkError


@dataclasses.dataclass(frozen=True)
class Request:
  """What is to be applied.

  Attributes:
    only: one of `fork.EDITS`, None for both.
    import_from: one of `exporter_main_edit.IMPORT_FROM`; None leaves it as it is,
      and is the package in a fork without the edit.
    drop_keys: what `postprocess` drops; None leaves it as it is.
  """
  only: str | None = None
  import_from: str | None = None
  drop_keys: tuple[str, ...] | None = None

  def wants(self, edit: str) -> bool:
    return self.only in (None, edit)


@dataclasses.dataclass(frozen=True)
class Plan:
  """Changes that have not been made.

  Attributes:
    sources: of the fork's sources, as a diff shows them.
    record: of the record and the originals that are kept for `--revert`.
    notes: sentences about files that stay as they are.
  """
  sources: list[FileChange]
  record: list[FileChange]
  notes: list[str]


class _State(enum.Enum):
  ORIGINAL = enum.auto()
  PATCHED = enum.auto()
  KEPT = enum.auto()


@dataclasses.dataclass(frozen=True)
class _File:
  """A file of the fork.

  Attributes:
    name: path from the fork's root, with slashes.
    path: as messages name it.
    state: see above.
    current: contents now, None for no file.
    original: contents without the edit, None for no file or if they are unknown.
    why_kept: a sentence, for a kept file.
  """
  name: str
  path: str
  state: _State
  current: bytes | None
  original: bytes | None
  why_kept: str = ''


def apply(fork: Fork, request: Request) -> Plan:
  """The changes that apply the edits.

  Raises:
    UserError: an edit cannot be applied, of whichever file; see the edits.
  """
  entries = ledger.load(fork)
  targets = []
  if request.wants(EXPORTER):
    targets += _exporter_targets(fork, entries, request.import_from)
  if request.wants(META_ARCH):
    targets += _meta_arch_targets(fork, entries, request)
  sources, originals = [], []
  new_entries = dict(entries)
  for file, after in targets:
    if file.state is _State.KEPT:
      continue
    sources.append(FileChange(file.name, file.current, after))
    if after == file.original:
      new_entries.pop(file.name, None)
      continue
    new_entries[file.name] = ledger.Entry(
        ledger.digest(file.original), ledger.digest(after))
    if file.original is not None:
      copy = ledger.original_name(file.name)
      originals.append(FileChange(copy, fork.read(copy), file.original))
  return Plan(
      _real(sources), _real([*originals, _record_change(fork, new_entries)]),
      [file.why_kept for file, _ in targets if file.why_kept])


def is_applied(fork: Fork, request: Request) -> bool:
  """Whether applying would change nothing, because all is there already.

  Raises:
    UserError: see `apply`.
  """
  if request.only == META_ARCH and request.drop_keys is None:
    file = _file(fork, fork_lib.META_ARCH_FILE, ledger.load(fork))
    if file.state is _State.ORIGINAL:
      return False
  return not apply(fork, request).sources


def revert(fork: Fork, only: str | None) -> Plan:
  """The changes that bring the originals back.

  Raises:
    ForkError: a file was edited since it was patched, or its original is gone.
  """
  entries = ledger.load(fork)
  sources, originals, problems = [], [], []
  for edit in fork_lib.EDITS:
    for name in fork_lib.FILES_OF_EDIT[edit] if only in (None, edit) else ():
      current = fork.read(name)
      entry = entries.get(name)
      if entry is None:
        if _has_edit(name, current, str(fork.root / name)):
          problems.append(
              f'{fork.root / name} has the edit, and {ledger.NAME} does not know'
              ' its original')
        continue
      if ledger.digest(current) == entry.patched:
        sources.append(
            FileChange(name, current, ledger.original(fork, name, entry)))
      elif ledger.digest(current) != entry.original:
        problems.append(
            f'{fork.root / name} was edited since it was patched'
            if current is not None else f'{fork.root / name} is gone')
      del entries[name]
      copy = ledger.original_name(name)
      originals.append(FileChange(copy, fork.read(copy), None))
  if problems:
    raise ForkError(
        f'Nothing was reverted: {"; ".join(problems)}. Take the edit out by hand, or'
        ' the files from version control.')
  return Plan(_real(sources), _real([_record_change(fork, entries), *originals]), [])


def _exporter_targets(fork, entries, import_from):
  """Pairs of a file and what it is to be."""
  library = _file(fork, fork_lib.LIBRARY, entries)
  script = _file(fork, fork_lib.SCRIPT, entries)
  present = None
  if script.state is not _State.ORIGINAL:
    present = exporter_main_edit.present_import_from(
        structure.parse(script.current, script.path))
  _require_changeable(script, 'import_from', import_from, present)
  import_from = import_from or present or exporter_main_edit.PACKAGE
  vendored = _file(fork, fork_lib.VENDORED, entries)
  wants_vendored = import_from == exporter_main_edit.VENDORED
  if wants_vendored and vendored.state is _State.ORIGINAL and vendored.current:
    raise ForkError(
        f'{vendored.path} exists and is not ours; move it away, or leave'
        ' --import_from=vendored out.')
  return [
      (library, _edited(library, exporter_lib_edit.apply)),
      (script, _edited(script, exporter_main_edit.apply, import_from)),
      (vendored,
       vendored_file.contents() if wants_vendored else vendored.original),
  ]


def _meta_arch_targets(fork, entries, request):
  file = _file(fork, fork_lib.META_ARCH_FILE, entries,
               required=request.only == META_ARCH or request.drop_keys is not None)
  present = None
  if file.state is not _State.ORIGINAL:
    present = meta_arch_edit.dropped_keys(structure.parse(file.current, file.path))
  keys = request.drop_keys or present
  if keys is None:
    if request.only == META_ARCH:
      raise prediction_keys.DropKeysError(
          'The edit meta_arch drops nothing without drop_keys; give, for one,'
          ' --drop_keys=mask_predictions,box_classifier_features.')
    return []
  _require_changeable(file, 'drop_keys', request.drop_keys, present)
  return [(file, _edited(file, meta_arch_edit.apply, keys))]


def _require_changeable(file, option, wanted, present):
  if file.state is _State.KEPT and wanted not in (None, present):
    raise ForkError(
        f'{option} cannot be changed from {_listed(present)} to {_listed(wanted)}:'
        f' {file.why_kept}')


def _listed(value):
  return ','.join(value) if isinstance(value, tuple) else str(value)


def _edited(file, edit, *options):
  if file.state is _State.KEPT:
    return file.current
  module = structure.parse(file.original, file.path)
  return edit(module, file.path, *options).bytes


def _file(fork, name, entries, required=True) -> _File:
  path = str(fork.root / name)
  current = fork.read(name)
  entry = entries.get(name)
  if current is None and required and name != fork_lib.VENDORED:
    raise ForkError(f'{path} is not there, and the edit looks for it.')
  if entry is not None and ledger.digest(current) == entry.patched:
    try:
      original = ledger.original(fork, name, entry)
    except ForkError as e:
      return _File(name, path, _State.KEPT, current, None, str(e))
    return _File(name, path, _State.PATCHED, current, original)
  if _has_edit(name, current, path):
    why = ('it was edited since' if entry is not None
           else f'{ledger.NAME} does not know its original')
    return _File(name, path, _State.KEPT, current, None,
                 f'{path} has the edit and stays as it is: {why}.')
  return _File(name, path, _State.ORIGINAL, current, current)


def _has_edit(name, current, path):
  if current is None:
    return False
  if name == fork_lib.VENDORED:
    return vendored_file.is_vendored(current)
  if b'lean_' not in current:
    return False
  module = structure.parse(current, path)
  if name == fork_lib.LIBRARY:
    return exporter_lib_edit.is_applied(module)
  if name == fork_lib.SCRIPT:
    return exporter_main_edit.is_applied(module)
  return meta_arch_edit.dropped_keys(module) is not None


def _record_change(fork, entries):
  return FileChange(ledger.NAME, fork.read(ledger.NAME), ledger.dump(entries))


def _real(changes):
  return [change for change in changes if change.before != change.after]
