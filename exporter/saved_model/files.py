"""Reads the folder of a SavedModel."""

import os

from exporter.errors import UserError


def read_saved_model(saved_model_dir: str):
  """Reads `saved_model.pb` into a SavedModel proto.

  Raises:
    UserError: the file is missing, unreadable or not a SavedModel.
  """
  from google.protobuf import message
  from tensorflow.core.protobuf import saved_model_pb2
  path = os.path.join(saved_model_dir, 'saved_model.pb')
  try:
    with open(path, 'rb') as f:
      saved_model = saved_model_pb2.SavedModel.FromString(f.read())
  except FileNotFoundError as e:
    raise UserError(f'{saved_model_dir} is not a SavedModel: it holds no'
                    ' saved_model.pb.') from e
  except OSError as e:
    raise UserError(f'{path} cannot be read: {e.strerror}.') from e
  except message.DecodeError as e:
    raise UserError(f'{path} is damaged: it is not a SavedModel proto.') from e
  if not saved_model.meta_graphs:
    raise UserError(f'{path} is damaged: it holds no graph.')
  return saved_model


def serving_graph(saved_model):
  """The MetaGraphDef that servers load: the one tagged `serve`, or else the first."""
  graphs = saved_model.meta_graphs
  return next((g for g in graphs if 'serve' in g.meta_info_def.tags), graphs[0])
