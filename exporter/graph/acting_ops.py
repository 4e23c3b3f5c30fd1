"""Tells what stays of a graph though no kept result needs what it gives."""

from __future__ import annotations

import collections
from collections.abc import Collection

from exporter.graph.bodies import call_of
from exporter.graph.liveness import Liveness


def acting_ops(liveness: Liveness, functions: Collection[str]) -> list[str]:
  """Op types that may change state and stay for that alone, such as `PyFunc (2)`.

  Args:
    liveness: with all its marks.
    functions: names of the functions to look at.
  """
  counts = collections.Counter(
      liveness.bodies[function].nodes[name].op
      for function, name in liveness.for_effect
      if function in functions and not _is_needed(liveness, function, name))
  return [f'{op} ({count})' if count > 1 else op for op, count in sorted(counts.items())]


def _is_needed(liveness: Liveness, function: str, name: str) -> bool:
  """Whether anything live takes from a node; a call stands for what is in it."""
  body = liveness.bodies[function]
  return call_of(body.nodes[name]) is not None or any(
      edge.source == name and (function, i) in liveness.results
      for i, edge in enumerate(body.results)) or any(
          edge.source == name for taker in body.consumers[name]
          if (function, taker) in liveness.nodes for edge in body.data_edges(taker))
