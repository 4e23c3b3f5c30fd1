"""Which variable, table or other resource a node stands for.

Ops of the main graph share a resource by its container and name, not by the node
that gives its handle: two nodes may stand for one table.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from exporter.graph.bodies import MAIN_GRAPH, Body, call_of

# What the names of ops start with that always stand for a resource.
_HANDLES = ('AnonymousHashTable', 'AnonymousMutable', 'HashTable',
            'MutableDenseHashTable', 'MutableHashTable', 'VarHandleOp', 'Variable')
_NOT_HANDLES = frozenset({'VariableShape'})

# TensorFlow's name of resources that no two nodes share.
_ANONYMOUS = b'cd2c89b7-88b7-44c8-ad83-06c2a9158347'

# Container and name; or the body and the node, of what no other node stands for.
Resource = tuple[object, object]


def resource_of(body: Body, name: str) -> Resource | None:
  """The resource that a node gives the handle of; None for other nodes."""
  node = body.nodes[name]
  if 'shared_name' not in node.attr and (
      not node.op.startswith(_HANDLES) or node.op in _NOT_HANDLES):
    return None
  container, shared = (node.attr[key].s if key in node.attr else b''
                       for key in ('container', 'shared_name'))
  if shared == _ANONYMOUS:
    return body.name, name
  if shared or node.op == 'VarHandleOp':
    return container, shared
  # A node of the main graph has its own name for what it shares.
  return (container, name.encode()) if body.name == MAIN_GRAPH else (body.name, name)


def handles_of(bodies: Mapping[str, Body], resources: Iterable[Resource],
               place: str = MAIN_GRAPH) -> set[str]:
  """Every node of a body that stands for one of some resources."""
  wanted = set(resources)
  return {name for name in bodies[place].nodes
          if resource_of(*maker_of(bodies, place, name)) in wanted}


def maker_of(bodies: Mapping[str, Body], place: str, name: str) -> tuple[Body, str]:
  """Where and by which node that is made which a node of a body gives.

  A model that was loaded and saved again makes each table by calling a function.
  """
  body = bodies[place]
  while (call := call_of(body.nodes[name])) is not None:
    callee = bodies[call.callees[0]]
    if len(callee.results) != 1:
      break
    edge = callee.behind_identities(callee.results[0])
    if edge.source not in callee.nodes:
      break
    body, name = callee, edge.source
  return body, name


class Resources:
  """What nodes stand for, each looked at once, as this is asked again and again.

  Args:
    bodies: of the graph.
  """

  def __init__(self, bodies: Mapping[str, Body]):
    self._bodies = bodies
    self._known: dict[tuple[str, str], Resource | None] = {}

  def of(self, nodes: Iterable[tuple[str, str]]) -> set[Resource]:
    """The resources that (body, node) pairs give the handles of."""
    return {resource for node in nodes if (resource := self._of(node)) is not None}

  def handles(self, resources: set[Resource]) -> set[str]:
    """Every node of the main graph that stands for one of some resources."""
    return {name for name, resource in self._of_main.items() if resource in resources}

  @functools.cached_property
  def _of_main(self) -> dict[str, Resource | None]:
    return {name: resource_of(*maker_of(self._bodies, MAIN_GRAPH, name))
            for name in self._bodies[MAIN_GRAPH].nodes}

  def _of(self, node: tuple[str, str]) -> Resource | None:
    if node not in self._known:
      body, name = node
      self._known[node] = resource_of(self._bodies[body], name)
    return self._known[node]
