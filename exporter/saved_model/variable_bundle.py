"""Writes a checkpoint: chosen entries of another, without holding it, or variables.

TensorFlow's own ops read and write the files, a few hundred MB at a time; what
does not fit into one portion becomes a further shard of the same checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from exporter.errors import UserError
from exporter.paths import plain_paths

# The memory that a copy takes, and the size of a shard, both about. One shard
# holds most detection models whole, which keeps the file names that people know.
_PORTION_BYTES = 512 << 20

# Where TensorFlow keeps the map from objects to entries.
_OBJECT_GRAPH_KEY = '_CHECKPOINTABLE_OBJECT_GRAPH'


def copy_entries(source: str, target: str, entries: Mapping[str, str],
                 object_graph: bytes | None = None,
                 portion_bytes: int = _PORTION_BYTES) -> None:
  """Writes the checkpoint `target` with some entries of `source`.

  Args:
    source: path prefix of a checkpoint, such as `.../variables/variables`.
    target: path prefix of the new one; its folder exists.
    entries: key in `source` by key in `target`.
    object_graph: a serialized TrackableObjectGraph that fits `target`.
    portion_bytes: about how much to read before it is written out.

  Raises:
    UserError: `source` is missing, damaged, or lacks one of the keys.
  """
  sizes, dtypes = _describe(source, entries.values())
  with plain_paths.of_checkpoint(source) as plain:
    _write(target, {key: sizes[entries[key]] for key in entries},
           lambda keys: _read(plain, [entries[key] for key in keys], dtypes),
           object_graph, portion_bytes)


def write_variables(target: str, variables: Mapping[str, Any],
                    object_graph: bytes | None = None,
                    portion_bytes: int = _PORTION_BYTES) -> None:
  """Writes the checkpoint `target` with the values that variables have.

  Args:
    target: path prefix of the checkpoint; its folder exists.
    variables: each a `tf.Variable`, by key in `target`.
    object_graph: a serialized TrackableObjectGraph that fits it.
    portion_bytes: about how large a shard gets.
  """
  # These share the memory of the variables.
  values = {key: variable.read_value() for key, variable in variables.items()}
  _write(target, {key: value.dtype.size * value.shape.num_elements()
                  for key, value in values.items()},
         lambda keys: [values[key] for key in keys], object_graph, portion_bytes)


def read_object_graph(source: str) -> Any:
  """The TrackableObjectGraph in a checkpoint; None if there is none, as in TF1.

  Args:
    source: path prefix of the checkpoint.

  Raises:
    UserError: its files are damaged.
  """
  from tensorflow.core.protobuf import trackable_object_graph_pb2
  if not os.path.exists(source + '.index'):
    return None
  with _opened(source) as reader:
    if not reader.has_tensor(_OBJECT_GRAPH_KEY):
      return None
    return trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor(_OBJECT_GRAPH_KEY))


def read_values(source: str, keys: Iterable[str]) -> Iterator[Any]:
  """The values of entries as arrays, one at a time, so that only one is in memory.

  Args:
    source: path prefix of the checkpoint.
    keys: of the entries.

  Raises:
    UserError: its files are damaged or lack one of the keys.
  """
  with _opened(source) as reader:
    for key in keys:
      yield reader.get_tensor(key)


@contextlib.contextmanager
def _opened(source: str) -> Iterator[Any]:
  """TensorFlow's reader of a checkpoint.

  Raises:
    UserError: the block has found its files damaged.
  """
  import tensorflow as tf
  from google.protobuf import message
  try:
    with plain_paths.of_checkpoint(source) as plain:
      yield tf.train.load_checkpoint(plain)
  except (tf.errors.OpError, ValueError, RuntimeError, IndexError,
          message.DecodeError) as e:
    raise UserError(f'The variables {source} cannot be read: {e}.') from e


def are_equal(source: str, key: str, other: str) -> bool:
  """Whether two entries of a checkpoint hold the same value, bit for bit.

  Args:
    source: path prefix of the checkpoint.
    key: one entry; False where the checkpoint lacks it.
    other: the other one.

  Raises:
    UserError: its files are damaged.
  """
  import tensorflow as tf
  if key == other:
    return True
  with _opened(source) as reader:
    dtypes, shapes = (reader.get_variable_to_dtype_map(),
                      reader.get_variable_to_shape_map())
    if not {key, other} <= shapes.keys() or (
        (dtypes[key], shapes[key]) != (dtypes[other], shapes[other])):
      return False
    values = [reader.get_tensor(k) for k in (key, other)]
  if dtypes[key] == tf.string:
    return bool((values[0] == values[1]).all())
  return bool(values[0].tobytes() == values[1].tobytes())


def entry_sizes(source: str, keys: Collection[str] | None = None) -> dict[str, int]:
  """Bytes of the value of each variable in a checkpoint.

  Args:
    source: path prefix of the checkpoint.
    keys: the entries that are asked for; None for all variables in it, and none
      where it does not exist.

  Raises:
    UserError: its files are damaged, or it lacks one of `keys`.
  """
  if not keys and not os.path.exists(source + '.index'):
    return {}
  return _describe(source, keys)[0]


def _describe(source: str,
              keys: Collection[str] | None) -> tuple[dict[str, int], Mapping[str, Any]]:
  """Bytes and dtypes of entries."""
  with _opened(source) as reader:
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()
  if keys is None:
    keys = [key for key in shapes if key != _OBJECT_GRAPH_KEY]
  for key in keys:
    if key not in shapes:
      raise UserError(
          f'The variables {source} have no entry {key!r}, which the graph reads.')
  return ({key: dtypes[key].size * math.prod(shapes[key]) for key in keys},
          dtypes)


def _write(target: str, sizes: Mapping[str, int],
           values_of: Callable[[list[str]], list[Any]],
           object_graph: bytes | None, portion_bytes: int) -> None:
  """Writes entries of these sizes, a portion at a time."""
  import tensorflow as tf
  parts: list[str] = []
  for keys in _portions(sizes, portion_bytes):
    prefix = f'{target}_part_{len(parts):05d}'
    # The object graph goes with the first, so that a small model has one shard.
    further = ({_OBJECT_GRAPH_KEY: object_graph}
               if object_graph and not parts else {})
    _write_portion(prefix, keys, values_of, further)
    parts.append(prefix)
  tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts,
                                destination_prefix=target, delete_old_dirs=False)


def _portions(sizes: Mapping[str, int], portion_bytes: int) -> Iterator[list[str]]:
  portion: list[str] = []
  total = 0
  for key, size in sizes.items():
    if portion and total + size > portion_bytes:
      yield portion
      portion, total = [], 0
    portion.append(key)
    total += size
  yield portion


def _read(source: str, keys: list[str], dtypes: Mapping[str, Any]) -> list[Any]:
  import tensorflow as tf
  if not keys:
    return []
  try:
    values: list[Any] = tf.raw_ops.RestoreV2(
        prefix=source, tensor_names=keys, shape_and_slices=[''] * len(keys),
        dtypes=[dtypes[key] for key in keys])
  except tf.errors.OpError as e:
    raise UserError(f'The variables {source} cannot be read: {e.message}.') from e
  return values


def _write_portion(target: str, keys: list[str],
                   values_of: Callable[[list[str]], list[Any]],
                   further: Mapping[str, bytes]) -> None:
  """Writes entries, and `further` ones; the memory of the values is free when it ends."""
  import tensorflow as tf
  with tf.device('CPU'):
    names = [*keys, *further]
    tf.raw_ops.SaveV2(prefix=target, tensor_names=names,
                      shape_and_slices=[''] * len(names),
                      tensors=[*values_of(keys), *further.values()])
