"""The record beside a fork's files of what they were before they were patched.

`object_detection/lean_patches.json` has two hashes for each patched file: of the
original, and of what the edit made of it. The original itself is kept beside the
file as `….orig-lean`. The hashes tell an untouched original, an applied edit and a
file that somebody edited since apart, also after a `git checkout` or a crash.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from patches import fork as fork_lib
from patches.fork import Fork, ForkError

NAME = 'object_detection/lean_patches.json'

_FILES = tuple(f for files in fork_lib.FILES_OF_EDIT.values() for f in files)


@dataclasses.dataclass(frozen=True)
class Entry:
  """Hashes of a patched file (SHA-256, hexadecimal).

  Attributes:
    original: before the edit; None for a file that the edit added.
    patched: after the edit.
  """
  original: str | None
  patched: str


def original_name(name: str) -> str:
  """Where the original of a patched file is kept."""
  return f'{name}.orig-lean'


def digest(contents: bytes | None) -> str | None:
  return None if contents is None else hashlib.sha256(contents).hexdigest()


def load(fork: Fork) -> dict[str, Entry]:
  """Entries by file name; none where the fork was never patched.

  Raises:
    ForkError: the record is damaged.
  """
  contents = fork.read(NAME)
  if contents is None:
    return {}
  try:
    files = json.loads(contents)['files']
    entries = {name: Entry(**fields) for name, fields in files.items()}
  except (ValueError, KeyError, TypeError, AttributeError) as e:
    raise ForkError(
        f'{fork.root / NAME} is damaged ({e}); take the fork\'s files from version'
        ' control and delete it.') from e
  unknown = sorted(set(entries) - set(_FILES))
  if unknown:
    raise ForkError(
        f'{fork.root / NAME} names {unknown[0]!r}, which no edit is about; it was'
        ' written by another version of patches, or by hand.')
  return entries


def dump(entries: dict[str, Entry]) -> bytes | None:
  """The record's contents; None for no entries, when there is to be no file."""
  if not entries:
    return None
  files = {name: dataclasses.asdict(entries[name]) for name in sorted(entries)}
  about = ('Written by `python -m patches` of the lean exporter; --revert needs it'
           ' and the .orig-lean files.')
  return (json.dumps({'about': about, 'files': files}, indent=2) + '\n').encode()


def original(fork: Fork, name: str, entry: Entry) -> bytes | None:
  """The kept original of a patched file; None for a file that the edit added.

  Raises:
    ForkError: the original is gone or is not the one that was kept.
  """
  if entry.original is None:
    return None
  contents = fork.read(original_name(name))
  if digest(contents) != entry.original:
    what = 'is missing' if contents is None else 'was changed'
    raise ForkError(
        f'{fork.root / original_name(name)}, the original of a patched file, {what};'
        ' take the original from version control.')
  return contents
