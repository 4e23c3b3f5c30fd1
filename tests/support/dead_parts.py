"""Finds what of a MetaGraphDef nothing needs; shares no code with the pruner.

Everything that can be needed is a vertex of one graph: a node, an output of a
call, an argument or a result of a function. An edge leads from what needs to what
is needed; what the roots do not reach is dead.
"""

import collections

from tensorflow.python.framework import op_def_registry

# Ops that a SavedModel may run for what they do rather than for what they give.
_DOING = ('Assert', 'Print', 'PrintV2', 'CheckNumerics', 'InplaceAdd', 'InplaceSub',
          'InplaceUpdate')
_READING = ('ReadVariableOp', 'VarHandleOp', 'HashTableV2', 'LookupTableFindV2',
            'LookupTableSizeV2', 'RandomUniform', 'RandomStandardNormal',
            'ResourceGather', 'VariableShape', 'RandomUniformInt')


def dead_parts(meta_graph, stateful_ops=None) -> set[tuple]:
  """Vertices that neither a signature, the saver, initialization nor objects need.

  A vertex is ('node', body, name) or ('argument' or 'result', function, position).
  `stateful_ops` are those that TensorFlow calls so, unless they are given.
  """
  return _Needs(meta_graph, stateful_ops).dead()


class _Needs:

  def __init__(self, meta_graph, stateful_ops):
    self.meta_graph = meta_graph
    self.stateful_ops = stateful_ops
    library = meta_graph.graph_def.library.function
    self.functions = {f.signature.name: f for f in library}
    self.bodies = {'': {n.name: n for n in meta_graph.graph_def.node}}
    self.arguments = {'': {}}
    for name, function in self.functions.items():
      self.bodies[name] = {n.name: n for n in function.node_def}
      self.arguments[name] = {
          a.name: i for i, a in enumerate(function.signature.input_arg)}
    self.edges = collections.defaultdict(set)
    self.roots = set()

  def dead(self):
    for body in self.bodies:
      for node in self.bodies[body].values():
        self.connect_node(body, node)
    for name, function in self.functions.items():
      for i, output in enumerate(function.signature.output_arg):
        self.connect(('result', name, i), name, function.ret[output.name])
    self.find_roots()
    reached, stack = set(), list(self.roots)
    while stack:
      vertex = stack.pop()
      if vertex not in reached:
        reached.add(vertex)
        stack.extend(self.edges[vertex])
        if vertex[0] == 'function':
          stack.extend(self.doing_in(vertex[1]))
    everything = {('node', body, name) for body in self.bodies
                  for name in self.bodies[body]}
    for name, function in self.functions.items():
      everything |= {('function', name)}
      everything |= {('result', name, i)
                     for i in range(len(function.signature.output_arg))}
      everything |= {('argument', name, i)
                     for i in range(len(function.signature.input_arg))}
    return everything - reached

  def connect(self, needing, body, text):
    """Adds the edge to the tensor that `text` names."""
    source, _, rest = text.partition(':')
    if source in self.arguments[body]:
      self.edges[needing].add(('argument', body, self.arguments[body][source]))
      return
    position = int(rest.rpartition(':')[2] or 0) if rest else 0
    if self.callees(self.bodies[body][source]):
      self.edges[needing].add(('output', body, source, position))
    self.edges[needing].add(('node', body, source))

  def connect_node(self, body, node):
    vertex = ('node', body, node.name)
    callees, condition, first = self.callees(node) or ((), None, 0)
    data = [text for text in node.input if not text.startswith('^')]
    is_tf1 = body == '' or any(n.op == 'Switch' for n in self.bodies[body].values())
    for text in node.input[len(data):]:
      if is_tf1 or self.does(self.bodies[body].get(text[1:])):
        self.connect(vertex, body, text[1:])
    for text in data[:first] if callees else data:
      self.connect(vertex, body, text)
    if not callees:
      for name in self.named(node):
        self.edges[vertex].add(('function', name))
        self.edges[vertex] |= {
            ('result', name, i)
            for i in range(len(self.functions[name].signature.output_arg))}
        self.edges[vertex] |= {
            ('argument', name, i)
            for i in range(len(self.functions[name].signature.input_arg))}
      return
    callees = [*callees, *self.alike(callees)]
    called = [*callees, condition] if condition else callees
    if condition and '_num_original_outputs' in node.attr:
      # The gradient of a loop counts in the first two variables.
      self.edges[vertex] |= {('argument', condition, i) for i in (0, 1)}
    self.edges[vertex] |= {('function', name) for name in called}
    if condition:
      self.edges[vertex].add(('result', condition, 0))
    for i, text in enumerate(data[first:]):
      for name in called:
        self.connect(('argument', name, i), body, text)
        self.edges['argument', name, i] |= {('argument', n, i) for n in called}
        if condition:
          self.edges['argument', name, i].add(('result', callees[0], i))
    for i in range(len(self.functions[callees[0]].signature.output_arg)):
      for name in callees:
        self.edges['output', body, node.name, i].add(('result', name, i))
        # Branches return alike, also where one of them is called elsewhere too.
        self.edges['result', name, i] |= {('result', n, i) for n in callees}
      if condition:
        # What the body returns it takes, also where it is called elsewhere too.
        self.edges['result', callees[0], i] |= {('argument', n, i) for n in called}

  def callees(self, node):
    """(callees, condition, first input that is passed) of a call, else None."""
    attr = node.attr
    if node.op in ('PartitionedCall', 'StatefulPartitionedCall'):
      return (attr['f'].func.name,), None, 0
    if node.op in ('If', 'StatelessIf'):
      return (attr['then_branch'].func.name, attr['else_branch'].func.name), None, 1
    if node.op in ('Case', 'StatelessCase'):
      return tuple(f.name for f in attr['branches'].list.func), None, 1
    if node.op in ('While', 'StatelessWhile'):
      return (attr['body'].func.name,), attr['cond'].func.name, 0
    return None

  def alike(self, callees):
    """Functions that Grappler may call instead, on another device."""
    wanted = [self.functions[name].attr['api_implements'].s for name in callees]
    return [name for name, f in self.functions.items()
            if f.attr['api_implements'].s in wanted and f.attr['api_implements'].s
            and not f.attr['forward_function_name'].s
            and not f.attr['backward_function_name'].s and name not in callees]

  def named(self, node):
    names = [node.op] if node.op in self.functions else []
    for value in node.attr.values():
      if value.WhichOneof('value') == 'func':
        names.append(value.func.name)
      names += [f.name for f in value.list.func]
    return [n for n in names if n in self.functions]

  def does(self, node):
    """Whether running the node does more than making its outputs."""
    if node is None:
      return False
    if not self.callees(node) and (
        node.op in _DOING or self.is_stateful(node) and node.op not in _READING):
      return True
    return any(self.does(inner) for name in self.named(node)
               for inner in self.bodies[name].values())

  def is_stateful(self, node):
    if self.stateful_ops is not None:
      return node.op in self.stateful_ops
    return node.op not in self.functions and op_def_registry.get(node.op).is_stateful

  def doing_in(self, name):
    return {('node', name, node.name) for node in self.bodies[name].values()
            if self.does(node)}

  def find_roots(self):
    meta_graph = self.meta_graph
    for signature in meta_graph.signature_def.values():
      for tensor in (*signature.inputs.values(), *signature.outputs.values()):
        names = [tensor.name, *(t.name for t in tensor.composite_tensor.components)]
        sparse = tensor.coo_sparse
        names += [sparse.values_tensor_name, sparse.indices_tensor_name,
                  sparse.dense_shape_tensor_name]
        for name in filter(None, names):
          self.connect('root', '', name)
    saver = meta_graph.saver_def
    for name in (saver.filename_tensor_name, saver.save_tensor_name,
                 saver.restore_op_name):
      if name:
        self.connect('root', '', name)
    for collection in ('saved_model_main_op', 'legacy_init_op', 'table_initializer',
                       'local_init_op', 'init_op'):
      if collection in meta_graph.collection_def:
        for name in meta_graph.collection_def[collection].node_list.value:
          self.connect('root', '', name)
    self.find_variable_roots()
    self.roots.add('root')
    self.find_object_roots()

  def find_variable_roots(self):
    from tensorflow.core.framework import variable_pb2
    for name, collection in self.meta_graph.collection_def.items():
      if name.endswith('variables'):
        for text in collection.bytes_list.value:
          variable = variable_pb2.VariableDef.FromString(text)
          for tensor in (variable.variable_name, variable.initializer_name,
                         variable.snapshot_name, variable.initial_value_name):
            if tensor:
              self.connect('root', '', tensor)

  def find_object_roots(self):
    objects = self.meta_graph.object_graph_def
    for node in objects.nodes:
      if node.WhichOneof('kind') == 'constant':
        self.connect('root', '', node.constant.operation)
      if node.WhichOneof('kind') == 'captured_tensor':
        self.connect('root', node.captured_tensor.concrete_function,
                     node.captured_tensor.name)
      if node.WhichOneof('kind') == 'asset':
        asset = self.meta_graph.asset_file_def[node.asset.asset_file_def_index]
        self.connect('root', '', asset.tensor_info.name)
    for name, saved in objects.concrete_functions.items():
      signature = self.functions[name].signature
      self.roots.add(('function', name))
      self.roots |= {('result', name, i) for i in range(len(signature.output_arg))}
      # A caller passes all but the captures, whether they are used or not.
      self.roots |= {
          ('argument', name, i)
          for i in range(len(signature.input_arg) - len(saved.bound_inputs))}
