"""The bar chart of what each output of a signature costs on gRPC."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import tempfile

from exporter.errors import UserError, did_you_mean
from exporter.serving.grpc_size import DEFAULT_LIMIT_BYTES
from exporter.serving.payload_sizes import Payload, format_bytes

FORMATS = ('.png', '.svg')

_BEFORE, _AFTER, _LIMIT, _TEXT = '#c3cad2', '#0b6e99', '#c0392b', '#222222'
_ROW_INCHES = 0.36
# A log scale has no zero to begin at; no output is as small as this.
_FIRST_TICK = 10


def check_path(path: str) -> None:
  """Raises UserError where no chart can be drawn, or none written to `path`."""
  if importlib.util.find_spec('matplotlib') is None:
    raise UserError('--plot needs the package matplotlib; install it.')
  suffix = os.path.splitext(path)[1].lower()
  if suffix not in FORMATS:
    raise UserError(
        f'--plot is {path!r}; its name must end in {" or ".join(FORMATS)}'
        f'{did_you_mean(suffix, FORMATS)}.')
  directory = os.path.dirname(path) or '.'
  if not os.path.isdir(directory):
    raise UserError(f'--plot is {path!r}; there is no directory {directory}.')


def save_chart(path: str, before: Payload, after: Payload | None = None) -> None:
  """Writes the chart, in one piece or not at all.

  A bar is the bytes of an output in a `PredictResponse`, on a log scale, largest
  first, below that of the whole response; with `after`, a slim bar for it lies
  on the broad one for `before`.

  Args:
    path: a `.png` or `.svg` file.
    before: the payload; with `after`, that of the model compared against.
    after: that of the other model.

  Raises:
    UserError: matplotlib is not installed, or `path` cannot be written.
  """
  check_path(path)
  figure = _draw(before, after)
  try:
    _save(figure, path)
  except OSError as e:
    raise UserError(f'The plot {path} cannot be written: {e.strerror or e}.') from e


def _save(figure, path: str) -> None:
  directory, name = os.path.split(path)
  # A directory of its own: the file in it gets the usual permissions.
  with tempfile.TemporaryDirectory(prefix='.payload-', dir=directory or '.') as temporary:
    written = os.path.join(temporary, name)
    figure.savefig(written, dpi=150)
    os.replace(written, path)


@dataclasses.dataclass(frozen=True)
class _Row:
  """A line of the chart.

  Bytes are 0 where the output is absent and None where they are unknown.
  `at_least` says that they are those of the known outputs only.
  """
  label: str
  before: int | None
  after: int | None
  at_least: tuple[bool, bool] = (False, False)

  @property
  def largest(self) -> int:
    return max(self.before or 0, self.after or 0)

  def text(self, compared: bool) -> str:
    """What stands beside the bars."""
    old, new = (('\u2265 ' if at_least else '') + format_bytes(size) for size, at_least
                in zip((self.before, self.after), self.at_least))
    if not compared or old == new:
      return old
    if self.after == 0:
      return f'{old}, removed'
    return f'{new}, new' if self.before == 0 else f'{old} \u2192 {new}'


def _rows(before: Payload, after: Payload | None) -> list[_Row]:
  payloads = (before, after)
  whole = _Row('whole response', *(_known_sum(p) for p in payloads),
               tuple(p is not None and p.grpc_bytes is None for p in payloads))
  keys = [output.key for output in before.outputs]
  if after is not None:
    keys += [o.key for o in after.outputs if before.output(o.key) is None]
  return [whole, *(_Row(key, *(_size_in(p, key) for p in payloads)) for key in keys)]


def _known_sum(payload: Payload | None) -> int:
  return sum(o.grpc_bytes or 0 for o in payload.outputs) if payload else 0


def _size_in(payload: Payload | None, key: str) -> int | None:
  output = payload.output(key) if payload else None
  return 0 if output is None else output.grpc_bytes


def _draw(before: Payload, after: Payload | None):
  from matplotlib.figure import Figure
  rows = _rows(before, after)
  figure = Figure(figsize=(11, 1.9 + _ROW_INCHES * len(rows)), layout='constrained')
  axes = figure.add_subplot()
  axes.set_xscale('log')
  # Room on the right for what stands beside the longest bar.
  axes.set_xlim(_FIRST_TICK, max(*(row.largest * 100 for row in rows),
                                 DEFAULT_LIMIT_BYTES * 3))
  for position, row in enumerate(rows):
    _draw_row(axes, position, row, after is not None)
  _draw_limit(axes)
  _style_axes(axes, [row.label for row in rows])
  _draw_heading(figure, rows[0], before, after)
  return figure


def _draw_row(axes, position: int, row: _Row, compared: bool) -> None:
  if compared:
    axes.barh(position, row.before or 0, 0.78, color=_BEFORE)
    axes.barh(position, row.after or 0, 0.36, color=_AFTER)
  else:
    axes.barh(position, row.before or 0, 0.62, color=_AFTER)
  served = row.after if compared else row.before
  over = served is not None and served > DEFAULT_LIMIT_BYTES
  axes.annotate(
      row.text(compared), (max(row.largest, _FIRST_TICK), position), (5, 0),
      textcoords='offset points', va='center', fontsize=9,
      bbox={'facecolor': 'white', 'edgecolor': 'none', 'pad': 1},
      color=_LIMIT if over else _TEXT,
      fontweight='bold' if over or position == 0 else 'normal')


def _draw_limit(axes) -> None:
  axes.axvline(DEFAULT_LIMIT_BYTES, color=_LIMIT, linewidth=1.1, linestyle='--',
               zorder=0.5)
  axes.annotate('4 MB: gRPC default limit', (DEFAULT_LIMIT_BYTES, 0), (-5, 6),
                xycoords=('data', 'axes fraction'), textcoords='offset points',
                ha='right', fontsize=8.5, color=_LIMIT)


def _style_axes(axes, labels: list[str]) -> None:
  from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
  axes.set_yticks(range(len(labels)), labels)
  axes.get_yticklabels()[0].set_fontweight('bold')
  # The whole response stands apart from its parts.
  axes.axhline(0.5, color=_TEXT, linewidth=0.8)
  axes.set_ylim(len(labels) - 0.4, -0.6)
  axes.tick_params(axis='y', length=0)
  axes.xaxis.set_major_locator(LogLocator(10, numticks=20))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(
      FuncFormatter(lambda size, _: format_bytes(round(size)).replace('.0 ', ' ')))
  axes.grid(axis='x', color='#e8ebee')
  axes.set_axisbelow(True)
  for side in ('top', 'right', 'left'):
    axes.spines[side].set_visible(False)
  axes.set_xlabel('bytes in one response on gRPC, log scale')


def _draw_heading(figure, whole: _Row, before: Payload, after: Payload | None) -> None:
  figure.suptitle(f'One response on gRPC: {whole.text(after is not None)}',
                  fontsize=14, fontweight='bold', x=0.01, ha='left')
  if after is None:
    figure.axes[0].set_title(_name(before), fontsize=10, loc='left')
    return
  from matplotlib.patches import Patch
  names = _name(before), _name(after)
  if names[0] == names[1]:
    names = before.saved_model_dir, after.saved_model_dir
  figure.axes[0].legend(
      handles=[Patch(color=_BEFORE, label=f'before: {names[0]}'),
               Patch(color=_AFTER, label=f'after: {names[1]}')],
      loc='lower left', bbox_to_anchor=(0, 1), ncols=2, frameon=False,
      borderaxespad=0.2)


def _name(payload: Payload) -> str:
  """The directory's name; that of the export where it is its `saved_model`."""
  path = os.path.abspath(payload.saved_model_dir)
  parent, name = os.path.split(path)
  return os.path.basename(parent) if name == 'saved_model' else name
