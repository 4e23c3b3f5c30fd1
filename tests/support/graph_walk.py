"""Walks a SavedModel's graph and functions, to find what nothing needs.

Knows nothing of the pruner, and of TensorFlow's ops only which of them act.
"""

import collections
import os

# What a detection model may do beside computing: check its inputs.
_ACTS = frozenset({'Assert', 'Abort', 'Print', 'PrintV2'})

# Attributes that hold a function which the op calls with its own inputs.
_BRANCHES = {
    'PartitionedCall': ('f',), 'StatefulPartitionedCall': ('f',),
    'If': ('then_branch', 'else_branch'),
    'StatelessIf': ('then_branch', 'else_branch')}
_LOOPS = ('While', 'StatelessWhile')


def walk(saved_model_dir: str) -> dict:
  """What the tests ask about a SavedModel's only graph.

  Returns:
    unreached_nodes: nodes, as `function/node`, that lead to no result of their
      function and to no op that acts.
    unused_results: results, as `function:position`, that no caller uses.
    uncalled_functions: functions that nothing calls.
    acting_ops: how many ops act, by type; not the calls that lead to them.
    node_counts: nodes by function, '' being the main graph.
    conv_counts: convolutions by function.
    variables: shapes of the variables in it.
  """
  return _Walk(_meta_graph(saved_model_dir)).facts()


def bytes_without_gradients(saved_model_dir: str) -> int:
  """Size of a SavedModel's only graph, but for the functions that are gradients."""
  meta_graph = _meta_graph(saved_model_dir)
  library = meta_graph.graph_def.library
  gradients = {gradient.gradient_func for gradient in library.registered_gradients}
  return meta_graph.ByteSize() - sum(
      f.ByteSize() for f in library.function if f.signature.name in gradients)


def _meta_graph(saved_model_dir: str):
  from tensorflow.core.protobuf import saved_model_pb2
  saved_model = saved_model_pb2.SavedModel()
  with open(os.path.join(saved_model_dir, 'saved_model.pb'), 'rb') as f:
    saved_model.ParseFromString(f.read())
  [meta_graph] = saved_model.meta_graphs
  return meta_graph


class _Walk:

  def __init__(self, meta_graph):
    self.meta_graph = meta_graph
    self.functions = {
        f.signature.name: f for f in meta_graph.graph_def.library.function}
    self.nodes = {'': {n.name: n for n in meta_graph.graph_def.node}}
    for name, function in self.functions.items():
      self.nodes[name] = {n.name: n for n in function.node_def}

  def facts(self) -> dict:
    acting = collections.Counter(
        node.op for name in self.functions for node in self.nodes[name].values()
        if node.op in _ACTS)
    return {
        'unreached_nodes': sorted(
            f'{body}/{node}' for body in self.nodes
            for node in self.nodes[body].keys() - self.reached(body)),
        'unused_results': sorted(self.unused_results()),
        'uncalled_functions': sorted(self.functions.keys() - self.called()),
        'acting_ops': dict(acting),
        'node_counts': {name: len(nodes) for name, nodes in self.nodes.items()},
        'conv_counts': {
            name: sum(n.op in ('Conv2D', 'DepthwiseConv2dNative')
                      for n in nodes.values())
            for name, nodes in self.nodes.items()},
        'variables': sorted(
            [d.size for d in node.attr['shape'].shape.dim]
            for node in self.nodes[''].values() if node.op == 'VarHandleOp')}

  def called_by(self, node) -> list[str]:
    names = [node.op]
    for value in node.attr.values():
      names += [value.func.name, *(f.name for f in value.list.func)]
    return [name for name in names if name in self.functions]

  def acts(self, node) -> bool:
    return node.op in _ACTS or any(
        self.acts(inner) for name in self.called_by(node)
        for inner in self.nodes[name].values())

  def called(self) -> set[str]:
    """Functions that are called from the main graph, or that an object is."""
    found = set()
    stack = [name for node in self.nodes[''].values()
             for name in self.called_by(node)]
    stack += self.meta_graph.object_graph_def.concrete_functions
    while stack:
      name = stack.pop()
      if name not in found:
        found.add(name)
        stack += [inner for node in self.nodes[name].values()
                  for inner in self.called_by(node)]
    return found

  def reached(self, body: str) -> set[str]:
    """Nodes from which a result, or an op that acts, can be reached."""
    nodes = self.nodes[body]
    if body:
      stack = [text.partition(':')[0]
               for text in self.functions[body].ret.values()]
      stack += [name for name, node in nodes.items() if self.acts(node)]
    else:
      stack = self.roots_of_the_main_graph()
    found = set()
    while stack:
      name = stack.pop()
      if name in nodes and name not in found:
        found.add(name)
        # An order to wait for what neither computes nor acts needs nothing.
        stack += [text.lstrip('^').partition(':')[0] for text in nodes[name].input
                  if not body or not text.startswith('^')
                  or self.leads_to_action(body, text[1:])]
    return found

  def leads_to_action(self, body: str, name: str) -> bool:
    node = self.nodes[body].get(name)
    if node is None:
      return False
    return self.acts(node) or node.op in ('NoOp', 'Identity') and any(
        self.leads_to_action(body, text.lstrip('^').partition(':')[0])
        for text in node.input)

  def roots_of_the_main_graph(self) -> list[str]:
    signatures = self.meta_graph.signature_def.values()
    saver = self.meta_graph.saver_def
    tensors = [info.name for signature in signatures
               for info in (*signature.inputs.values(),
                            *signature.outputs.values())]
    tensors += [saver.filename_tensor_name, saver.save_tensor_name,
                saver.restore_op_name]
    return [tensor.partition(':')[0] for tensor in tensors]

  def unused_results(self) -> set[str]:
    """Results that no caller reads; of a loop, also those it only hands round."""
    wanted = collections.defaultdict(set)
    for function in self.meta_graph.object_graph_def.concrete_functions:
      wanted[function] |= set(range(len(self.functions[function].ret)))
    for body, nodes in self.nodes.items():
      for node in nodes.values():
        for attribute in _BRANCHES.get(node.op, ()):
          wanted[node.attr[attribute].func.name] |= self.read_outputs(
              body, node.name)
        if node.op in _LOOPS:
          body_name = node.attr['body'].func.name
          wanted[body_name] |= self.read_outputs(body, node.name)
          wanted[body_name] |= self.used_arguments(body_name)
          wanted[body_name] |= self.used_arguments(node.attr['cond'].func.name)
    return {f'{name}:{i}' for name, positions in wanted.items()
            for i in set(range(len(self.functions[name].signature.output_arg)))
            - positions}

  def read_outputs(self, body: str, node_name: str) -> set[int]:
    """Which outputs of a node something in the body reads."""
    texts = [text for node in self.nodes[body].values() for text in node.input]
    if body:
      texts += self.functions[body].ret.values()
    else:
      texts += [info.name for s in self.meta_graph.signature_def.values()
                for info in s.outputs.values()]
    return {int(text.rpartition(':')[2]) if ':' in text else 0
            for text in texts if text.partition(':')[0] == node_name}

  def used_arguments(self, name: str) -> set[int]:
    """Which arguments of a function its nodes read."""
    read = {text.partition(':')[0] for node in self.nodes[name].values()
            if not self.only_hands_on(name, node) for text in node.input}
    return {i for i, argument in enumerate(
        self.functions[name].signature.input_arg) if argument.name in read}

  def only_hands_on(self, name: str, node) -> bool:
    return node.op == 'Identity' and len(node.input) == 1
