"""What is installed, and in which version, told without importing it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re


def folder(package: str) -> str | None:
  """The folder of a package; None where there is none.

  A folder without `__init__.py`, such as an uninstalled package leaves behind, is
  none.
  """
  try:
    spec = importlib.util.find_spec(package)
  except (ModuleNotFoundError, ValueError):  # No parent; made by hand.
    return None
  if spec is None or spec.origin is None:
    return None
  return os.path.dirname(spec.origin)


def version(package: str) -> tuple[int, int] | None:
  """(major, minor) of the distribution that brings a package.

  What the distribution is called does not matter: TensorFlow comes as `tensorflow`,
  `tensorflow-cpu`, `tf-nightly`, `intel-tensorflow` and more.

  Args:
    package: those of its name elsewhere on the search path do not count.

  Returns:
    None where no distribution says that it brings the package, as in a checkout, or
    where several of different versions were installed over one another.
  """
  found = folder(package)
  if found is None:
    return None
  site = found[:-len(package) - 1]
  versions = {major_minor(d.version)
              for d in importlib.metadata.distributions(path=[site])
              if _brings(d, package)}
  return versions.pop() if len(versions) == 1 else None


def _brings(distribution, package: str) -> bool:
  record = distribution.read_text('RECORD')
  if record is not None:
    return f'\n{package.replace(".", "/")}/__init__.py,' in f'\n{record}'
  return package in (distribution.read_text('top_level.txt') or '').split()


def major_minor(version: str) -> tuple[int, int]:
  """The first two numbers of a version: (2, 22) for `2.22.0.dev20260101`."""
  major, minor = re.match(r'(\d+)(?:\.(\d+))?', version).groups(default='0')
  return int(major), int(minor)


def text(version: tuple[int, int]) -> str:
  return '.'.join(map(str, version))
