"""Says how far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time


class Progress:
  """Counts images, from one thread at a time; a context manager.

  Args:
    total: how many there are to be done.
    stream: where it is said; standard error where none is given.
    seconds_between_lines: where the stream is no terminal.
  """

  def __init__(self, total: int, stream=None, seconds_between_lines: float = 10):
    self._total = total
    self._stream = stream or sys.stderr
    self._seconds_between_lines = seconds_between_lines
    self._bar = self._task = None
    self.done = self.errors = 0

  def __enter__(self) -> Progress:
    self._start = self._last = time.monotonic()
    if self._stream.isatty():
      from rich import console, progress
      self._bar = progress.Progress(
          progress.BarColumn(), progress.MofNCompleteColumn(),
          progress.TextColumn('{task.fields[rate]}'), progress.TimeRemainingColumn(),
          console=console.Console(file=self._stream))
      self._task = self._bar.add_task('', total=self._total, rate='')
      self._bar.start()
    return self

  def __exit__(self, *unused_args) -> None:
    if self._bar is not None:
      self._bar.stop()

  @property
  def images_per_second(self) -> float:
    return self.done / max(time.monotonic() - self._start, 1e-9)

  def advance(self, has_error: bool = False) -> None:
    """One image more is done."""
    self.update(self.done + 1, self.errors + has_error)

  def update(self, done: int, errors: int) -> None:
    """So many images are done."""
    self.done, self.errors = done, errors
    if self._bar is not None:
      self._bar.update(self._task, completed=done, rate=self._rate())
    elif done and time.monotonic() - self._last >= self._seconds_between_lines:
      self._last = time.monotonic()
      print(self._line(), file=self._stream, flush=True)

  def _rate(self) -> str:
    errors = f', {self.errors:,} errors' if self.errors else ''
    return f'{self.images_per_second:.1f} images/s{errors}'

  def _line(self) -> str:
    left = (self._total - self.done) / max(self.images_per_second, 1e-9)
    return (f'{self.done:,} of {self._total:,} images, {self._rate()},'
            f' {_duration(left)} left')


def _duration(seconds: float) -> str:
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{seconds:02}'
