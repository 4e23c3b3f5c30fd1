"""Which variable, table or other resource a node stands for.

Ops of the main graph share a resource by its container and name, not by the node
that gives its handle: two nodes may stand for one table.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.graph.bodies import MAIN_GRAPH, Body

# What the names of ops start with that always stand for a resource.
_HANDLES = ('AnonymousHashTable', 'HashTable', 'MutableDenseHashTable',
            'MutableHashTable', 'VarHandleOp', 'Variable')
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


def resources_of(bodies: dict[str, Body],
                 nodes: Iterable[tuple[str, str]]) -> set[Resource]:
  """The resources that (body, node) pairs give the handles of."""
  found = (resource_of(bodies[body], node) for body, node in nodes)
  return {resource for resource in found if resource is not None}


def handles_of(main: Body, resources: Iterable[Resource]) -> set[str]:
  """Every node of the main graph that stands for one of some resources."""
  wanted = set(resources)
  return {name for name in main.nodes if resource_of(main, name) in wanted}
