"""What became of one seed."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of one seed.

  Attributes:
    verdict: 'same', or of a damaged model 'loads'; 'refused', with a reason; 'wrong':
      computes something else; 'traceback': the slimmer ended in one; 'killed': with
      its process; 'not built': TensorFlow itself could not make, save or run it.
    detail: why, or what was damaged.
    compared: how many values were.
  """
  verdict: str
  detail: str = ''
  compared: int = 0

  @property
  def is_fault(self) -> bool:
    return self.verdict in ('wrong', 'traceback', 'killed')


def in_short(error: Exception) -> str:
  lines = str(error).strip().splitlines() or ['']
  return f'{type(error).__name__}: {" ".join(lines)[:600]}'
