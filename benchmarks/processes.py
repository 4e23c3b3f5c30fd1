"""Runs a command as a fresh process and measures it from outside."""

import dataclasses
import os
import sys
import tempfile
import time


@dataclasses.dataclass(frozen=True)
class Measured:
  """A finished process.

  Attributes:
    seconds: wall time from start to exit, imports included.
    cpu_seconds: of all its threads, the kernel's work for it included.
    peak_bytes: its largest resident set, as the kernel counted it.
    written_bytes: what it wrote to disks, as the kernel counted it.
    stdout: what it printed.
  """
  seconds: float
  cpu_seconds: float
  peak_bytes: int
  written_bytes: int
  stdout: str


def run_python(*arguments: str) -> Measured:
  """Runs `python ARGUMENTS` and waits for it.

  Raises:
    RuntimeError: it failed; the message ends with what it said.
  """
  command = [sys.executable, '-W', 'ignore', *arguments]
  environment = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}
  with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
    start = time.monotonic()
    pid = os.posix_spawn(
        command[0], command, environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1),
                      (os.POSIX_SPAWN_DUP2, err.fileno(), 2)])
    # wait4 gives this one child's peak; getrusage only that of all children.
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - start
    if status:
      err.seek(0)
      raise RuntimeError(
          f'{" ".join(arguments)} failed: {err.read()[-2000:].decode()}')
    out.seek(0)
    return Measured(
        seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024,
        usage.ru_oublock * 512, out.read().decode())
