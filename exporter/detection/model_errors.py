"""Tells in one sentence why a pipeline config's model cannot be built or run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from absl import logging

from exporter.errors import UserError

# What Keras and AutoGraph put around an error's own text, paragraph by paragraph.
_AROUND = ('in user code:', 'File "', 'Exception encountered when', 'Call arguments',
           'Arguments received')
_LONGEST = 400


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
  """Turns what a model raises into one sentence; `--verbosity=1` shows the whole.

  Args:
    what: `built` or `run`, as the sentence says it.

  Raises:
    UserError: the block raised something else.
  """
  try:
    yield
  except UserError:
    raise
  except Exception as e:  # Models raise whatever they like.
    logging.debug('The model cannot be %s.', what, exc_info=True)
    raise UserError(
        f'The model that the pipeline config describes cannot be {what}:'
        f' {reason(e)} (--verbosity=1 shows where)') from e


def reason(error: Exception) -> str:
  """The text of an error on one line, without what Keras and AutoGraph add."""
  text = str(getattr(error, 'message', None) or error)
  paragraphs = [' '.join(part.split()) for part in text.split('\n\n')]
  own = [part for part in paragraphs if part and not part.startswith(_AROUND)]
  line = own[0] if own else ''
  if isinstance(error, KeyError):
    line = f'{line} is not there'
  kind = type(error).__name__
  line = line if line.startswith(kind) else f'{kind}: {line}'
  return line[:_LONGEST].rstrip('. :') + '.'
