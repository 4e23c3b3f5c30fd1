"""Finds the images that a pattern means, on this machine or behind a URL."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Sequence

from exporter.batch.storage import file_system_of
from exporter.errors import UserError
from exporter.paths.plain_paths import without_parents
from exporter.paths.urls import is_url

# What is taken of a folder; a pattern takes whatever it matches.
_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.gif', '.bmp')
_WILD = re.compile(r'[*?\[]')


def find_images(patterns: Sequence[str]) -> list[str]:
  """Paths of the images that any of `patterns` means, each once, in order.

  Args:
    patterns: each a file, a folder, of which all images are taken, also those in
      folders below it, or a shell glob, in which `**` means any folders. Local, or
      URLs.

  Returns:
    Absolute paths, or URLs.

  Raises:
    UserError: one of the patterns means nothing, or where it leads cannot be read.
  """
  found = set()
  for pattern in patterns:
    if not pattern.strip():
      raise UserError(f'--images={pattern!r} names no file, folder or pattern.')
    try:
      matches = _find_remote(pattern) if is_url(pattern) else _find_local(pattern)
    except OSError as e:
      reason = e.strerror or str(e).splitlines()[0].rstrip('.')
      raise UserError(f'--images={pattern!r} cannot be read: {reason}.') from e
    if not matches:
      raise UserError(f'No image matches --images={pattern!r}{_hint(pattern)}.')
    found.update(matches)
  for path in found:
    try:
      path.encode()
    except UnicodeEncodeError as e:
      raise UserError(f'The name of the image {os.fsencode(path)!r} is not UTF-8, which'
                      ' a table of results must be; rename it.') from e
  return sorted(found)


def _find_local(pattern: str) -> list[str]:
  # Not abspath, which takes `link/..` for the folder with the link.
  pattern = os.path.join(os.getcwd(), os.path.expanduser(pattern))
  if os.path.isdir(pattern):
    found = (os.path.join(folder, name)
             for folder, _, names in os.walk(pattern, onerror=_raise)
             for name in names if _is_image(name))
  else:
    found = ([pattern] if os.path.isfile(pattern)
             else filter(os.path.isfile, glob.iglob(pattern, recursive=True)))
  return list(map(_without_parents, found))


def _without_parents(path: str) -> str:
  """The same path without `..`; a link in its place keeps its name."""
  folder, name = os.path.split(path)
  return os.path.join(os.path.abspath(without_parents(folder)), name)


def _raise(error: OSError) -> None:
  """For what `os.walk` would pass over: images that nobody would miss."""
  raise error


def _find_remote(url: str) -> list[str]:
  from pyarrow import fs
  wild = _WILD.search(url)
  fixed = url if wild is None else url[:wild.start()].rpartition('/')[0]
  file_system, root = file_system_of(fixed)
  if wild is None and file_system.get_file_info(root).type == fs.FileType.File:
    return [url]
  selector = fs.FileSelector(root.rstrip('/'), allow_not_found=True, recursive=True)
  paths = [info.path for info in file_system.get_file_info(selector)
           if info.type == fs.FileType.File]
  urls = [fixed.rstrip('/') + path[len(root.rstrip('/')):] for path in paths]
  if wild is None:
    return [path for path in urls if _is_image(path)]
  return list(filter(_matcher(url), urls))


def _matcher(pattern: str):
  """As `glob.glob(recursive=True)`: `*` stays within a folder, `**` does not."""
  parts = []
  for part in re.split(r'(\*\*/|/)', pattern):
    if part == '**/':
      parts.append('(?:.*/)?')
    else:
      text = fnmatch.translate(part)
      # Python wraps it as (?s:...)\Z or (?s:...)\z.
      text = re.sub(r'^\(\?s:(.*)\)\\[Zz]$', r'\1', text, flags=re.S)
      parts.append(text.replace('.*', '[^/]*'))
  return re.compile(''.join(parts)).fullmatch


def _is_image(name: str) -> bool:
  return name.lower().endswith(_EXTENSIONS)


def _hint(pattern: str) -> str:
  if not is_url(pattern) and os.path.isdir(os.path.expanduser(pattern)):
    return (': the folder holds no file with an extension of'
            f' {", ".join(_EXTENSIONS)}; give a pattern such as'
            f' {os.path.join(pattern, "**", "*.webp")!r} for others')
  return '; patterns are relative to the working directory, and ** means any folders'
