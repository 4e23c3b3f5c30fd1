"""The terminal table of what each output of a signature costs."""

from __future__ import annotations

from typing import TextIO

from exporter.saved_model.signature import shape_text
from exporter.serving.grpc_size import DEFAULT_LIMIT_BYTES
from exporter.serving.payload_sizes import (
    TYPICAL_CHARACTERS, OutputPayload, Payload, format_bytes)
from exporter.serving.rest_json import Form

_OVER_LIMIT = ' !'
_REQUEST_KEYS = {'row': 'instances', 'columnar': 'inputs'}
# Rich takes 80 columns for a pipe or a file, which have no width to fit into.
_FILE_WIDTH = 200


def print_table(before: Payload, after: Payload | None = None,
                qps: float | None = None, file: TextIO | None = None) -> None:
  """Prints one payload, or two of them side by side, with notes below.

  Args:
    before: the payload; with `after`, that of the model compared against.
    after: that of the other model.
    qps: requests a second, to print the network rate that they mean.
    file: where to; standard output by default.
  """
  from rich.console import Console
  # Keys and paths are the user's: no markup in them.
  console = Console(file=file, highlight=False, markup=False, emoji=False)
  if not console.is_terminal:
    console.width = max(console.width, _FILE_WIDTH)
  console.print(_fitting_table(console, before, after))
  for note in notes(before, after, qps):
    console.print(note)


def rest_form(before: Payload, after: Payload | None = None) -> Form | None:
  """The form of JSON to show: the shortest one that every model with JSON has.

  None where none of them has JSON.
  """
  forms = {payload.rest_form for payload in (before, after) if payload is not None}
  return next((form for form in ('columnar', 'row') if form in forms), None)


def notes(before: Payload, after: Payload | None = None,
          qps: float | None = None) -> list[str]:
  """The sentences below the table."""
  payloads = [before] if after is None else [before, after]
  # With two models a note says which one it is about.
  names = [''] if after is None else ['Before: ', 'After: ']
  form = rest_form(before, after)
  lines = _basis_notes(payloads)
  for name, payload in zip(names, payloads):
    lines += [name + note for note in _serving_notes(payload, form)]
  if qps:
    for name, payload in zip(names, payloads):
      lines.append(name + _rate_note(payload, form, qps))
  return lines


def _fitting_table(console, before: Payload, after: Payload | None):
  """The full table, or one of fewer columns where the terminal is narrow."""
  form = rest_form(before, after)
  unlimited = console.options.update(width=10000)
  for full in (True, False):
    if after is None:
      table = _single_table(before, form, full)
    else:
      table = _comparison_table(before, after, form, full)
    if console.measure(table, options=unlimited).maximum <= console.width:
      break
  return table


def _single_table(payload: Payload, form: Form | None, full: bool):
  rest = _rest_heading(form)
  table = _table(f'{payload.signature} of {payload.saved_model_dir}',
                 ['output', 'dtype', 'shape'],
                 ['gRPC', 'share', rest, 'share'] if full else ['gRPC', rest])
  known_grpc = _known_sum(o.grpc_bytes for o in payload.outputs)
  known_rest = _known_sum(o.rest_bytes(form) for o in payload.outputs)
  for output in payload.outputs:
    grpc = [_grpc_cell(output.grpc_bytes), _share(output.grpc_bytes, known_grpc)]
    rest = [_rest_cell(payload, output, form),
            _share(output.rest_bytes(form), known_rest)]
    sizes = grpc + rest if full else [grpc[0], rest[0]]
    table.add_row(output.key, output.dtype, shape_text(output.shape), *sizes)
  totals = [_grpc_total(payload), '', _rest_total(payload, form), '']
  table.add_section()
  table.add_row(f'{len(payload.outputs)} outputs', '', '',
                *(totals if full else totals[::2]), style='bold')
  return table


def _comparison_table(before: Payload, after: Payload, form: Form | None, full: bool):
  rest = _rest_heading(form)
  title = f'{before.signature}: {before.saved_model_dir} -> {after.saved_model_dir}'
  if full:
    numbers = ['gRPC before', 'after', 'change', f'{rest} before', 'after', 'change']
    table = _table(title, ['output', 'dtype and shape'], numbers)
  else:
    table = _table(title, ['output'], ['gRPC before', 'after', 'REST before', 'after'])
  keys = [o.key for o in before.outputs]
  keys += [o.key for o in after.outputs if before.output(o.key) is None]
  for key in keys:
    old, new = before.output(key), after.output(key)
    grpc, rest = _grpc_cells(old, new), _rest_cells(before, old, after, new, form)
    table.add_row(*([key, _type_cell(old, new), *grpc, *rest] if full
                    else [key, *grpc[:2], *rest[:2]]))
  counts = f'{len(before.outputs)} -> {len(after.outputs)} outputs'
  grpc = (_grpc_total(before), _grpc_total(after),
          _change(before.grpc_bytes, after.grpc_bytes))
  rest = (_rest_total(before, form), _rest_total(after, form),
          _change(before.rest_bytes(form), after.rest_bytes(form)))
  table.add_section()
  table.add_row(*([counts, '', *grpc, *rest] if full
                  else [counts, *grpc[:2], *rest[:2]]), style='bold')
  return table


def _table(title: str, texts: list[str], numbers: list[str]):
  from rich import box
  from rich.table import Table
  table = Table(title=title, box=box.SIMPLE_HEAD, title_justify='left',
                title_style='bold')
  for heading in texts:
    table.add_column(heading, overflow='fold')
  for heading in numbers:
    table.add_column(heading, justify='right', no_wrap=True)
  return table


