"""Other names for what clients see: inputs, outputs and signatures.

    >>> renaming = Renaming.parse('input_tensor:inputs,detection_boxes:boxes')
    >>> renaming.names
    {'input_tensor': 'inputs', 'detection_boxes': 'boxes'}
    >>> renaming.applied(['detection_boxes', 'detection_scores'], 'outputs')
    {'detection_boxes': 'boxes', 'detection_scores': 'detection_scores'}

Needs no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Iterable, Mapping

from exporter.errors import UserError, did_you_mean

# Inputs are also arguments of Python, and names of nodes.
_TENSOR = re.compile(r'[A-Za-z][A-Za-z0-9_]*')
_SIGNATURE = re.compile(r'[A-Za-z][A-Za-z0-9_.-]*')


@dataclasses.dataclass(frozen=True)
class Renaming:
  """New names by old ones.

  Attributes:
    names: of inputs and outputs, in every signature that has them.
    signatures: of signatures.
  """
  names: Mapping[str, str] = dataclasses.field(default_factory=dict)
  signatures: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @classmethod
  def parse(cls, names: str | None = None, signatures: str | None = None) -> Renaming:
    """Reads the flags rename and rename_signature, `old:new` separated by commas.

    Raises:
      UserError: one is malformed, or names something twice.
    """
    return cls(_parse('rename', names, _TENSOR, 'letters, digits and _'),
               _parse('rename_signature', signatures, _SIGNATURE,
                      'letters, digits, _, . and -'))

  def __bool__(self) -> bool:
    return bool(self.names or self.signatures)

  def applied(self, names: Iterable[str], what: str) -> dict[str, str]:
    """The new name of each, which for most is the old one.

    Args:
      names: the inputs or outputs of one signature.
      what: these are, for the message.

    Raises:
      UserError: two would have the same name.
    """
    return _applied(self.names, names, what)

  def applied_to_signatures(self, names: Iterable[str]) -> dict[str, str]:
    """The new name of each signature.

    Raises:
      UserError: one that is renamed is none of them, or two would have one name.
    """
    names = list(names)
    _check_known('rename_signature', self.signatures, names, 'signature')
    return _applied(self.signatures, names, 'signatures')

  def check_known(self, names: Iterable[str]) -> None:
    """Checks that what is renamed is there.

    Args:
      names: the inputs and outputs of all signatures.

    Raises:
      UserError: something is not.
    """
    _check_known('rename', self.names, names, 'input or kept output')


def _applied(renamed: Mapping[str, str], names: Iterable[str],
             what: str) -> dict[str, str]:
  new_names: dict[str, str] = {}
  olds: dict[str, str] = {}
  for name in names:
    new = renamed.get(name, name)
    if new in olds:
      raise UserError(f'The {what} {olds[new]!r} and {name!r} would both be named'
                      f' {new!r}; rename one of them to something else.')
    olds[new] = name
    new_names[name] = new
  return new_names


def _check_known(flag: str, renamed: Mapping[str, str], names: Iterable[str],
                 what: str) -> None:
  known = sorted(set(names))
  for name in renamed:
    if name not in known:
      raise UserError(f'{flag} names {name!r}, which is no {what}'
                      f'{did_you_mean(name, known) or "."} There are'
                      f' {", ".join(known) or "none"}.')


def _parse(flag: str, text: str | None, pattern: re.Pattern[str],
           accepted: str) -> dict[str, str]:
  renamed: dict[str, str] = {}
  if text is None:
    return renamed
  for entry in text.split(','):
    old, colon, new = (part.strip() for part in entry.rpartition(':'))
    if not (old and colon and new):
      raise UserError(f'{flag} has the entry {entry.strip()!r}; it must be OLD:NEW,'
                      ' several separated by commas.')
    if not pattern.fullmatch(new) or keyword.iskeyword(new) or new == 'self':
      raise UserError(f'{flag} has the new name {new!r}; a name begins with a letter,'
                      f' has {accepted}, and is no word of Python.')
    if old in renamed:
      raise UserError(f'{flag} renames {old!r} twice, to {renamed[old]!r} and {new!r}.')
    renamed[old] = new
  return renamed
