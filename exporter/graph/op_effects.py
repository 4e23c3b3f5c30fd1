"""What running an op does beside making its outputs.

TensorFlow only knows "stateful", which covers reading a variable as well as
writing one. Pruning must tell them apart: a read that nobody uses can go, a
write cannot, and a check goes exactly when what it checks goes.
"""

from __future__ import annotations

import enum

from exporter.graph.bodies import Body, call_of, functions_named_in


class Effect(enum.IntEnum):
  """Ordered: a call has the greatest effect among the ops of its functions."""
  NONE = 0
  CHECKS = 1   # fails or prints, changes nothing: Assert, Print
  CHANGES = 2  # changes state or the outside world, or may: unknown stateful ops


_CHECKS = frozenset({
    'Abort', 'Assert', 'CheckNumerics', 'CheckNumericsV2', 'Print', 'PrintV2'})

# What may stand beside the check in a function that does nothing else.
_AROUND_A_CHECK = frozenset({'Const', 'Identity', 'NoOp', 'StringFormat'})

# Stateful for TensorFlow, yet without trace when the result is not used.
_WITHOUT_EFFECT = frozenset({
    # Variables and tables: handles and reads.
    'AnonymousHashTable', 'HashTable', 'HashTableV2', 'LookupTableExport',
    'LookupTableExportV2', 'LookupTableFind', 'LookupTableFindV2',
    'LookupTableSize', 'LookupTableSizeV2', 'MutableDenseHashTable',
    'MutableDenseHashTableV2', 'MutableHashTable', 'MutableHashTableOfTensors',
    'MutableHashTableOfTensorsV2', 'MutableHashTableV2', 'ReadVariableOp',
    'ResourceGather', 'ResourceGatherNd', 'VarHandleOp', 'VarIsInitializedOp',
    'Variable', 'VariableShape', 'VariableV2', '_ReadVariablesOp',
    # Files.
    'ReadFile', 'RestoreV2',
    # Randomness of the op's own, which no other op sees.
    'CudnnRNN', 'CudnnRNNV2', 'CudnnRNNV3', 'Multinomial', 'NonDeterministicInts',
    'ParameterizedTruncatedNormal', 'RandomCrop', 'RandomGamma', 'RandomPoisson',
    'RandomPoissonV2', 'RandomShuffle', 'RandomStandardNormal', 'RandomUniform',
    'RandomUniformInt', 'SampleDistortedBoundingBox',
    'SampleDistortedBoundingBoxV2', 'TruncatedNormal',
    # Facts about where and when they run.
    'DeviceIndex', 'Empty', 'GuaranteeConst', 'StatelessRandomGetAlg', 'Timestamp',
    # TensorArrays are ordered by their flow tensor, which is data.
    'TensorArrayCloseV3', 'TensorArrayConcatV3', 'TensorArrayGatherV3',
    'TensorArrayReadV3', 'TensorArrayScatterV3', 'TensorArraySizeV3',
    'TensorArraySplitV3', 'TensorArrayV3', 'TensorArrayWriteV3',
})


def stateful_ops(meta_graph) -> frozenset[str]:
  """Names of the op types in a MetaGraphDef that TensorFlow calls stateful.

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

  def is_stateful(name):
    op = listed.get(name) or op_def_registry.get(name)
    return op is None or op.is_stateful

  return frozenset(filter(is_stateful, used - functions))


class OpEffects:
  """The effect of every node of a graph and its functions.

  Args:
    bodies: as `bodies.bodies_of` gives them.
    stateful_ops: names of the op types that TensorFlow calls stateful, as
      `stateful_ops` finds them.
  """

  def __init__(self, bodies: dict[str, Body], stateful_ops: frozenset[str]):
    self._bodies = bodies
    self._stateful_ops = stateful_ops
    self._of_functions: dict[str, Effect] = {}

  def of(self, node) -> Effect:
    call = call_of(node)
    if call is not None:
      return max(map(self.of_function, call.functions))
    if node.op in _CHECKS:
      return Effect.CHECKS
    if node.op in _WITHOUT_EFFECT:
      return Effect.NONE
    if node.op in self._stateful_ops:
      return Effect.CHANGES
    functions = list(functions_named_in(node))
    if node.op in self._bodies:  # TF1 calls a function by making it the op.
      functions.append(node.op)
    return max(map(self.of_function, functions), default=Effect.NONE)

  def is_check(self, node) -> bool:
    """Whether the node only checks: an assert, or a call of nothing else.

    `tf.Assert` is traced as an `If` with an `Assert` in one branch.
    """
    call = call_of(node)
    if call is None:
      return node.op in _CHECKS
    return self.of(node) is Effect.CHECKS and all(
        inner.op in _AROUND_A_CHECK or self.is_check(inner)
        for function in call.functions
        for inner in self._bodies[function].nodes.values())

  def is_stateful(self, node) -> bool:
    """Whether TensorFlow says so: running it twice need not give the same."""
    return node.op in self._stateful_ops

  def of_function(self, name: str) -> Effect:
    """The greatest effect among the ops of a function."""
    if name not in self._of_functions:
      body = self._bodies.get(name)
      self._of_functions[name] = (
          Effect.CHANGES if body is None  # Not in the library: nothing is known.
          else max(map(self.of, body.nodes.values()), default=Effect.NONE))
    return self._of_functions[name]
