"""What random models hold beside their graph: variables, tables, files."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import random
from typing import Any

import tensorflow as tf


@dataclasses.dataclass
class Resources:
  """What a model has made before it is traced; the pieces take from it.

  Attributes:
    variables: float32 scalars or `[4]`.
    counters: float32 scalars that pieces may write to.
    constants: made outside of the graph, so that functions capture them.
    tables: from strings to int64.
    mutable_tables: from int64 to float32.
    files: scalar strings, the paths of assets.
  """
  variables: list[Any] = dataclasses.field(default_factory=list)
  counters: list[Any] = dataclasses.field(default_factory=list)
  constants: list[Any] = dataclasses.field(default_factory=list)
  tables: list[Any] = dataclasses.field(default_factory=list)
  mutable_tables: list[Any] = dataclasses.field(default_factory=list)
  files: list[Any] = dataclasses.field(default_factory=list)


def write_lines(rng: random.Random, folder: pathlib.Path, name: str) -> str:
  """Writes some numbers, one a line; gives the path."""
  path = folder / name
  path.write_text(''.join(f'{i}\n' for i in rng.sample(range(-9, 9), 5)))
  return os.fspath(path)


def table_initializer(rng: random.Random, folder: pathlib.Path, number: int):
  """What fills a table from strings to int64: a file, or values."""
  lookup = tf.lookup
  if rng.random() < 0.5:
    return lookup.TextFileInitializer(
        write_lines(rng, folder, f'words_{number}'), tf.string,
        lookup.TextFileIndex.WHOLE_LINE, tf.int64, lookup.TextFileIndex.LINE_NUMBER)
  words = [str(i) for i in rng.sample(range(-9, 9), 6)]
  return lookup.KeyValueTensorInitializer(
      tf.constant(words), tf.constant(list(range(6)), tf.int64))


def mutable_table(rng: random.Random, is_anonymous: bool = False, **options):
  """A table from int64 to float32 that can be written to."""
  lookup = tf.lookup.experimental
  if is_anonymous:
    try:
      return lookup.MutableHashTable(
          tf.int64, tf.float32, -1.0, experimental_is_anonymous=True, **options)
    except TypeError:  # Before TF 2.11.
      pass
  if rng.random() < 0.5:
    return lookup.DenseHashTable(tf.int64, tf.float32, -1.0, -100, -101, **options)
  return lookup.MutableHashTable(tf.int64, tf.float32, -1.0, **options)


def fill(rng: random.Random, table):
  """Writes something to a mutable table; in TF1, the op that does so."""
  keys = rng.sample(range(-2, 5), 4)
  return table.insert(tf.constant(keys, tf.int64), [rng.uniform(-2, 2) for _ in keys])


@dataclasses.dataclass
class Saved:
  """A model that has been written.

  Attributes:
    keys: the output keys of each signature.
    held: what must live as long as it is run.
  """
  keys: dict[str, list[str]]
  held: list[Any]
