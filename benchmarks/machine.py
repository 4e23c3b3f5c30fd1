"""What measured numbers hold for."""

import platform
from collections.abc import Sequence
from importlib import metadata


def describe(packages: Sequence[str]) -> dict[str, str]:
  """The processors, Python, and the versions of packages, by name."""
  return {'processor': _processors(), 'python': platform.python_version(),
          **{package: metadata.version(package) for package in packages}}


def _processors() -> str:
  with open('/proc/cpuinfo', encoding='utf-8') as f:
    models = [line.partition(':')[2].strip() for line in f
              if line.startswith('model name')]
  return f'{len(models)} × {models[0]}' if models else platform.processor()
