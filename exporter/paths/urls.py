"""Tells URLs from local paths."""

from __future__ import annotations

import re


def is_url(path: str) -> bool:
  """Whether a path is a URL; a single letter before `://` is a Windows drive."""
  return re.match(r'[A-Za-z][A-Za-z0-9+.-]+://', path) is not None
