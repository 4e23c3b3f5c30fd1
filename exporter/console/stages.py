"""Says what long work is doing: stages with the time that each has taken."""

import contextlib
import sys
import time
from collections.abc import Iterator

from absl import logging


class Stages:
  """Reports stages on standard error: live on a terminal, else a log line for each.

      stages = Stages()
      with stages('restore'):
        ...
  """

  @contextlib.contextmanager
  def __call__(self, name: str) -> Iterator[None]:
    """Reports the stage `name` for the length of the block."""
    start = time.monotonic()
    if not sys.stderr.isatty():
      logging.debug('%s ...', name)
      yield
      logging.info('%s: %.1f s', name, time.monotonic() - start)
      return
    from rich import console, progress  # Not needed where there is no terminal.
    with progress.Progress(
        progress.SpinnerColumn(finished_text='[green]✓[/]'),
        progress.TextColumn('{task.description:<12}'),
        progress.TimeElapsedColumn(), console=console.Console(stderr=True)) as bar:
      task = bar.add_task(name, total=1)
      yield
      bar.update(task, completed=1)
