"""A read-only view of a GraphDef and its function library, one body at a time.

The main graph and every function body are the same to the pruner: named nodes,
data edges, control edges, and calls into other bodies.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from exporter.graph.walk import reached

# The name under which the main graph stands among the function bodies.
MAIN_GRAPH = ''

# Ops that hand their inputs to functions.
_CALLS = frozenset({
    'Case', 'If', 'PartitionedCall', 'StatefulPartitionedCall', 'StatelessCase',
    'StatelessIf', 'StatelessWhile', 'While'})

# Ops of TF1's branches and loops, where a control edge decides whether a node runs.
_SWITCHES = frozenset({'Merge', 'RefMerge', 'RefSwitch', 'Switch'})


@dataclasses.dataclass(frozen=True)
class Edge:
  """One input of a node: a tensor of `source`, or its completion.

  In functions, `index` counts within the output of the op that `output` names.
  """
  source: str
  index: int = 0
  output: str = ''
  is_control: bool = False


@functools.cache
def parse_edge(text: str) -> Edge:
  """Reads `node`, `node:3`, `node:output:3` (in functions) and `^node`."""
  if text.startswith('^'):
    return Edge(text[1:], is_control=True)
  source, _, rest = text.partition(':')
  output, _, index = rest.rpartition(':')
  return Edge(source, int(index or 0), output)


@dataclasses.dataclass(frozen=True)
class Call:
  """How a node hands its inputs to the functions that it calls.

  Input `first_input + i` is argument i of every function; output j is result j
  of every callee. A loop has as many outputs as inputs, and one loop variable is
  input i, output i, and argument and result i of the body. `counters` are positions
  of loop variables by which the loop's gradient counts: in one that TF2 made, the
  first counts its turns and the second is their limit.
  """
  callees: tuple[str, ...]
  condition: str | None = None
  first_input: int = 0
  counters: tuple[int, ...] = ()

  @property
  def is_loop(self) -> bool:
    return self.condition is not None

  @property
  def functions(self) -> tuple[str, ...]:
    return self.callees + ((self.condition,) if self.condition else ())


def call_of(node: Any) -> Call | None:
  """The call that `node` makes; None for an op without function semantics."""
  op = node.op
  if op not in _CALLS:  # Most nodes.
    return None
  attr = node.attr
  if op in ('PartitionedCall', 'StatefulPartitionedCall'):
    return Call((attr['f'].func.name,))
  if op in ('If', 'StatelessIf'):
    return Call((attr['then_branch'].func.name, attr['else_branch'].func.name),
                first_input=1)
  if op in ('Case', 'StatelessCase'):
    return Call(tuple(f.name for f in attr['branches'].list.func), first_input=1)
  has_counters = '_num_original_outputs' in attr and len(node.input) > 1
  return Call((attr['body'].func.name,), condition=attr['cond'].func.name,
              counters=(0, 1) if has_counters else ())


def functions_named_in(node: Any) -> Iterator[str]:
  """Every function that an attribute of `node` names."""
  for value in node.attr.values():
    kind = value.WhichOneof('value')
    if kind == 'func' or kind == 'list':
      for function in [value.func] if kind == 'func' else value.list.func:
        if function.name:  # An optional one may lack it.
          yield function.name


class Body:
  """The nodes of the main graph or of one function.

  Attributes:
    name: of the function, or MAIN_GRAPH.
    nodes: NodeDef by name.
    arguments: position by name; empty for the main graph.
    results: the edge behind each output; empty for the main graph.
    control_results: names of the nodes that the function promises to run.
    implements: what the function says that it implements; TensorFlow calls, on
      another device, another function that says the same. Empty for most.
    gradients: names of the functions that stand as its gradients.
    argument_specs: dtype and serialized shape of each argument, as it was traced.
  """

  def __init__(self, name: str, node_defs: Iterable[Any],
               arguments: Iterable[str] = (), results: Iterable[Edge] = (),
               control_results: Iterable[str] = (),
               implements: tuple[bytes, ...] = (), gradients: Iterable[str] = (),
               argument_specs: Iterable[tuple[int, bytes]] = ()) -> None:
    self.name = name
    self.nodes = {node.name: node for node in node_defs}
    self.arguments = {argument: i for i, argument in enumerate(arguments)}
    self.results = list(results)
    self.control_results = list(control_results)
    self.implements = implements
    self.gradients = tuple(gradients)
    self.argument_specs = list(argument_specs)
    self._edges: dict[str, list[Edge]] = {}

  def narrow(self, node_name: str, inputs: Sequence[str]) -> None:
    """From now on sees a node as if it had these of its inputs alone."""
    self._edges[node_name] = [parse_edge(text) for text in inputs]
    self.__dict__.pop('consumers', None)

  def edges(self, node_name: str) -> list[Edge]:
    """The inputs of a node, data before control, in the node's order."""
    if node_name not in self._edges:
      self._edges[node_name] = [
          parse_edge(text) for text in self.nodes[node_name].input]
    return self._edges[node_name]

  def data_edges(self, node_name: str) -> list[Edge]:
    return [edge for edge in self.edges(node_name) if not edge.is_control]

  def sources(self, node_name: str) -> list[str]:
    """The nodes, without arguments, that a node takes from or waits for."""
    return [edge.source for edge in self.edges(node_name) if edge.source in self.nodes]

  def control_edges(self, node_name: str) -> list[Edge]:
    return [edge for edge in self.edges(node_name) if edge.is_control]

  def behind_identities(self, edge: Edge) -> Edge:
    """The edge that identities hand on as this one; a damaged one may take no tensor."""
    while edge.source in self.nodes and self.nodes[edge.source].op == 'Identity':
      taken = self.data_edges(edge.source)
      if len(taken) != 1:
        break
      edge, = taken
    return edge

  def all_behind(self, names: Iterable[str]) -> set[str]:
    """Some nodes with all that they take from or wait for."""
    return set(reached((name for name in names if name in self.nodes), self.sources))

  @functools.cached_property
  def consumers(self) -> dict[str, set[str]]:
    """The names of the nodes that take from a node, by data or by control."""
    consumers: dict[str, set[str]] = {name: set() for name in self.nodes}
    for name in self.nodes:
      for edge in self.edges(name):
        if edge.source in consumers:
          consumers[edge.source].add(name)
    return consumers

  @functools.cached_property
  def obeys_control_edges(self) -> bool:
    """Whether a control edge is an order to run, rather than to wait if need be.

    A session runs what it is told to.
    """
    return self.name == MAIN_GRAPH or any(
        node.op in _SWITCHES for node in self.nodes.values())

  @functools.cached_property
  def result_nodes(self) -> frozenset[str]:
    return frozenset(edge.source for edge in self.results)


