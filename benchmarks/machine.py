"""What measured numbers hold for."""

import platform
from collections.abc import Sequence
from importlib import metadata


def describe(packages: Sequence[str]) -> dict[str, str]:
  """The processors, Python, and the versions of TensorFlow and `packages`, by name."""
  # It is installed as tensorflow, tensorflow-cpu and so on.
  tensorflow = metadata.packages_distributions()['tensorflow']
  return {'processor': _processors(), 'python': platform.python_version(),
          **{name: metadata.version(name) for name in (*tensorflow, *packages)}}


def _processors() -> str:
  with open('/proc/cpuinfo', encoding='utf-8') as f:
    models = [line.partition(':')[2].strip() for line in f
              if line.startswith('model name')]
  return f'{len(models)} × {models[0]}' if models else platform.processor()
