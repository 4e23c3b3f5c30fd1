"""Reads the folder of a SavedModel; whoever is given one reads it here.

    source = SavedModelFiles.open('exported')
    source.directory                      # 'exported/saved_model'
    source.serving_graph.signature_def    # of the MetaGraph that servers load
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from exporter.errors import UserError
from exporter.paths import remote
from exporter.paths.urls import is_url

if TYPE_CHECKING:
  from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
  from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

# The tags of the MetaGraph that servers and loaders take if they are told nothing.
SERVE = frozenset({'serve'})

# What else TensorFlow reads, and what to do for this package.
_OTHER_FORMS = {
    'saved_model.pbtxt': 'that is text: parse it with google.protobuf.text_format and'
                         ' write the message beside it as saved_model.pb',
    'saved_model.cpb': 'that is a graph of more than 2 GB in pieces: save the model with'
                       ' its large constants as variables, so that it becomes one file'
}

# What is read of one, from its folder.
_OF_SAVED_MODEL = ('saved_model.pb', 'fingerprint.pb', 'keras_metadata.pb', 'variables/*',
                   'assets/*', 'assets.extra/*', 'debug/*')

# The most that a message can hold, and so a saved_model.pb.
MOST_BYTES = (1 << 31) - 1


@dataclasses.dataclass(frozen=True)
class SavedModelFiles:
  """A SavedModel folder, read once.

  Attributes:
    directory: the folder that holds `saved_model.pb`.
    proto: what is in that file, a SavedModel.
    serving_graph: the MetaGraphDef in it that is meant.
  """
  directory: str
  proto: SavedModel
  serving_graph: MetaGraphDef

  @classmethod
  def open(cls, directory: str | os.PathLike[str], tag_set: Iterable[str] | None = None,
           message_class: Any = None) -> SavedModelFiles:
    """Reads the SavedModel that `directory` is or holds, see `find_saved_model`.

    Args:
      directory: where it is.
      tag_set: the tags of the MetaGraph that is meant, all of them. None: the one
        tagged `serve` and nothing else, or the only one.
      message_class: what the file is parsed into, with the fields' names as in
        SavedModel; None: TensorFlow's, which imports it.

    Raises:
      UserError: there is no SavedModel, it is damaged, or it has several MetaGraphs
        and none with these tags.
    """
    folder = find_saved_model(directory)
    path = os.path.join(folder, 'saved_model.pb')
    proto = _parse(path, message_class or _tensorflow_message_class())
    return cls(folder, proto, _tagged(proto.meta_graphs, tag_set, path))

  @property
  def variables_prefix(self) -> str:
    """Path prefix of the checkpoint with the variables; there may be none."""
    return os.path.join(self.directory, 'variables', 'variables')

  @property
  def assets(self) -> tuple[str, ...]:
    """The files in `assets/` that the graph reads, as paths from there."""
    from exporter.meta_graph import asset_files  # Imports TensorFlow.
    return tuple(asset_files.file_names(self.serving_graph))


def find_saved_model(directory: str | os.PathLike[str]) -> str:
  """The SavedModel folder that a directory is or holds.

  Args:
    directory: a SavedModel; an export, which has one as `saved_model/`; or what a
      server polls, with numbered versions, of which the newest is taken. Of a URL,
      it is copied to this machine, see `remote.copied`.

  Raises:
    UserError: it is none of them.
  """
  directory = os.fspath(directory)
  if not directory.strip():
    raise UserError(f'The SavedModel {directory!r} cannot be read: that names no directory.')
  if is_url(directory):
    return find_saved_model(_copied(directory))
  own = _own_saved_model(directory)
  if own is not None:
    return own
  version = newest_version(directory)
  if version is not None:
    return version
  if not os.path.exists(directory):
    raise UserError(f'There is no directory {directory}.')
  if not os.path.isdir(directory):
    raise UserError(
        f'{directory} is a file; give the directory of a SavedModel, the one that'
        ' holds saved_model.pb.')
  for name, what_to_do in _OTHER_FORMS.items():
    if os.path.isfile(os.path.join(directory, name)):
      raise UserError(f'{directory} has {name} and no saved_model.pb; {what_to_do}.')
  raise UserError(
      f'{directory} is no SavedModel: there is no saved_model.pb in it, nor in its'
      ' subdirectory saved_model, nor in a numbered one.')


def file_bytes(saved_model_dir: str) -> tuple[int, int]:
  """Bytes of a SavedModel's `saved_model.pb`, and of the files in its `variables/`."""
  variables = os.path.join(saved_model_dir, 'variables')
  entries = os.scandir(variables) if os.path.isdir(variables) else ()
  return (os.path.getsize(os.path.join(saved_model_dir, 'saved_model.pb')),
          sum(entry.stat().st_size for entry in entries))