def bodies_of(graph_def: Any) -> dict[str, Body]:
  """The main graph under MAIN_GRAPH, and each library function by its name."""
  bodies = {MAIN_GRAPH: Body(MAIN_GRAPH, graph_def.node)}
  gradients: dict[str, list[str]] = {}
  for gradient in graph_def.library.gradient:
    gradients.setdefault(gradient.function_name, []).append(gradient.gradient_func)
  for function in graph_def.library.function:
    signature = function.signature
    bodies[signature.name] = Body(
        signature.name,
        function.node_def,
        [argument.name for argument in signature.input_arg],
        [parse_edge(function.ret[output.name]) for output in signature.output_arg],
        function.control_ret.values(), _implements(function),
        gradients.get(signature.name, ()), _argument_specs(function))
  return bodies


def _argument_specs(function: Any) -> list[tuple[int, bytes]]:
  """Loaders look for the shapes in one of two places."""
  arguments = function.signature.input_arg
  shapes: list[Any] = list(function.attr['_input_shapes'].list.shape
                           if '_input_shapes' in function.attr else ())
  if len(shapes) != len(arguments):
    shapes = [next(iter(function.arg_attr[i].attr['_output_shapes'].list.shape), None)
              if i in function.arg_attr else None for i in range(len(arguments))]
  return [(argument.type, b'' if shape is None else shape.SerializeToString(
      deterministic=True)) for argument, shape in zip(arguments, shapes)]


def _implements(function: Any) -> tuple[bytes, ...]:
  """The interface by which TensorFlow tells which functions are alike.

  One function has an implementation for inference and one for training, which
  takes and gives other tensors and has one of the other two attributes.
  """
  if 'api_implements' not in function.attr:
    return ()
  return tuple(
      function.attr[name].s if name in function.attr else b'' for name in (
          'api_implements', 'forward_function_name', 'backward_function_name'))


def functions_alike(bodies: dict[str, Body]) -> dict[str, list[str]]:
  """For each function that implements something, all that implement the same."""
  groups: dict[tuple[object, ...], list[str]] = {}
  for name, body in bodies.items():
    if body.implements:
      # TensorFlow swaps only what takes and gives as much.
      shape = len(body.arguments), len(body.results)
      groups.setdefault((*body.implements, *shape), []).append(name)
  return {name: group for group in groups.values() for name in group}
