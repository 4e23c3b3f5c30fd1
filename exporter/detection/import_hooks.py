"""Finders for `sys.meta_path`, with which the Object Detection API imports.

What each is for: see `environment`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys

_PROTO_PACKAGE = 'object_detection.protos'


def install() -> None:
  """Puts the finders in their places; safe to call more than once."""
  if not any(isinstance(f, _OldProtoFinder) for f in sys.meta_path):
    sys.meta_path[:0] = [_OldProtoFinder(), _SlimFinder(), _MovedPartFinder()]
    # Behind all others: only for what nobody else finds.
    sys.meta_path.append(_StandInFinder())


def _keras_applications() -> str:
  """The package whose modules have all that Keras's applications are made of."""
  import tensorflow as tf
  return tf.keras.applications.ResNet50.__module__.rpartition('.')[0]


# Where forks of 2021 import from, and what says where that is now.
_MOVED = {
    'tensorflow.python.keras.applications': _keras_applications,
    'official.vision.image_classification': (
        lambda: 'official.legacy.image_classification'),
}


class _OldProtoFinder(importlib.abc.MetaPathFinder):
  """Finds `object_detection.protos.*_pb2` modules that protobuf ≥ 4 refuses."""

  def find_spec(self, fullname, path=None, target=None):
    package, _, module = fullname.rpartition('.')
    if package != _PROTO_PACKAGE or not module.endswith('_pb2'):
      return None
    spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
    if spec is None or not spec.has_location:
      return spec
    serialized = _old_file_descriptor(spec.origin)
    if serialized is None or not _protobuf_refuses_old_code():
      return spec
    return importlib.util.spec_from_file_location(
        fullname, spec.origin, loader=_OldProtoLoader(serialized))


class _OldProtoLoader(importlib.abc.Loader):
  """Builds a `_pb2` module from its serialized file descriptor."""

  def __init__(self, serialized: bytes):
    self._serialized = serialized

  def exec_module(self, module):
    from google.protobuf import descriptor_pb2
    from google.protobuf import descriptor_pool
    from google.protobuf.internal import builder
    file = descriptor_pb2.FileDescriptorProto.FromString(self._serialized)
    for dependency in file.dependency:
      importlib.import_module(
          dependency.removesuffix('.proto').replace('/', '.') + '_pb2')
    module.DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(
        self._serialized)
    builder.BuildMessageAndEnumDescriptors(module.DESCRIPTOR, module.__dict__)
    builder.BuildTopDescriptorsAndMessages(
        module.DESCRIPTOR, module.__name__, module.__dict__)


class _SlimFinder(importlib.abc.MetaPathFinder):
  """Finds nothing itself; readies TensorFlow when tf_slim is imported."""

  def find_spec(self, fullname, path=None, target=None):
    if fullname == 'tf_slim':
      import tensorflow as tf
      from tensorflow.python.ops import control_flow_ops
      for name in ('case', 'cond'):
        if not hasattr(control_flow_ops, name):
          setattr(control_flow_ops, name, getattr(tf.compat.v1, name))


# What the API imports without using it in what runs on TF2.
_UNUSED = ('tensorflow_io', 'tensorflow.compat.v1.estimator')


class _StandInFinder(importlib.abc.MetaPathFinder):
  """Finds what has moved since forks of 2021, and what is absent and not used."""

  def find_spec(self, fullname, path=None, target=None):
    if fullname in _UNUSED:
      return importlib.machinery.ModuleSpec(fullname, _EmptyLoader())
    if fullname in _MOVED:
      return importlib.machinery.ModuleSpec(fullname, _AliasLoader(_MOVED[fullname]()))
    return None


class _MovedPartFinder(importlib.abc.MetaPathFinder):
  """Finds the parts of a package that an alias stands in for.

  Others would find their files by the package's path, and run them a second time.
  """

  def find_spec(self, fullname, path=None, target=None):
    package, _, part = fullname.rpartition('.')
    alias = sys.modules.get(package)
    if alias is None or not package.startswith(tuple(_MOVED)) or alias.__name__ == package:
      return None
    return importlib.machinery.ModuleSpec(
        fullname, _AliasLoader(f'{alias.__name__}.{part}'))


class _EmptyLoader(importlib.abc.Loader):
  """Makes a module with nothing in it."""

  def exec_module(self, module):
    del module


class _AliasLoader(importlib.abc.Loader):
  """Gives a module under a second name.

  Args:
    name: its own.
  """

  def __init__(self, name: str):
    self._name = name

  def create_module(self, spec):
    module = importlib.import_module(self._name)
    self._own_spec = module.__spec__
    return module

  def exec_module(self, module):
    module.__spec__ = self._own_spec


def _protobuf_refuses_old_code() -> bool:
  from google import protobuf
  return int(protobuf.__version__.split('.')[0]) >= 4


def _old_file_descriptor(path: str) -> bytes | None:
  """The `serialized_pb` literal of an old `_pb2.py`; None if it is a new one."""
  with open(path, encoding='utf-8') as f:
    source = f.read()
  if 'serialized_pb=' not in source:
    return None
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.keyword) and node.arg == 'serialized_pb':
      return _bytes_literal(node.value)
  return None


def _bytes_literal(node: ast.expr) -> bytes | None:
  # `_b('...')` in what protoc up to 3.7 wrote for Python 2 and 3.
  if (isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords
      and isinstance(node.func, ast.Name) and node.func.id == '_b'):
    text = _literal(node.args[0])
    return text.encode('latin1') if isinstance(text, str) else None
  literal = _literal(node)
  return literal if isinstance(literal, bytes) else None


def _literal(node: ast.expr):
  return node.value if isinstance(node, ast.Constant) else None
