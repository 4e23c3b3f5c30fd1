"""Keeps what libraries write to standard error, and shows it where it counts.

TensorFlow, what it loads and upstream's models write dozens of lines in a run that
goes well. A command keeps them in a file, and shows them only where it ends as it
should not: with an exception that is no UserError, or by a signal, in C++ too.

    with chatter.kept() as routed, routed():
      import tensorflow  # Says nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDERR = 2


def is_asked_for(arguments: Sequence[str]) -> bool:
  """Whether a command line has absl's flag `--verbosity` with 0 or more."""
  text = ' '.join(arguments)
  given = re.findall(r'(?:^|\s)--?(?:v|verbosity)[=\s]\s*(-?\d+)(?!\S)', text)
  return bool(given) and int(given[-1]) >= 0


@contextlib.contextmanager
def kept() -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
  """What is written to standard error is kept, if it is not this package that writes.

  In the block `sys.stderr` writes where it did, and what goes to the descriptor itself
  is kept. Does nothing where standard error is no file of its own, as in a notebook.

  Yields:
    Opens a block in which warnings and log records of other packages are kept as well,
    and log records of this one shown as they are; for inside of absl's `app.run`,
    which sets up logging.
  """
  with contextlib.ExitStack() as stack:
    try:
      is_plain = sys.stderr.fileno() == _STDERR
      log = stack.enter_context(tempfile.TemporaryFile()) if is_plain else None
    except (OSError, AttributeError, ValueError):  # Closed, replaced, or no room.
      log = None
    if log is None:
      yield contextlib.nullcontext
      return
    with _kept_in(log.fileno()):
      yield _routed


@contextlib.contextmanager
def _kept_in(log: int) -> Iterator[None]:
  sys.stderr.flush()
  # Left open: what tells of crashes has it until the end.
  screen = os.dup(_STDERR)
  guard = _Guard(log, screen)
  os.dup2(log, _STDERR)
  was, failed = sys.stderr, True
  with open(screen, 'w', buffering=1, encoding=was.encoding, errors='backslashreplace',
            closefd=False) as sys.stderr:
    try:
      yield
      failed = False
    except (SystemExit, KeyboardInterrupt):  # Each has said what there is to say.
      failed = False
      raise
    finally:
      sys.stderr.flush()
      sys.stderr = was
      os.dup2(screen, _STDERR)
      guard.end()
      if failed:
        _copy(log, screen)


@contextlib.contextmanager
def _routed() -> Iterator[None]:
  """Log records and warnings of this package are shown, all others kept."""
  root, show = logging.root, warnings.showwarning
  handlers, level = root.handlers, root.level
  root.handlers = [_Router()]
  root.setLevel(logging.INFO)

  def show_warning(message: Warning | str, category: type[Warning], filename: str,
                   lineno: int, file: TextIO | None = None,
                   line: str | None = None) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line)
    _write(text, filename)

  warnings.showwarning = show_warning
  try:
    yield
  finally:
    root.handlers, warnings.showwarning = handlers, show
    root.setLevel(level)


class _Router(logging.Handler):

  def __init__(self) -> None:
    super().__init__()
    self._with_place = logging.Formatter(
        '%(levelname).1s %(asctime)s %(filename)s:%(lineno)d] %(message)s')

  def emit(self, record: logging.LogRecord) -> None:
    ours = record.pathname.startswith(_PACKAGE)
    text = record.getMessage() if ours else self._with_place.format(record)
    _write(f'{text}\n', record.pathname)


def _write(text: str, place: str) -> None:
  if place.startswith(_PACKAGE):
    print(text, end='', file=sys.stderr)
  else:
    with contextlib.suppress(OSError):  # The file's disk is full.
      os.write(_STDERR, text.encode('utf-8', 'backslashreplace'))


class _Guard:
  """Shows a log once this process has been ended by a signal.

  A child, which waits for the end; there is none on Windows.

  Args:
    log: the descriptor of the file to be shown.
    screen: the descriptor of what shows it.
  """

  def __init__(self, log: int, screen: int):
    self._pid = None
    if not hasattr(os, 'fork'):
      return
    waiting, self._running = os.pipe()
    self._pid = os.fork()
    if self._pid:
      os.close(waiting)
      return
    try:
      os.close(self._running)
      for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
      os.closerange(0, _STDERR)  # Who reads what the command prints waits for its end.
      if not os.read(waiting, 1):
        _copy(log, screen)
    finally:
      os._exit(0)

  def end(self) -> None:
    """Call where this process goes on, or says itself why it does not."""
    if self._pid is None:
      return
    os.write(self._running, b'.')
    os.close(self._running)
    with contextlib.suppress(ChildProcessError):
      os.waitpid(self._pid, 0)


def _copy(log: int, screen: int) -> None:
  position = 0
  while block := os.pread(log, 1 << 16, position):
    os.write(screen, block)
    position += len(block)
