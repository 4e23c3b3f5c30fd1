"""Tells which checks stay: asserts, prints, and calls made for these alone.

A check goes exactly when what it checks goes, also where nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from exporter.graph.bodies import Body
from exporter.graph.op_effects import Effect, OpEffects
from exporter.graph.walk import reached

# Ops that cost nothing once there is what they look at.
_FACTS = frozenset({'Const', 'Rank', 'Shape', 'ShapeN', 'Size'})


def is_bookkeeping(body: Body, node: Any, effects: OpEffects) -> bool:
  """Whether TensorFlow made the node wait, for all that has any effect.

  It does so where it promises to run ops; elsewhere the user asked for the wait.
  """
  return (effects.of(node) is Effect.CHECKS
          or bool(body.control_results) and node.op == 'Identity'
          and node.name in body.result_nodes)


def is_check(body: Body, node_name: str, effects: OpEffects) -> bool:
  """Whether a node is a check, or a call made for the checks inside alone."""
  node = body.nodes[node_name]
  return (effects.of(node) is Effect.CHECKS
          and (effects.is_check(node) or not _is_used(body, node_name)))


def looks_at_live_tensors_alone(
    body: Body, check: str, effects: OpEffects, nodes: Collection[tuple[str, str]],
    arguments: Collection[tuple[str, int]]) -> bool:
  """Whether all behind a check is live, or is arithmetic that only checks use.

  Args:
    body: that holds the check.
    check: name of its node.
    effects: of the ops.
    nodes: (body, node) pairs that are live.
    arguments: (function, position) pairs that are live.
  """
  def not_live(name: str) -> list[str]:
    return [edge.source for edge in body.data_edges(name)
            if edge.source in body.nodes and (body.name, edge.source) not in nodes]

  return all(
      (name == check or body.nodes[name].op in _FACTS
       or _only_checks_use(body, name, effects))
      and all((body.name, body.arguments[edge.source]) in arguments
              for edge in body.data_edges(name) if edge.source in body.arguments)
      for name in reached([check], not_live))


def _only_checks_use(body: Body, node_name: str, effects: OpEffects) -> bool:
  """Whether everything downstream of a node ends in checks.

  A tensor that nothing takes may have been an output, so it is not one.
  """
  def is_end(name: str) -> bool:
    return effects.of(body.nodes[name]) is Effect.CHECKS and not _is_used(body, name)

  def consumers(name: str) -> list[str]:
    return [] if is_end(name) else _data_consumers(body, name)

  return all(is_end(name) or consumers(name) and name not in body.result_nodes
             for name in reached([node_name], consumers))


def _data_consumers(body: Body, node_name: str) -> list[str]:
  return [consumer for consumer in body.consumers[node_name]
          if any(e.source == node_name for e in body.data_edges(consumer))]


def _is_used(body: Body, node_name: str) -> bool:
  """Whether anything takes an output of a node, but for identities that end."""
  return any(
      name in body.result_nodes
      or name != node_name and body.nodes[name].op != 'Identity'
      for name in reached([node_name], lambda name: _data_consumers(body, name)))
