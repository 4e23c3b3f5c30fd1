"""The files beside a graph, such as the words that a table is filled from.

A MetaGraphDef lists them in a field or, as TF1 does, in a collection. Each stands
with the tensor that holds its path once the model is loaded.
"""

from typing import Any

from tensorflow.core.protobuf import meta_graph_pb2

from exporter.graph.bodies import parse_edge

# The collection in which TF1 lists them, packed.
COLLECTION = 'saved_model_assets'


def file_names(meta_graph: Any) -> list[str]:
  """Paths inside the folder `assets` of a SavedModel, each once."""
  names = [asset.filename for asset in meta_graph.asset_file_def]
  names += [_unpack(packed).filename for packed in _collection(meta_graph)]
  return list(dict.fromkeys(names))


def tensor_names(meta_graph: Any) -> list[str]:
  """Tensors that hold the paths, one for each entry of the lists."""
  return [asset.tensor_info.name for asset in (
      *meta_graph.asset_file_def, *map(_unpack, _collection(meta_graph)))]


def keep_used(meta_graph: Any) -> None:
  """Takes the files from the lists, in place, whose tensor is not in the graph."""
  nodes = {node.name for node in meta_graph.graph_def.node}

  def is_used(asset: Any) -> bool:
    return parse_edge(asset.tensor_info.name).source in nodes

  packed = _collection(meta_graph)
  _keep(packed, [i for i, p in enumerate(packed) if is_used(_unpack(p))])
  assets = meta_graph.asset_file_def
  kept = [i for i, asset in enumerate(assets) if is_used(asset)]
  for node in meta_graph.object_graph_def.nodes:
    if node.WhichOneof('kind') == 'asset':
      node.asset.asset_file_def_index = kept.index(node.asset.asset_file_def_index)
  _keep(assets, kept)


def _collection(meta_graph: Any) -> Any:
  if COLLECTION not in meta_graph.collection_def:
    return []
  return meta_graph.collection_def[COLLECTION].any_list.value


def _unpack(packed: Any) -> Any:
  asset = meta_graph_pb2.AssetFileDef()
  packed.Unpack(asset)
  return asset


def _keep(repeated: Any, positions: list[int]) -> None:
  for i in reversed(range(len(repeated))):
    if i not in positions:
      del repeated[i]
