"""Names of what stands for a moment beside an entry, such as `.NAME.incomplete-…`."""

from __future__ import annotations

import hashlib
import os

# File systems take names of 255 bytes; ours adds up to 21.
_LONGEST_NAME = 200


def beside(name: str, kind: str) -> str:
  """The start of such a name; eight random characters follow.

  >>> beside('exported', 'incomplete')
  '.exported.incomplete-'
  """
  if len(os.fsencode(name)) > _LONGEST_NAME:
    name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
  return f'.{name}.{kind}-'
