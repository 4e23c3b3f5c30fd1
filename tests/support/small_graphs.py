"""Writes GraphDefs by hand, one short line a node.

    graph = graph_def(['x = Placeholder()', 'call = PartitionedCall[f=double](x)'],
                      function('double', 'a', {'y': 'mul:z:0'}, ['mul = Mul(a, a)']))
"""

import re

from tensorflow.core.framework import graph_pb2

_LINE = re.compile(r'(\S+) = (\w+)(?:\[(.*)\])?\((.*)\)')

# Attributes with a list of types, one for each input or output of a call.
_TYPE_LISTS = ('T', 'Tin', 'Tout')


def graph_def(lines=(), *functions) -> graph_pb2.GraphDef:
  graph = graph_pb2.GraphDef()
  for line in lines:
    _fill(graph.node.add(), line)
  for name, arguments, results, nodes, control_results in functions:
    definition = graph.library.function.add()
    definition.signature.name = name
    for argument in arguments.split():
      definition.signature.input_arg.add(name=argument)
    for result, tensor in results.items():
      definition.signature.output_arg.add(name=result)
      definition.ret[result] = tensor
    for node in control_results:
      definition.signature.control_output.append(node)
      definition.control_ret[node] = node
    for line in nodes:
      _fill(definition.node_def.add(), line)
  return graph


def function(name, arguments, results, nodes, control_results=()):
  return name, arguments, results, nodes, control_results


def _fill(node, line):
  node.name, node.op, attributes, inputs = _LINE.fullmatch(line).groups()
  node.input.extend(re.findall(r'[^\s,]+', inputs))
  for attribute in (attributes or '').split():
    key, _, value = attribute.partition('=')
    if key in _TYPE_LISTS:
      node.attr[key].list.type.extend(map(int, value.split('|')))
    elif key == 'branches':
      for branch in value.split('|'):
        node.attr[key].list.func.add(name=branch)
    elif key == '_class':
      node.attr[key].list.s.extend(v.encode() for v in value.split('|'))
    elif key == 'value':
      node.attr[key].tensor.string_val.extend(v.encode() for v in value.split('|'))
      node.attr[key].tensor.tensor_shape.dim.add(size=len(value.split('|')))
    elif key == 'dtypes':
      node.attr[key].list.type.extend(map(int, value.split('|')))
    elif key == 'dtype':
      node.attr[key].type = int(value)
    else:
      node.attr[key].func.name = value


def text_of(node) -> str:
  """`name = Op(inputs)`, as it was written but for the attributes."""
  return f'{node.name} = {node.op}({", ".join(node.input)})'


def lines_of(graph, name=None) -> list[str]:
  """The nodes of a function, or of the main graph."""
  nodes = graph.node if name is None else next(
      f.node_def for f in graph.library.function if f.signature.name == name)
  return [text_of(node) for node in nodes]


def function_of(graph, name):
  return next(f for f in graph.library.function if f.signature.name == name)


def as_text(graph) -> str:
  """All of a graph, for messages."""
  lines = lines_of(graph)
  for definition in graph.library.function:
    name = definition.signature.name
    arguments = ', '.join(a.name for a in definition.signature.input_arg)
    lines += [f'{name}({arguments}) -> {dict(definition.ret)}']
    lines += [f'  {line}' for line in lines_of(graph, name)]
  return '\n'.join(lines)
