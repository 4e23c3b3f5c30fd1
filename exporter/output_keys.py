"""Which outputs of a model stay: allow list, deny list, globs, YAML profiles.

Pure Python: nothing here imports TensorFlow, so a typing mistake is told before
anything slow starts.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import glob
import os
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from exporter.errors import UserError, did_you_mean
from exporter.paths.reading import read_text

_GLOB_CHARACTERS = '*?[]!'


class OutputKeyError(UserError):
  """A selection that is malformed, matches nothing, or leaves nothing."""


class UnknownKeyError(OutputKeyError):
  """A pattern matches no output; `pattern` says which."""

  def __init__(self, pattern: str, available: Sequence[str]):
    super().__init__(_no_match_message(pattern, available))
    self.pattern = pattern


@dataclasses.dataclass(frozen=True)
class OutputSelection:
  """What stays of a model's outputs.

    >>> selection = OutputSelection.parse('detection_*', '*_masks')
    >>> selection.select(['detection_boxes', 'detection_masks', 'raw_scores'])
    ['detection_boxes']
    >>> selection.deny
    ('*_masks',)

  Attributes:
    allow: patterns of the keys that stay, or None for all of them. A pattern is
      a key or else a shell glob (`*`, `?`, `[abc]`, case matters); one that is
      itself a key, such as `a[0]`, means that key alone.
    deny: patterns of the keys that go, taken from what `allow` left.
  """
  allow: tuple[str, ...] | None = None
  deny: tuple[str, ...] = ()

  @classmethod
  def parse(cls, allow: str | None = None,
            deny: str | None = None) -> OutputSelection:
    """From comma-separated patterns, as the flags take them.

    Raises:
      OutputKeyError: a list is given and names no pattern.
    """
    return cls(
        None if allow is None else parse_patterns(allow, 'output_keys'),
        () if deny is None else parse_patterns(deny, 'exclude_output_keys'))

  def select(self, available: Iterable[str]) -> list[str]:
    """The keys that stay, in the order of `available`.

    Raises:
      OutputKeyError: a pattern matches no available key, or no key is left.
    """
    available = list(available)
    allowed = (set(available) if self.allow is None
               else _matching(self.allow, available))
    denied = _matching(self.deny, available)
    kept = [key for key in available if key in allowed and key not in denied]
    if not kept:
      raise OutputKeyError(
          f'No output is left: {self} removes all of'
          f' {", ".join(sorted(available))}.')
    return kept

  def __str__(self) -> str:
    parts = []
    if self.allow is not None:
      parts.append('output_keys=' + ','.join(self.allow))
    if self.deny:
      parts.append('exclude_output_keys=' + ','.join(self.deny))
    return ' '.join(parts) or 'no selection'


def selection_from(output_keys: str | None,
                   exclude_output_keys: str | None,
                   output_config: str | None,
                   folder: str | os.PathLike[str] | None = None
                   ) -> OutputSelection | None:
  """The selection that the three flags mean together; None where none is given.

  A flag replaces the list of the same name in the profile `output_config`, which
  may lie in `folder`, see `read_profile`.

  Raises:
    OutputKeyError: see `OutputSelection.parse` and `load_profile`.
  """
  if output_keys is None and exclude_output_keys is None and output_config is None:
    return None
  profile = (OutputSelection() if output_config is None
             else load_profile(output_config, folder))
  return replace_lists(profile, output_keys, exclude_output_keys)


def replace_lists(profile: OutputSelection, output_keys: str | None,
                  exclude_output_keys: str | None) -> OutputSelection:
  """`profile` with the lists that the two flags give in place of its own.

  Raises:
    OutputKeyError: see `OutputSelection.parse`.
  """
  flags = OutputSelection.parse(output_keys, exclude_output_keys)
  return OutputSelection(
      profile.allow if output_keys is None else flags.allow,
      profile.deny if exclude_output_keys is None else flags.deny)


def parse_patterns(text: str, name: str = 'output_keys') -> tuple[str, ...]:
  """Patterns of a comma-separated list; blanks around them do not count.

  Raises:
    OutputKeyError: no pattern in it; `name` says which list.
  """
  patterns = tuple(p for p in (part.strip() for part in text.split(',')) if p)
  if not patterns:
    raise OutputKeyError(
        f'{name} is {text!r}, which names no output key; give keys or globs'
        ' separated by commas, or leave it out.')
  return patterns


def load_profile(path: str | os.PathLike[str],
                 folder: str | os.PathLike[str] | None = None) -> OutputSelection:
  """Reads a YAML profile such as those in `configs/outputs/`.

  A profile is a mapping with `output_keys` and `exclude_output_keys`, each a
  list of patterns, which may hold commas, or one comma-separated string, each
  optional. A bare name is looked up in `folder`, see `read_profile`.

  Raises:
    OutputKeyError: the file cannot be read or is not such a mapping, or it asks
      for smaller outputs as well, which only the exporter can make.
  """
  content = read_profile(path, folder)
  for field in (*COMPACT_FIELDS, SIGNATURES_FIELD):
    if content.get(field) is not None:
      raise OutputKeyError(
          f'The output profile {path} has the entry {field!r}, which needs'
          ' exporter.exporter_main_v2, as it changes what the model computes; here'
          f' a profile holds {" and ".join(LIST_FIELDS)}.')
  return selection_in(content, path)


def read_profile(path: str | os.PathLike[str],
                 folder: str | os.PathLike[str] | None = None) -> dict[str, Any]:
  """The mapping in a YAML profile, with no unknown entry; no value is checked.

  Args:
    path: of the profile, or the bare name of one in `folder`, e.g. `boxes`.
    folder: of profiles with names, such as `exporter.paths.profiles.FOLDER`; None
      takes a bare name for a path as well.

  Raises:
    OutputKeyError: there is no such profile, the file cannot be read, or it is not
      such a mapping.
  """
  path = _profile_path(path, folder)
  content = _read_yaml(path)
  fields = (*LIST_FIELDS, *COMPACT_FIELDS, SIGNATURES_FIELD)
  if not isinstance(content, dict):
    raise OutputKeyError(
        f'The output profile {path} holds {_kind(content)}; it must be a mapping'
        f' with {" and ".join(LIST_FIELDS)}.')
  for field in content:
    if field not in fields:
      raise OutputKeyError(
          f'The output profile {path} has the unknown entry {field!r}'
          f'{did_you_mean(str(field), fields) or "."} Accepted are'
          f' {", ".join(fields)}.')
  return content


def selection_in(content: dict[str, Any],
                 path: str | os.PathLike[str]) -> OutputSelection:
  """The selection in what `read_profile` read from `path`.

  Raises:
    OutputKeyError: a list is no list of patterns.
  """
  allow = _profile_patterns(content, 'output_keys', path)
  deny = _profile_patterns(content, 'exclude_output_keys', path)
  return OutputSelection(allow, deny or ())


LIST_FIELDS = ('output_keys', 'exclude_output_keys')

# What else a profile may hold; `exporter.detection.compact_options` reads it.
COMPACT_FIELDS = ('min_score', 'max_detections', 'mask_threshold', 'dtypes')
# And what further signatures take and return; `exporter.detection.signature_specs`.
SIGNATURES_FIELD = 'signatures'


def profiles_in(folder: str | os.PathLike[str]) -> dict[str, str]:
  """The paths of the profiles in a folder, by bare name, in alphabetical order."""
  paths = glob.glob(os.path.join(glob.escape(os.fspath(folder)), '*.yaml'))
  return {os.path.basename(path)[:-len('.yaml')]: path for path in sorted(paths)}


def _profile_path(path: str | os.PathLike[str],
                  folder: str | os.PathLike[str] | None) -> str:
  """`path`, or where the profile of that name lies in `folder`.

  A bare name has no folder and no extension, and no such file lies here.

  Raises:
    OutputKeyError: `folder` has no profile of that name.
  """
  path = os.fspath(path)
  is_name = path and os.path.basename(path) == path and '.' not in path
  if folder is None or not is_name or os.path.exists(path) and not os.path.isdir(path):
    return path
  shipped = profiles_in(folder)
  if path not in shipped:
    raise OutputKeyError(
        f'There is no output profile {path!r}{did_you_mean(path, shipped) or "."}'
        f' Shipped are {", ".join(shipped) or "none"}; any other is given as the'
        ' path of a YAML file.')
  return shipped[path]


def _read_yaml(path: str) -> Any:
  try:
    return yaml.safe_load(read_text(path, 'output profile', OutputKeyError))
  except yaml.YAMLError as e:
    where = getattr(e, 'problem_mark', None)
    line = f' at line {where.line + 1}' if where else ''
    problem = ' '.join(str(getattr(e, 'problem', None) or e).split())
    raise OutputKeyError(
        f'The output profile {path} is not valid YAML{line}: {problem}; a pattern'
        ' that begins with * must stand in quotes.') from e


def _profile_patterns(content: dict[str, Any], field: str,
                      path: str | os.PathLike[str]) -> tuple[str, ...] | None:
  value = content.get(field)
  if value is None:
    return None
  if isinstance(value, str):
    return parse_patterns(value, f'{field} in {path}')
  if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
    raise OutputKeyError(
        f'{field} in the output profile {path} is {value!r}; it must be a list of'
        ' output keys or globs.')
  patterns = tuple(p for p in (v.strip() for v in value) if p)
  # In a list a comma is part of the key.
  return patterns or parse_patterns('', f'{field} in {path}')


def _kind(value: object) -> str:
  if value is None:
    return 'nothing'
  kinds: dict[type, str] = {list: 'a list', str: 'a string'}
  return kinds.get(type(value), repr(value))


def _matching(patterns: Sequence[str], available: Sequence[str]) -> set[str]:
  """The keys that some patterns mean.

  Raises:
    UnknownKeyError: one of them means none.
  """
  found: set[str] = set()
  for pattern in patterns:
    keys = [pattern] if pattern in available else [
        key for key in available if fnmatch.fnmatchcase(key, pattern)]
    if not keys:
      raise UnknownKeyError(pattern, available)
    found.update(keys)
  return found


def _no_match_message(pattern: str, available: Sequence[str]) -> str:
  plain = pattern.strip(_GLOB_CHARACTERS)
  what = 'matches no output' if plain != pattern else 'is not an output'
  nearest = did_you_mean(plain, available)
  if not any(',' in key for key in available):
    return (f'{pattern!r} {what} of this model{nearest or "."} Its outputs are'
            f' {", ".join(sorted(available))}.')
  return (f'{pattern!r} {what} of this model{nearest or "."} Its outputs are'
          f' {", ".join(map(repr, sorted(available)))}; a key that holds a comma is'
          ' named in a list of a YAML profile (--output_config), or with ? for it.')
