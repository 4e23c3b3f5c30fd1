"""What test_export_stock.py asks of the two exporters' modules."""

import importlib
import inspect


def interface(module_name: str) -> dict:
  """Public names of an exporter library, with how each callable is called."""
  module = importlib.import_module(module_name)
  found = {}
  for name, value in vars(module).items():
    if name.startswith('__') or inspect.ismodule(value):
      continue
    found[name] = _parameters(value)
    if inspect.isclass(value):
      for method, function in vars(value).items():
        if inspect.isfunction(function):
          found[f'{name}.{method}'] = _parameters(function)
  return found


def _parameters(value):
  if inspect.isclass(value):
    value = value.__init__
  if not inspect.isfunction(value):
    return sorted(value) if isinstance(value, dict) else None
  return [[p.name, str(p.kind), repr(p.default)]
          for p in inspect.signature(value).parameters.values()]


def flags_of(module_name: str) -> dict:
  """Flags that a module defines: type, default, and whether it is a must."""
  from absl import flags
  importlib.import_module(module_name)
  return {flag.name: [flag.flag_type(), flag.default]
          for flag in flags.FLAGS.flags_by_module_dict()[module_name]}


def import_by_path():
  """Imports the library as a file that lies on sys.path, not as a package."""
  import os
  import sys

  import exporter
  folder = exporter.__path__[0]
  for name in [n for n in sys.modules if n.partition('.')[0] == 'exporter']:
    del sys.modules[name]
  sys.path = [folder, *(p for p in sys.path if p not in (
      os.path.dirname(folder), ''))]
  os.chdir('/')
  module = importlib.import_module('exporter_lib_v2')
  assert module.__file__ == os.path.join(folder, 'exporter_lib_v2.py')
  assert module.export_inference_graph


def import_from_file():
  """Imports the library from its file, with no folder of ours on sys.path."""
  import importlib.util
  import os
  import sys

  import exporter
  folder = exporter.__path__[0]
  for name in [n for n in sys.modules if n.partition('.')[0] == 'exporter']:
    del sys.modules[name]
  sys.path = [p for p in sys.path if p not in (os.path.dirname(folder), '')]
  os.chdir('/')
  spec = importlib.util.spec_from_file_location(
      'lean_library', os.path.join(folder, 'exporter_lib_v2.py'))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  assert module.export_inference_graph
