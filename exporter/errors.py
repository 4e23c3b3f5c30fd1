"""The one base class of errors that a user can mend."""

from __future__ import annotations

import difflib
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
