"""The one walk that all questions about a graph are asked on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

_Place = TypeVar('_Place', bound=Hashable)


def reached(starts: Iterable[_Place],
            following: Callable[[_Place], Iterable[_Place]]) -> Iterator[_Place]:
  """Gives some places and all that they lead to, each once, depth first.

  Whoever iterates may stop; what a place leads to is asked for after it was given.

  Args:
    starts: where to begin; the last comes first.
    following: gives what a place leads to, which may be places that were given.

  Example:
    >>> list(reached([6], lambda n: [n // 2] if n else []))
    [6, 3, 1, 0]
  """
  seen: set[_Place] = set()
  stack = list(starts)
  while stack:
    place = stack.pop()
    if place not in seen:
      seen.add(place)
      yield place
      stack.extend(following(place))
