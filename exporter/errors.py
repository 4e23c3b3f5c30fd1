"""The one base class of errors that a user can mend."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable


class UserError(ValueError):
  """A mistake in what the user gave: one sentence that says how to mend it.

  The command lines print the message and exit with status 1; everything else
  that is raised is a bug and keeps its traceback.
  """


def did_you_mean(given: str, accepted: Iterable[str]) -> str:
  """`'; did you mean X?'` for the accepted name nearest to `given`, or `''`."""
  nearest = difflib.get_close_matches(given, list(accepted), n=1, cutoff=0.5)
  return f'; did you mean {nearest[0]!r}?' if nearest else ''


def is_url(path: str) -> bool:
  """Whether a path is a URL; a single letter before `://` is a Windows drive."""
  return re.match(r'[A-Za-z][A-Za-z0-9+.-]+://', path) is not None


def check_is_local(path: str | os.PathLike, what: str) -> None:
  """Refuses a URL where only a local path can be read.

  Args:
    path: what the user gave.
    what: what it stands for, as the sentence names it.

  Raises:
    UserError: it is a URL.
  """
  if is_url(os.fspath(path)):
    raise UserError(f'The {what} {path} is a URL; what is read must be local: copy it'
                    ' to this machine first. Only output folders may be URLs.')
