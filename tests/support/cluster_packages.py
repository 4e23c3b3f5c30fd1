"""Skips tests of packages that only `make cluster` installs."""

import importlib.util

import pytest


def needs(*packages: str):
  """A mark; looks for the packages without importing them, or making fixtures."""
  missing = [name for name in packages if importlib.util.find_spec(name) is None]
  return pytest.mark.skipif(
      bool(missing), reason=f'{", ".join(missing)}: `make cluster` installs them')
