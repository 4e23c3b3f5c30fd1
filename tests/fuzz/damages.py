"""Damages the `saved_model.pb` of a model, slims what is left, and loads that.

    outcome = run_seed('exported/saved_model', 17, folder)
    outcome.verdict        # 'loads', 'refused', 'wrong' or 'traceback'
"""

from __future__ import annotations

import pathlib
import random
import shutil
import traceback

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.slimming import slim_saved_model
from outcome import Outcome, in_short


def run_seed(model: str, seed: int, folder: pathlib.Path) -> Outcome:
  """Tries one damage on a copy of a model, in an empty folder."""
  rng = random.Random(seed)
  source, slim = folder / 'source', folder / 'slim'
  shutil.copytree(model, source)
  contents = (source / 'saved_model.pb').read_bytes()
  damaged, what = rng.choice([_flip, _flip, _cut, _overwrite, _edit])(rng, contents)
  (source / 'saved_model.pb').write_bytes(damaged)
  key = sorted(_outputs(contents))[seed % 3]
  try:
    slim_saved_model(str(source), str(slim), OutputSelection((key,)))
  except UserError as e:
    is_sentence = str(e).endswith('.') and '\n' not in str(e) and not slim.exists()
    return Outcome('refused' if is_sentence else 'wrong', f'{what}: {e}')
  except Exception:
    return Outcome('traceback', f'{what}: {traceback.format_exc()}')
  try:
    tf.saved_model.load(str(slim))
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
      tf.compat.v1.saved_model.load(session, ['serve'], str(slim))
  except Exception as e:
    return Outcome('wrong', f'{what}: what was written does not load: {in_short(e)}')
  return Outcome('loads', what, 1)


def _outputs(contents: bytes):
  proto = saved_model_pb2.SavedModel.FromString(contents)
  return proto.meta_graphs[0].signature_def['serving_default'].outputs


def _flip(rng: random.Random, contents: bytes) -> tuple[bytes, str]:
  damaged = bytearray(contents)
  count = rng.choice([1, 1, 1, 4, 32])
  for _ in range(count):
    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
  return bytes(damaged), f'{count} flipped bits'


def _cut(rng: random.Random, contents: bytes) -> tuple[bytes, str]:
  start = rng.randrange(len(contents))
  end = rng.choice([len(contents), start + rng.randint(1, 64)])
  return contents[:start] + contents[end:], f'cut {start}:{end}'


def _overwrite(rng: random.Random, contents: bytes) -> tuple[bytes, str]:
  start, size = rng.randrange(len(contents)), rng.randint(1, 512)
  filling = bytes(size) if rng.random() < 0.5 else rng.randbytes(size)
  return (contents[:start] + filling + contents[start + size:])[:len(contents)], (
      f'overwritten {start}:{start + size}')


def _edit(rng: random.Random, contents: bytes) -> tuple[bytes, str]:
  """A change that leaves it a proto: what a damaged tool might write."""
  proto = saved_model_pb2.SavedModel.FromString(contents)
  graph_def = proto.meta_graphs[0].graph_def
  bodies = [graph_def.node, *(f.node_def for f in graph_def.library.function)]
  nodes = rng.choice([body for body in bodies if body])
  node = rng.choice(nodes)
  kind = rng.choice(['attribute', 'op', 'input', 'node', 'name', 'dtype'])
  if kind == 'attribute' and node.attr:
    del node.attr[rng.choice(sorted(node.attr))]
  elif kind == 'op':
    node.op = rng.choice(nodes).op
  elif kind == 'input' and node.input:
    node.input[rng.randrange(len(node.input))] = rng.choice(nodes).name
  elif kind == 'node':
    nodes.remove(node)
  elif kind == 'name':
    node.name += '_'
  else:
    node.attr['T'].type = rng.randint(0, 30)
  return proto.SerializeToString(), f'{kind} of {node.op} {node.name}'
