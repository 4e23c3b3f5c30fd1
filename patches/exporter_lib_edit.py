"""The edit of `exporter_lib_v2.py`: the modules return the selected outputs only.

Three things change:

* `_run_inference_on_images`, and `_run_segmentation_on_images` where the revision
  has it, pass the dict that they return through a filter;
* the filter and the attribute `output_selection` that it asks are added;
* `export_inference_graph` takes `output_selection` as its last parameter and sets
  the attribute before the module is traced.

The file imports nothing of ours: any object with a method `select` will do, such
as `exporter.output_keys.OutputSelection`.
"""

import libcst as cst
import libcst.matchers as m

from patches import structure
from patches.structure import UnrecognisedSource

_FILTER_NAME = '_lean_outputs'
_ATTRIBUTE = 'output_selection'
_INFERENCE = '_run_inference_on_images'
_SEGMENTATION = '_run_segmentation_on_images'
_EXPORT = 'export_inference_graph'

# Without do_not_convert, autograph would rewrite the code of `select` as well.
_FILTER = '''
# Lean exports, added by `python -m patches`.
@{tf}.autograph.experimental.do_not_convert
def _lean_outputs(selection, detections):
  """The detections that `selection` keeps; all of them where it is None."""
  if selection is None:
    return detections
  return {{key: detections[key] for key in selection.select(detections)}}
'''

_ATTRIBUTE_DEFAULT = '''
# Lean exports: which outputs stay, or None for all of them.
output_selection = None
'''


def is_applied(module: cst.Module) -> bool:
  return structure.function_named(module.body, _FILTER_NAME) is not None


def apply(module: cst.Module, path: str) -> cst.Module:
  """The module with the edit.

  Args:
    module: a revision of `exporter_lib_v2.py` without the edit.
    path: the file's name in messages.

  Raises:
    UnrecognisedSource: a place to edit is not there, or looks different.
  """
  tf = _tensorflow_name(module, path)
  classes = [c for c in structure.top_level(module, cst.ClassDef)
             if _method(c, _INFERENCE) or _method(c, _SEGMENTATION)]
  if not any(_method(c, _INFERENCE) for c in classes):
    raise UnrecognisedSource(
        f'{path} is not a revision of the exporter that this edit knows: it looked'
        f' for a class with a method {_INFERENCE} and found none.')
  export = structure.function_named(module.body, _EXPORT)
  if export is None:
    raise UnrecognisedSource(
        f'{path} is not a revision of the exporter that this edit knows: it looked'
        f' for a function {_EXPORT} and found none.')
  filtering = {c: _filtering_class(c, classes, module, path) for c in classes}
  filter_function, = structure.statements(_FILTER.format(tf=tf), module)
  body = []
  for statement in module.body:
    if statement is classes[0]:
      body.append(structure.after_blank_lines(filter_function))
    if statement is export:
      statement = _selecting_export(export, module, path)
    body.append(filtering.get(statement, statement))
  return module.with_changes(body=body)


def _tensorflow_name(module, path):
  """What the file calls TensorFlow, as a rule `tf`."""
  for node in m.findall(module, m.Import()):
    for alias in node.names:
      name = structure.dotted_name(alias.name)
      if name == 'tensorflow' or name.startswith('tensorflow.compat.v'):
        return alias.asname.name.value if alias.asname else name
  raise UnrecognisedSource(
      f'{path} is not a revision of the exporter that this edit knows: it looked'
      ' for an import of tensorflow or tensorflow.compat.v2 and found none.')


def _method(class_node, name):
  return structure.function_named(class_node.body.body, name)


def _filtering_class(class_node, classes, module, path):
  """The class with filtered returns and, unless it inherits one, the attribute."""
  if _assigns(class_node, _ATTRIBUTE):
    raise UnrecognisedSource(
        f'{path} cannot be edited: its class {class_node.name.value} has an'
        f' {_ATTRIBUTE} of its own.')
  body = []
  for statement in class_node.body.body:
    if m.matches(statement, m.FunctionDef(
        name=m.Name(_INFERENCE) | m.Name(_SEGMENTATION))):
      statement = _filtering_method(statement, class_node, path)
    body.append(statement)
  parents = {structure.dotted_name(base.value) for base in class_node.bases}
  if parents.isdisjoint(c.name.value for c in classes):
    position = 1 if class_node.get_docstring() is not None else 0
    attribute, = structure.statements(_ATTRIBUTE_DEFAULT, module)
    if position:
      attribute = structure.after_blank_lines(attribute, 1)
    body.insert(position, attribute)
    following = body[position + 1]
    if not following.leading_lines:
      body[position + 1] = structure.after_blank_lines(following, 1)
  return class_node.with_changes(body=class_node.body.with_changes(body=body))