def _rest_heading(form: Form | None) -> str:
  return 'REST' if form is None else f'REST {form}'


def _grpc_cells(old: OutputPayload | None, new: OutputPayload | None) -> tuple:
  before = '-' if old is None else _grpc_cell(old.grpc_bytes)
  after = '-' if new is None else _grpc_cell(new.grpc_bytes)
  if old is None or new is None:
    return before, after, 'new' if old is None else 'removed'
  return before, after, _change(old.grpc_bytes, new.grpc_bytes)


def _rest_cells(before: Payload, old: OutputPayload | None, after: Payload,
                new: OutputPayload | None, form: Form | None) -> tuple:
  old_cell = '-' if old is None else _rest_cell(before, old, form)
  new_cell = '-' if new is None else _rest_cell(after, new, form)
  if old is None or new is None:
    return old_cell, new_cell, 'new' if old is None else 'removed'
  return old_cell, new_cell, _change(old.rest_bytes(form), new.rest_bytes(form))


def _type_cell(old: OutputPayload | None, new: OutputPayload | None) -> str:
  texts = [f'{o.dtype} {shape_text(o.shape)}' for o in (old, new) if o is not None]
  return texts[0] if texts[0] == texts[-1] else ' -> '.join(texts)


def _over_limit(size: int | None) -> bool:
  return size is not None and size > DEFAULT_LIMIT_BYTES


def _grpc_cell(size: int | None, prefix: str = ''):
  from rich.text import Text
  text = prefix + format_bytes(size)
  if not _over_limit(size):
    return Text(text)
  return Text(text + _OVER_LIMIT, style='bold red')


def _grpc_total(payload: Payload):
  if payload.grpc_bytes is not None:
    return _grpc_cell(payload.grpc_bytes)
  return _grpc_cell(_known_sum(o.grpc_bytes for o in payload.outputs), '>= ')


def _rest_cell(payload: Payload, output: OutputPayload, form: Form | None) -> str:
  if payload.json_refusal:
    return '-'
  return _rest_text(payload, output.rest_bytes(form))


def _rest_total(payload: Payload, form: Form | None) -> str:
  if payload.json_refusal:
    return '-'
  if payload.rest_bytes(form) is not None:
    return _rest_text(payload, payload.rest_bytes(form))
  known = _known_sum(output.rest_bytes(form) for output in payload.outputs)
  return '>= ' + _rest_text(payload, known)


def _rest_text(payload: Payload, size: int | None) -> str:
  estimated = size is not None and payload.measured_on is None
  return ('~' if estimated else '') + format_bytes(size)


def _known_sum(sizes) -> int:
  return sum(size for size in sizes if size is not None)


def _share(size: int | None, total: int) -> str:
  if size is None or not total:
    return ''
  return '<0.1%' if size / total < 0.0005 else f'{size / total:.1%}'


def _change(before: int | None, after: int | None) -> str:
  if before is None or after is None or not before:
    return ''
  if before == after:
    return 'same'
  change = after / before - 1
  # Not -100.0%, which says that nothing is left.
  return f'{change:+.1%}' if change > -0.9995 else f'{change:+.3%}'


def _basis_notes(payloads: list[Payload]) -> list[str]:
  image = payloads[0].measured_on
  if image is not None:
    lines = [f'Measured on {image}.']
  else:
    lines = [
        'Sizes follow from the shapes of the signature, for one image. gRPC is'
        f' exact, REST takes {TYPICAL_CHARACTERS["float32"]} characters for a'
        ' float32; --image measures both.']
  if any(payload.grpc_bytes is None for payload in payloads):
    lines.append('?  not known from the signature.')
  if any(_over_limit(_known_sum(o.grpc_bytes for o in payload.outputs))
         for payload in payloads):
    lines.append(
        f'!  over the 4 MB ({DEFAULT_LIMIT_BYTES:,} bytes) that a gRPC client takes'
        ' in one message unless told otherwise (grpc.max_receive_message_length).')
  return lines


def _serving_notes(payload: Payload, form: Form | None) -> list[str]:
  lines = []
  if payload.json_refusal:
    lines.append('TensorFlow Serving answers REST requests with an error:'
                 f' {payload.json_refusal}, which it cannot write as JSON.')
  elif payload.row_refusal:
    lines.append('TensorFlow Serving answers REST requests with "instances" with an'
                 f' error: {payload.row_refusal}. REST is for "inputs".')
  elif payload.rest_bytes(form) is not None:
    other = 'columnar' if form == 'row' else 'row'
    lines.append(
        f'REST is the answer to "{_REQUEST_KEYS[form]}"; to "{_REQUEST_KEYS[other]}"'
        f' it is {_rest_text(payload, payload.rest_bytes(other))}.')
  fields = payload.grpc_field_bytes
  if fields is not None and fields != payload.grpc_bytes:
    lines.append(
        'gRPC is with tensor_content; a tensorflow_model_server without'
        f' --enable_serialization_as_tensor_content sends {format_bytes(fields)}.')
  return lines


def _rate_note(payload: Payload, form: Form | None, qps: float) -> str:
  rates = [f'{format_bytes(size * qps)}/s'
           f' ({format_bytes(size * qps * 8, "bit")}/s) on {name}'
           for name, size in (('gRPC', payload.grpc_bytes),
                              ('REST', payload.rest_bytes(form)))
           if size is not None]
  return (f'{qps:g} requests a second are '
          f'{" and ".join(rates) or "a rate that is unknown without --image"}.')