def newest_version(directory: str | os.PathLike[str]) -> str | None:
  """The newest version in what a server polls, if that is all the folder holds.

  A server waits for a version without a `saved_model.pb`, and so do we. None where
  `directory` is or holds a SavedModel that is no version, or has none.
  """
  directory = os.fspath(directory)
  if is_url(directory):
    version = newest_version(_copied(directory))
    return version and remote.as_urls(version)
  versions = version_folders(directory)
  if not versions or _own_saved_model(directory):
    return None
  return os.path.join(directory, versions[-1])


def version_folders(directory: str) -> list[str]:
  """The names of the complete versions in what a server polls, the newest last."""
  if not os.path.isdir(directory):
    return []
  return sorted(
      (name for name in os.listdir(directory) if name.isascii() and name.isdigit()
       and _is_saved_model(os.path.join(directory, name))), key=int)


def _copied(url: str) -> str:
  """A folder on this machine with the SavedModel behind a URL, in its place there."""
  names = remote.names(url, 'SavedModel')
  folders = [name[:-len('saved_model.pb')] for name in names
             if re.fullmatch(r'(saved_model/|[0-9]+/)?saved_model\.pb', name)]
  if not folders:
    raise UserError(
        f'{url} is no SavedModel: there is no saved_model.pb in it, nor in its'
        ' subdirectory saved_model, nor in a numbered one.')
  # The folder itself, or else what it exports, or else the newest version.
  folder = max(folders, key=lambda name: (
      name == '', name == 'saved_model/', int(name[:-1]) if name[:1].isdigit() else 0))
  return remote.copied(url, [f'{folder}{pattern}' for pattern in _OF_SAVED_MODEL],
                       'SavedModel')


def parse_tag_set(text: str | None) -> frozenset[str] | None:
  """The tags in a comma-separated list, such as `serve,tpu`; None for None.

  Raises:
    UserError: there is none in it.
  """
  if text is None:
    return None
  tags = frozenset(filter(None, (tag.strip() for tag in text.split(','))))
  if not tags:
    raise UserError(f'tag_set is {text!r}, which names no tag; give the tags of one'
                    ' MetaGraph, separated by commas, or leave it out.')
  return tags


def _own_saved_model(directory: str) -> str | None:
  for candidate in (directory, os.path.join(directory, 'saved_model')):
    if _is_saved_model(candidate):
      return candidate
  return None


def _is_saved_model(folder: str) -> bool:
  return os.path.isfile(os.path.join(folder, 'saved_model.pb'))


def _parse(path: str, message_class: Any) -> SavedModel:
  from google.protobuf.message import DecodeError
  try:
    if os.path.getsize(path) > MOST_BYTES:
      raise UserError(f'{path} has more than 2 GB, which no SavedModel can have; it is'
                      ' damaged, or another kind of file.')
    with open(path, 'rb') as f:
      return message_class.FromString(f.read())
  except OSError as e:
    raise UserError(f'{path} cannot be read: {e.strerror or e}.') from e
  except DecodeError as e:
    raise UserError(f'{path} is damaged or no SavedModel: {str(e).rstrip(".")}.') from e


def _tensorflow_message_class() -> Any:
  from tensorflow.core.protobuf import saved_model_pb2
  return saved_model_pb2.SavedModel


def _tagged(graphs: Sequence[MetaGraphDef], tag_set: Iterable[str] | None,
            path: str) -> MetaGraphDef:
  """The MetaGraph with exactly these tags, as TensorFlow's loaders choose it."""
  if not graphs:
    raise UserError(f'{path} is damaged or no SavedModel: it holds no graph.')
  if tag_set is None and len(graphs) == 1:
    return graphs[0]
  wanted = SERVE if tag_set is None else frozenset(tag_set)
  for graph in graphs:
    if frozenset(graph.meta_info_def.tags) == wanted:
      return graph
  found = '; '.join(','.join(graph.meta_info_def.tags) or '(none)' for graph in graphs)
  raise UserError(
      f'{path} has no MetaGraph with the tags {",".join(sorted(wanted))} and no'
      f' others; choose one with --tag_set. The tags of its MetaGraphs are: {found}.')
