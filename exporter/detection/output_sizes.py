"""Lists what a model returns for an image, or a batch, and how large each tensor is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence


@dataclasses.dataclass(frozen=True)
class OutputSize:
  """One output of one call.

  Attributes:
    key: its name in the signature.
    dtype: name of its dtype.
    shape: sizes of its dimensions.
    bytes: of the tensor in memory.
  """
  key: str
  dtype: str
  shape: tuple[int, ...]
  bytes: int


def output_sizes(concrete_function,
                 make_inputs: Callable[[], Sequence]) -> list[OutputSize]:
  """The outputs of a function that returns a dict of tensors, largest first.

  Args:
    concrete_function: of a detection module.
    make_inputs: makes its arguments for one call; called only where dtypes and static
      shapes leave a size open, which is then measured.
  """
  outputs = concrete_function.structured_outputs
  if not all(o.shape.is_fully_defined() and o.dtype.name != 'string'
             for o in outputs.values()):
    outputs = concrete_function(*make_inputs())
  sizes = [
      OutputSize(key, output.dtype.name, tuple(output.shape.as_list()),
                 _bytes(output))
      for key, output in outputs.items()]
  return sorted(sizes, key=lambda size: (-size.bytes, size.key))


def _bytes(output) -> int:
  if output.dtype.name == 'string':
    return sum(map(len, output.numpy().ravel()))
  return output.shape.num_elements() * output.dtype.size


def print_output_sizes(sizes: Sequence[OutputSize],
                       kept: Collection[str] | None = None, images: int = 1) -> None:
  """Prints a table to standard output.

  Args:
    sizes: in the order of the rows.
    kept: the keys that a selection keeps, marked in a column of their own.
    images: how many a call takes.
  """
  from rich import console as rich_console  # Exports import this module as well.
  from rich import table as rich_table
  table = rich_table.Table(show_footer=True)
  table.add_column('output key', footer='sum', no_wrap=True)
  table.add_column('dtype')
  table.add_column('shape', no_wrap=True)
  of = 'one image' if images == 1 else f'{images} images'
  table.add_column(f'bytes for {of}', justify='right', no_wrap=True,
                   footer=f'{sum(size.bytes for size in sizes):,}')
  if kept is not None:
    kept_bytes = sum(size.bytes for size in sizes if size.key in kept)
    table.add_column('kept', footer=f'{kept_bytes:,}', no_wrap=True)
  for size in sizes:
    row = [size.key, size.dtype, str(list(size.shape)), f'{size.bytes:,}']
    if kept is not None:
      row.append('yes' if size.key in kept else '')
    table.add_row(*row)
  # Wide enough for every key: a key that is cut short cannot be copied.
  width = rich_console.Console(width=1000).measure(table).maximum
  rich_console.Console(width=width).print(table)
