"""What running an op does beside making its outputs.

TensorFlow only knows "stateful", which covers reading a variable as well as
writing one. Pruning must tell them apart: a read that nobody uses can go, a
write cannot, and a check goes exactly when what it checks goes.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from exporter.graph import op_table
from exporter.graph.bodies import Body, call_of, functions_named_in


class Effect(enum.IntEnum):
  """Ordered: a call has the greatest effect among the ops of its functions."""
  NONE = 0
  CHECKS = 1   # fails or prints, changes nothing: Assert, Print
  CHANGES = 2  # changes state or the outside world, or may: unknown stateful ops


@dataclasses.dataclass(frozen=True)
class OpKinds:
  """What TensorFlow says of op types, by their names.

  Attributes:
    stateful: running one twice need not give the same.
    by_reference: not stateful, and take a reference, which they may write to.
  """
  stateful: frozenset[str] = frozenset()
  by_reference: frozenset[str] = frozenset()


def op_kinds(meta_graph: Any) -> OpKinds:
  """The kinds of the op types in a MetaGraphDef.

  A MetaGraphDef lists its ops, yet not those inside of loops and branches; for
  these, TensorFlow is asked. Ops that neither knows count as stateful.
  """
  from tensorflow.python.framework import op_def_registry
  graph_def = meta_graph.graph_def
  used = {node.op for node in graph_def.node}
  for function in graph_def.library.function:
    used.update(node.op for node in function.node_def)
  listed = {op.name: op for op in meta_graph.meta_info_def.stripped_op_list.op}
  functions = {f.signature.name for f in graph_def.library.function}
  definitions = {name: listed.get(name) or op_def_registry.get(name)
                 for name in used - functions}
  stateful = frozenset(name for name, definition in definitions.items()
                       if definition is None or definition.is_stateful)
  return OpKinds(stateful, frozenset(
      name for name, definition in definitions.items()
      if name not in stateful and any(a.is_ref for a in definition.input_arg)))


class OpEffects:
  """The effect of every node of a graph and its functions.

  Args:
    bodies: as `bodies.bodies_of` gives them.
    kinds: of the ops in them.
  """

  def __init__(self, bodies: dict[str, Body], kinds: OpKinds):
    self._bodies = bodies
    self._stateful = kinds.stateful
    self._changing = (kinds.stateful | op_table.CHANGES_UNSEEN
                      | kinds.by_reference - op_table.READS_REFERENCE
                      ) - op_table.MAKES_DATASET
    # With the node itself, so that no other can have its id.
    self._of_nodes: dict[int, tuple[Any, Effect]] = {}
    self._datasets_are_harmless: bool | None = None
    self._private: dict[str, dict[str, str]] = {}
    self._of_functions: dict[str, Effect] = {}
    self._unseen_functions: dict[str, bool] = {}

  def of(self, node: Any) -> Effect:
    known = self._of_nodes.get(id(node))
    if known is None:
      known = self._of_nodes[id(node)] = node, self._of(node)
    return known[1]

  def _of(self, node: Any) -> Effect:
    call = call_of(node)
    if call is not None:
      return max(map(self.of_function, call.functions))
    op = node.op
    if op in op_table.CHECKS:
      return Effect.CHECKS
    if op in op_table.WITHOUT_EFFECT or op in op_table.MAKES_PRIVATE:
      return Effect.NONE
    if op in self._changing and not (
        op in op_table.READS_DATASET and self._reading_datasets_is_harmless()
        or op == 'XlaCallModule' and _is_plain_computation(node)):
      return Effect.CHANGES
    return max(map(self.of_function, self._functions_of(node)),
               default=Effect.NONE)

  def is_check(self, node: Any) -> bool:
    """Whether the node only checks: an assert, or a call of nothing else.

    `tf.Assert` is traced as an `If` with an `Assert` in one branch.
    """
    call = call_of(node)
    if call is None:
      return node.op in op_table.CHECKS
    return self.of(node) is Effect.CHECKS and all(
        inner.op in op_table.AROUND_A_CHECK or self.is_check(inner)
        for function in call.functions
        for inner in self._bodies[function].nodes.values())

  def is_stateful(self, node: Any) -> bool:
    """Whether TensorFlow says so: running it twice need not give the same."""
    return node.op in self._stateful

  def changes_unseen(self, node: Any) -> bool:
    """Whether it changes something and yet runs only if something waits for it.

    That is so of the ops which TensorFlow takes for pure, and of calls of these.
    """
    if node.op in self._stateful or self.of(node) is not Effect.CHANGES:
      return False
    return all(map(self._function_changes_unseen, self._functions_of(node)))

  def of_function(self, name: str) -> Effect:
    """The greatest effect among the ops of a function."""
    if name not in self._of_functions:
      body = self._bodies.get(name)
      self._of_functions[name] = (
          Effect.CHANGES if body is None  # Not in the library: nothing is known.
          else max((self.of(node) for node_name, node in body.nodes.items()
                    if node_name not in self.private(body)), default=Effect.NONE))
    return self._of_functions[name]

  def private(self, body: Body) -> dict[str, str]:
    """Nodes that change what one node of the body made and nobody else knows.

    The name of each, with that of the node that made what it changes.
    """
    if body.name not in self._private:
      found = {}
      for name, node in body.nodes.items():
        if node.op in op_table.CHANGES_INPUT:
          changed = body.data_edges(name)[op_table.CHANGES_INPUT[node.op]]
          maker = body.behind_identities(changed).source
          if (maker in body.nodes and body.nodes[maker].op in op_table.MAKES_PRIVATE
              and maker not in body.result_nodes
              and self._reading_datasets_is_harmless()):
            found[name] = maker
      self._private[body.name] = found
    return self._private[body.name]

  def _reading_datasets_is_harmless(self) -> bool:
    """Whether no dataset of the graph, nor what it calls, changes when it is read."""
    if self._datasets_are_harmless is None:
      self._datasets_are_harmless = False  # While this is found out.
      self._datasets_are_harmless = not any(
          node.op.startswith(op_table.CHANGED_BY_READING)
          or self.of(node) is Effect.CHANGES
          for body in self._bodies.values() for node in body.nodes.values()
          if 'Dataset' in node.op and node.op not in op_table.READS_DATASET)
    return self._datasets_are_harmless

  def _function_changes_unseen(self, name: str) -> bool:
    if name not in self._unseen_functions:
      body = self._bodies.get(name)
      self._unseen_functions[name] = body is not None and all(
          self.changes_unseen(node) for node in body.nodes.values()
          if self.of(node) is Effect.CHANGES)
    return self._unseen_functions[name]

  def _functions_of(self, node: Any) -> list[str]:
    functions = list(functions_named_in(node))
    if node.op in self._bodies:  # TF1 calls a function by making it the op.
      functions.append(node.op)
    return functions


def _is_plain_computation(node: Any) -> bool:
  """Whether a compiled module neither calls functions nor has an order of effects."""
  return not ('function_list' in node.attr and node.attr['function_list'].list.func
              or 'has_token_input_output' in node.attr
              and node.attr['has_token_input_output'].b)
