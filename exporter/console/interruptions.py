"""Lets a command that is told to end clear its temporary folders away first.

Python is gone at once where SIGTERM or SIGHUP comes, and the copy of a checkpoint from
a bucket would stay behind. A second one ends the command as ever.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

# The second is that of a terminal which is closed; there is none on Windows.
_SIGNALS = [getattr(signal, name) for name in ('SIGTERM', 'SIGHUP')
            if hasattr(signal, name)]


class _Told(BaseException):
  """As KeyboardInterrupt, of another signal."""


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
  """Ends the command `name` with one line where the block is told to end.

  Raises:
    SystemExit: Ctrl-C, SIGTERM or SIGHUP came; with the status that shells give it.
  """
  for number in _SIGNALS:
    with contextlib.suppress(ValueError):  # Not the main thread.
      if signal.getsignal(number) == signal.SIG_DFL:  # And not under nohup.
        signal.signal(number, _raise)
  try:
    yield
  except KeyboardInterrupt:
    _exit(name, signal.SIGINT)
  except _Told as e:
    _exit(name, e.args[0])


def _raise(number: int, _: object) -> None:
  signal.signal(number, signal.SIG_DFL)
  raise _Told(number)


def _exit(name: str, number: int) -> None:
  print(f'{name}: ended by {signal.Signals(number).name}.', file=sys.stderr)
  sys.exit(128 + number)
