"""Writes the object graph anew for the functions and variables that stay."""

from __future__ import annotations

from typing import Any

from exporter.errors import UserError
from exporter.meta_graph.object_graph import (
    CALL,
    INITIALIZERS,
    RESOURCES,
    SIGNATURES,
    TABLES,
    VARIABLES,
    ObjectFunction,
    can_be_kept,
    child_id,
    concrete_function,
    concrete_names,
)


def rewrite(object_graph: Any, signatures: dict[str, ObjectFunction],
            call: list[ObjectFunction], variables: list[int], tables: list[int],
            initializers: list[int], gradients: list[ObjectFunction]) -> None:
  """Reduces the object graph, in place, to the functions that are given.

  Args:
    object_graph: a SavedObjectGraph.
    signatures: concrete function of each signature that stays; `bound_inputs`
      in them are ids of `object_graph` as it is now.
    call: concrete functions of calling the root; empty if it cannot be called.
    variables: ids of the variables, in the order of their checkpoint entries.
    tables: ids of the tables whose content is in the checkpoint, in their order.
    initializers: ids of objects that stay for what loading them fills.
    gradients: concrete functions that are the gradients of ops.

  Raises:
    UserError: a kept function uses an object that cannot be kept.
  """
  _Rewriter(object_graph).rewrite(
      signatures, call, variables, tables, initializers, gradients)


class _Rewriter:

  def __init__(self, object_graph: Any) -> None:
    self._old = type(object_graph)()
    self._old.CopyFrom(object_graph)
    self._new = object_graph
    self._ids: dict[int, int] = {}
    self._restored: frozenset[int] = frozenset()

  def rewrite(self, signatures: dict[str, ObjectFunction],
              call: list[ObjectFunction], variables: list[int], tables: list[int],
              initializers: list[int], gradients: list[ObjectFunction]) -> None:
    self._restored = frozenset(tables)
    self._new.Clear()
    root = self._user_object('_generic_user_object')
    self._list(root, VARIABLES, variables)
    self._list(root, TABLES, tables)
    self._list(root, INITIALIZERS, initializers)
    old_call = child_id(self._old, 0, CALL)
    if call and old_call is not None:
      self._adopt(root, CALL, self._function_node(old_call, call))
    holder = self._user_object('signature_map')
    self._adopt(root, SIGNATURES, holder)
    old_map = self._old.nodes[child_id(self._old, 0, SIGNATURES)]
    for child in old_map.children:
      if child.local_name in signatures:
        self._adopt(holder, child.local_name, self._function_node(
            child.node_id, [signatures[child.local_name]]))
    for function in gradients:
      self._describe(function)
    # A function holds just the handle; some end what it stands for when they go.
    self._list(root, RESOURCES, [
        i for i in self._ids if i not in {*tables, *initializers}
        and self._old.nodes[i].WhichOneof('kind') in ('resource', 'user_object')])

  def _list(self, root: int, name: str, old_ids: list[int]) -> None:
    """Gives the root a list of objects, unless it would be empty."""
    if old_ids:
      holder = self._user_object('trackable_list_wrapper')
      self._adopt(root, name, holder)
      for position, old_id in enumerate(old_ids):
        self._adopt(holder, str(position), self._keep(old_id))

  def _user_object(self, identifier: str) -> int:
    node = self._new.nodes.add()
    node.user_object.identifier = identifier
    node.user_object.version.producer = 1
    node.user_object.version.min_consumer = 1
    return len(self._new.nodes) - 1

  def _adopt(self, parent: int, name: str, child: int) -> None:
    self._new.nodes[parent].children.add(node_id=child, local_name=name)

  def _function_node(self, old_id: int, functions: list[ObjectFunction]) -> int:
    """Copies a function node and makes `functions` the ones behind it."""
    node = self._new.nodes.add()
    new_id = len(self._new.nodes) - 1
    old = self._old.nodes[old_id]
    if old.WhichOneof('kind') == 'function':
      node.function.CopyFrom(old.function)
      node.function.concrete_functions[:] = [f.name for f in functions]
    else:
      node.bare_concrete_function.CopyFrom(old.bare_concrete_function)
      node.bare_concrete_function.concrete_function_name = functions[0].name
    for function in functions:
      self._describe(function)
    return new_id

  def _describe(self, function: ObjectFunction) -> None:
    if function.name in self._new.concrete_functions:
      return  # Two objects may share one.
    saved = self._new.concrete_functions[function.name]
    saved.canonicalized_input_signature.CopyFrom(function.input_signature)
    saved.output_signature.CopyFrom(function.output_signature)
    saved.bound_inputs.extend([self._keep(i) for i in function.bound_inputs])

  def _keep(self, old_id: int) -> int:
    """Copies an object that a function captures, with what it needs to live."""
    if old_id in self._ids:
      return self._ids[old_id]
    old = self._old.nodes[old_id]
    kind = old.WhichOneof('kind')
    if not can_be_kept(old):
      raise UserError(
          f'The SavedModel captures an object of kind {kind!r}, which cannot be'
          ' kept while removing outputs.')
    if kind != 'variable' and old.saveable_objects and old_id not in self._restored:
      raise UserError(
          'The SavedModel captures a table that says how its content is restored, and'
          ' its checkpoint does not hold it; load and save it with a current TensorFlow'
          ' first.')
    node = self._new.nodes.add()
    self._ids[old_id] = new_id = len(self._new.nodes) - 1
    node.CopyFrom(old)
    node.ClearField('children')
    node.ClearField('dependencies')
    node.ClearField('slot_variables')
    node.ClearField('saveable_objects')
    if kind in ('resource', 'user_object'):
      self._keep_functions_of(old, new_id)
    return new_id

  def _keep_functions_of(self, old: Any, new_id: int) -> None:
    """A table makes and fills itself by functions of its own."""
    for child in old.children:
      names = concrete_names(self._old.nodes[child.node_id])
      self._adopt(new_id, child.local_name, self._own_function(child.node_id)
                  if names else self._keep(child.node_id))
    for name, saveable in old.saveable_objects.items():
      functions = map(self._own_function, (
          saveable.save_function, saveable.restore_function))
      kept = self._new.nodes[new_id].saveable_objects[name]
      kept.save_function, kept.restore_function = functions

  def _own_function(self, old_id: int) -> int:
    names = concrete_names(self._old.nodes[old_id])
    return self._function_node(
        old_id, [concrete_function(self._old, name) for name in names])
