"""Finding the places to edit in a parsed source, and setting out what is added.

The edits look for classes, functions and calls by name and never for line
numbers, so that they hold on any revision. What is not found is told as what was
looked for and where, and the file is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import libcst as cst
import libcst.matchers as m

from exporter.errors import UserError


class UnrecognisedSource(UserError):
  """A source file that an edit does not know how to change."""


def parse(source: bytes, path: str) -> cst.Module:
  """The syntax tree of a file; its `bytes` are the file again, byte for byte.

  Raises:
    UnrecognisedSource: it is not Python 3, or holds something that would be lost.
  """
  try:
    module = cst.parse_module(source)
  except cst.ParserSyntaxError as e:
    raise UnrecognisedSource(
        f'{path} cannot be parsed as Python 3: syntax error at line'
        f' {e.raw_line}, column {e.raw_column}.') from e
  except (SyntaxError, UnicodeDecodeError) as e:
    raise UnrecognisedSource(f'{path} cannot be read as Python: {e}.') from e
  if module.bytes != source:
    raise UnrecognisedSource(
        f'{path} holds something that libcst would lose in an edit, such as a form'
        ' feed at the start of a line; remove it first.')
  return module


def statements(text: str, module: cst.Module) -> list[cst.BaseStatement]:
  """`text`, indented by two spaces a level, as statements in the module's style."""
  lines = []
  for line in text.strip('\n').split('\n'):
    body = line.lstrip(' ')
    level, rest = divmod(len(line) - len(body), 2)
    lines.append(module.default_indent * level + ' ' * rest + body)
  code = module.default_newline.join(lines) + module.default_newline
  parsed = cst.parse_module(code, config=module.config_for_parsing)
  first, *others = parsed.body
  # What stands above the first statement belongs to the module in libcst.
  return [first.with_changes(leading_lines=[*parsed.header, *first.leading_lines]),
          *others]


def after_blank_lines(statement: cst.BaseStatement,
                      count: int = 2) -> cst.BaseStatement:
  """`statement` with so many blank lines above it and above its comment."""
  blank = [cst.EmptyLine(indent=False)] * count
  return statement.with_changes(
      leading_lines=[*blank, *statement.leading_lines])


def top_level(module: cst.Module, kind: type) -> list:
  """The classes or functions that stand at the top level of a module."""
  return [node for node in module.body if isinstance(node, kind)]


def function_named(body: Iterable[cst.CSTNode], name: str) -> cst.FunctionDef | None:
  """The last function of that name in a body: the one that Python calls."""
  found = [node for node in body
           if isinstance(node, cst.FunctionDef) and node.name.value == name]
  return found[-1] if found else None


def class_named(module: cst.Module, name: str) -> cst.ClassDef | None:
  found = [c for c in top_level(module, cst.ClassDef) if c.name.value == name]
  return found[-1] if found else None


def replaced(owner, statement: cst.CSTNode, by: cst.CSTNode):
  """A module or class in which one of its own statements is another."""
  if isinstance(owner, cst.ClassDef):
    return owner.with_changes(body=replaced(owner.body, statement, by))
  return owner.with_changes(
      body=[by if node is statement else node for node in owner.body])


def parameter_names(function: cst.FunctionDef) -> list[str]:
  """Names of the parameters, without those of `*args` and `**kwargs`."""
  parameters = function.params
  return [p.name.value for p in (*parameters.posonly_params, *parameters.params,
                                 *parameters.kwonly_params)]


def calls_of(name: str, node: cst.CSTNode) -> Sequence[cst.Call]:
  """Calls of `name(...)` and `anything.name(...)` inside a node."""
  return m.findall(node, m.Call(
      func=m.Name(name) | m.Attribute(attr=m.Name(name))))


def dotted_name(node: cst.CSTNode) -> str:
  """`a.b.c` for an expression of names and attributes, '' for any other."""
  if isinstance(node, cst.Name):
    return node.value
  if isinstance(node, cst.Attribute):
    front = dotted_name(node.value)
    return front and f'{front}.{node.attr.value}'
  return ''


class OwnCode(cst.CSTTransformer):
  """A transformer that stays out of the functions and classes defined inside."""

  def visit_FunctionDef(self, node):
    return False

  def visit_ClassDef(self, node):
    return False

  def visit_Lambda(self, node):
    return False


def with_one_more(items: Sequence, item, gap: str, opening=None) -> list:
  """Arguments or parameters and one more, set out as those before it.

  Args:
    items: nodes with a `comma`, as in `Call.args` and `Parameters.params`.
    item: the node to add.
    gap: the field that holds the white space after a node without a comma.
    opening: the white space after the opening parenthesis.
  """
  if not items:
    return [item]
  *front, last = items
  has_comma = isinstance(last.comma, cst.Comma)
  tail = last.comma.whitespace_after if has_comma else getattr(last, gap)
  between = _separator(front, tail, opening)
  if isinstance(tail, cst.ParenthesizedWhitespace):
    # The comment behind the last item has gone into the separator.
    tail = tail.with_changes(
        first_line=tail.first_line.with_changes(
            comment=None, whitespace=cst.SimpleWhitespace('')),
        empty_lines=[])
  if has_comma:
    item = item.with_changes(comma=cst.Comma(whitespace_after=tail))
    last = last.with_changes(comma=last.comma.with_changes(whitespace_after=between))
  else:
    item = item.with_changes(**{gap: tail})
    last = last.with_changes(**{gap: cst.SimpleWhitespace('')},
                             comma=cst.Comma(whitespace_after=between))
  return [*front, last, item]


def _separator(front, tail, opening):
  """White space between the last item and a new one; a new line if one is used."""
  used = [opening, *(item.comma.whitespace_after for item in front)]
  breaks = [w for w in used if isinstance(w, cst.ParenthesizedWhitespace)]
  if isinstance(tail, cst.ParenthesizedWhitespace):
    last_line = breaks[-1].last_line if breaks else tail.last_line
    indent = breaks[-1].indent if breaks else tail.indent
    return tail.with_changes(indent=indent, last_line=last_line)
  if not breaks:
    return cst.SimpleWhitespace(' ')
  return breaks[-1].with_changes(
      first_line=breaks[-1].first_line.with_changes(
          comment=None, whitespace=cst.SimpleWhitespace('')),
      empty_lines=[])