def _assigns(class_node, name):
  return any(
      m.findall(statement, m.AssignTarget(target=m.Name(name)))
      for statement in class_node.body.body
      if isinstance(statement, cst.SimpleStatementLine))


def _filtering_method(method, class_node, path):
  place = f'{class_node.name.value}.{method.name.value}'
  parameters = structure.parameter_names(method)
  if not parameters:
    raise UnrecognisedSource(f'{path} cannot be edited: {place} has no self.')
  returns = _FilteredReturns(parameters[0], place, path)
  method = method.with_changes(body=method.body.visit(returns))
  if not returns.count:
    raise UnrecognisedSource(
        f'{path} is not a revision of the exporter that this edit knows: it looked'
        f' for the dict that {place} returns and found no return statement.')
  return method


class _FilteredReturns(structure.OwnCode):
  """`return detections` becomes `return _lean_outputs(…, detections)`."""

  def __init__(self, self_name, place, path):
    super().__init__()
    self.count = 0
    self._self_name = self_name
    self._place = place
    self._path = path

  def leave_Return(self, original_node, updated_node):
    value = updated_node.value
    if not isinstance(value, (cst.Name, cst.Call, cst.Dict, cst.DictComp)):
      raise UnrecognisedSource(
          f'{self._path} is not a revision of the exporter that this edit knows:'
          f' it looked for the dict that {self._place} returns and found a return'
          ' of something else.')
    self.count += 1
    selection = cst.Attribute(cst.Name(self._self_name), cst.Name(_ATTRIBUTE))
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(' '))
    return updated_node.with_changes(
        whitespace_after_return=cst.SimpleWhitespace(' '),
        value=cst.Call(cst.Name(_FILTER_NAME),
                       [cst.Arg(selection, comma=comma), cst.Arg(value)]))


def _selecting_export(export, module, path):
  if _ATTRIBUTE in structure.parameter_names(export):
    raise UnrecognisedSource(
        f'{path} cannot be edited: its {_EXPORT} has a parameter {_ATTRIBUTE} of'
        ' its own.')
  setting = _SettingSelection(_exported_variable(export, path), module)
  export = export.with_changes(body=export.body.visit(setting))
  if not setting.count:
    raise UnrecognisedSource(
        f'{path} is not a revision of the exporter that this edit knows: it looked'
        f' for the statement in {_EXPORT} that makes {setting.variable}, which is'
        ' saved later, and found none.')
  return export.with_changes(params=_with_selection(export))


def _with_selection(export):
  selection = cst.Param(
      cst.Name(_ATTRIBUTE), default=cst.Name('None'),
      equal=cst.AssignEqual(cst.SimpleWhitespace(''), cst.SimpleWhitespace('')))
  parameters = export.params
  kind = ('kwonly_params' if isinstance(parameters.star_arg, cst.Param)
          or parameters.kwonly_params else 'params')
  items = getattr(parameters, kind)
  more = structure.with_one_more(
      items, selection, 'whitespace_after_param',
      getattr(export, 'whitespace_before_params', None))
  return parameters.with_changes(**{kind: more})


def _exported_variable(export, path):
  """The name of the module that `tf.saved_model.save` gets."""
  for call in structure.calls_of('save', export.body):
    if not structure.dotted_name(call.func).endswith('saved_model.save'):
      continue
    for arg in call.args:
      if arg.keyword is None or arg.keyword.value == 'obj':
        if isinstance(arg.value, cst.Name):
          return arg.value.value
        break
  raise UnrecognisedSource(
      f'{path} is not a revision of the exporter that this edit knows: it looked in'
      f' {_EXPORT} for a call saved_model.save(module, …) and found none.')


class _SettingSelection(structure.OwnCode):
  """Sets the attribute right after the assignment that makes the module."""

  def __init__(self, variable, module):
    super().__init__()
    self.count = 0
    self.variable = variable
    self._statements = structure.statements(
        f'{variable}.{_ATTRIBUTE} = {_ATTRIBUTE}', module)

  def leave_SimpleStatementLine(self, original_node, updated_node):
    if not any(m.matches(small, m.Assign(
        targets=[m.AssignTarget(target=m.Name(self.variable))]))
        for small in updated_node.body):
      return updated_node
    self.count += 1
    return cst.FlattenSentinel([updated_node, *self._statements])
