"""Runs a seed in a process of its own.

TensorFlow may end with it, and never lets go of the memory that a model took.
"""

from __future__ import annotations

import os
import pickle
from typing import Callable

from outcome import Outcome


def run_apart(run: Callable[[], Outcome]) -> Outcome:
  """What `run` gives, or that it was killed.

  Call it from a process that has imported TensorFlow and not used it.
  """
  read_end, write_end = os.pipe()
  child = os.fork()
  if not child:
    os.close(read_end)
    with os.fdopen(write_end, 'wb') as pipe:
      pickle.dump(run(), pipe)
    os._exit(0)
  os.close(write_end)
  with os.fdopen(read_end, 'rb') as pipe:
    told = pipe.read()
  _, status = os.waitpid(child, 0)
  return pickle.loads(told) if told else Outcome('killed', f'status {status}')
