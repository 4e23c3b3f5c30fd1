"""Gives the inputs, outputs and signatures of a MetaGraphDef other names.

Works on one that `pruning.prune_meta_graph` has made, in which each description of a
function has a function of its own. No tensor gets another name.

TensorFlow sorts what a function takes by keyword, and the dict that it returns, by
name. Where other names have another order, a function of one node sorts them.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from exporter.errors import UserError
from exporter.graph.result_selection import select_results
from exporter.meta_graph import object_graph

# By this attribute of an argument callers name their inputs.
_ARGUMENT_NAME = '_user_specified_name'


def rename(meta_graph: Any, names: Mapping[str, str],
           signatures: Mapping[str, str]) -> None:
  """Renames, in place, what clients of a pruned MetaGraphDef see.

  Args:
    meta_graph: MetaGraphDef of a SavedModel.
    names: new names of inputs and outputs by the old ones, in all signatures and in
      the call of the loaded object; no two of a signature may be the same then.
    signatures: new names of signatures by the old ones.

  Raises:
    UserError: two arguments of the call would have the same name, or its tensors
      cannot be put into another order.
  """
  objects = meta_graph.object_graph_def
  call = object_graph.child_id(objects, 0, object_graph.CALL)
  if call is not None:
    _rename_callable(meta_graph, objects.nodes[call], names)
  holder = object_graph.child_id(objects, 0, object_graph.SIGNATURES)
  if holder is not None:
    for child in objects.nodes[holder].children:
      _rename_callable(meta_graph, objects.nodes[child.node_id], names)
      child.local_name = signatures.get(child.local_name, child.local_name)
  for name, definition in meta_graph.signature_def.items():
    if not name.startswith('__'):  # What loaders run, and no client calls.
      _rename_keys(definition.inputs, names)
      _rename_keys(definition.outputs, names)
  _rename_keys(meta_graph.signature_def, signatures)


def _rename_keys(entries: MutableMapping[str, Any], names: Mapping[str, str]) -> None:
  """Gives messages of a protobuf map, in place, other keys."""
  taken = {key: copy.deepcopy(entries[key]) for key in list(entries) if key in names}
  for key in taken:
    del entries[key]
  for key, entry in taken.items():
    entries[names[key]].CopyFrom(entry)


def _rename_callable(meta_graph: Any, node: Any, names: Mapping[str, str]) -> None:
  """Renames what an object that stands for functions takes and returns."""
  described = getattr(node, node.WhichOneof('kind'))
  if described.HasField('function_spec'):
    _rename_python_arguments(described.function_spec, names)
  if node.WhichOneof('kind') == 'bare_concrete_function':
    described.concrete_function_name, taken = _rename_function(
        meta_graph, described.concrete_function_name, names)
    keywords = list(described.argument_keywords)
    if len(keywords) == len(taken):
      keywords = [keywords[i] for i in taken]
    described.argument_keywords[:] = [names.get(k, k) for k in keywords]
  else:
    described.concrete_functions[:] = [
        _rename_function(meta_graph, function, names)[0]
        for function in described.concrete_functions]


def _rename_python_arguments(function_spec: Any, names: Mapping[str, str]) -> None:
  arguments = []
  for field in function_spec.fullargspec.named_tuple_value.values:
    if field.key in ('args', 'kwonlyargs'):
      for item in field.value.list_value.values:
        item.string_value = names.get(item.string_value, item.string_value)
        arguments.append(item.string_value)
    elif field.key == 'kwonlydefaults':
      _rename_keys(field.value.dict_value.fields, names)
  _rename_specs(function_spec.input_signature, names)
  twice = sorted({name for name in arguments if arguments.count(name) > 1})
  if twice:
    raise UserError(f'Calling the loaded object would take two arguments {twice[0]!r};'
                    ' rename to something else.')


def _rename_function(meta_graph: Any, name: str, names: Mapping[str, str]
                     ) -> tuple[str, list[int]]:
  """Renames what a concrete function takes and returns.

  Returns:
    Its name, which is another one where its tensors had to be sorted, and which of
    the former arguments each one is that a caller passes.
  """
  functions = meta_graph.object_graph_def.concrete_functions
  described = functions[name]
  library = meta_graph.graph_def.library
  body = next(f for f in library.function if f.signature.name == name)
  passed = len(body.signature.input_arg) - len(described.bound_inputs)
  taken = _sorted_tensors(described.canonicalized_input_signature, names)
  given = _sorted_tensors(described.output_signature, names)
  _rename_specs(described.canonicalized_input_signature, names)
  _rename_specs(described.output_signature, names)
  if taken == sorted(taken):
    taken = list(range(passed))
  if taken != sorted(taken) or given != sorted(given):
    if len(taken) != passed or len(given) != len(body.signature.output_arg):
      raise UserError(f'The tensors of the function {name!r} would be in another order,'
                      ' by their new names, and it does not tell which they are; give'
                      ' names that sort as the old ones do.')
    captures = range(passed, len(body.signature.input_arg))
    sorting = select_results(library, name, given, [*taken, *captures])
    functions[sorting].CopyFrom(described)
    del functions[name]
    name, body = sorting, library.function[-1]
  for attributes in body.arg_attr.values():
    if _ARGUMENT_NAME in attributes.attr:
      text = attributes.attr[_ARGUMENT_NAME].s.decode()
      attributes.attr[_ARGUMENT_NAME].s = names.get(text, text).encode()
  return name, taken


def _sorted_tensors(value: Any, names: Mapping[str, str]) -> list[int]:
  """Which of the tensors in a StructuredValue come first, by the new names."""
  return list(_in_order(value, names, itertools.count()))


def _in_order(value: Any, names: Mapping[str, str], numbers: Iterator[int]
              ) -> Iterator[int]:
  if value.WhichOneof('kind') != 'dict_value':
    inner = object_graph.inner_values(value)
    if inner is None:
      return itertools.islice(numbers, object_graph.flat_size(value) or 0)
    return (number for item in inner for number in _in_order(item, names, numbers))
  fields = value.dict_value.fields
  found = {names.get(key, key): list(_in_order(fields[key], names, numbers))
           for key in sorted(fields)}
  return (number for key in sorted(found) for number in found[key])


def _rename_specs(value: Any, names: Mapping[str, str]) -> None:
  """Renames the tensors in a StructuredValue, and the keys of its dicts."""
  kind = value.WhichOneof('kind')
  if kind in ('tensor_spec_value', 'bounded_tensor_spec_value'):
    spec = getattr(value, kind)
    spec.name = names.get(spec.name, spec.name)
  for item in object_graph.inner_values(value) or ():
    _rename_specs(item, names)
  if kind == 'dict_value':
    _rename_keys(value.dict_value.fields, names)
