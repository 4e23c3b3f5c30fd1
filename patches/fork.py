"""The files of a fork that the edits are about."""

from __future__ import annotations

import dataclasses
import pathlib

from exporter.errors import UserError
from patches import vendored_file

EXPORTER = 'exporter'
META_ARCH = 'meta_arch'
EDITS = (EXPORTER, META_ARCH)

LIBRARY = 'object_detection/exporter_lib_v2.py'
SCRIPT = 'object_detection/exporter_main_v2.py'
VENDORED = f'object_detection/{vendored_file.NAME}'
META_ARCH_FILE = 'object_detection/meta_architectures/faster_rcnn_meta_arch.py'

FILES_OF_EDIT = {
    EXPORTER: (LIBRARY, SCRIPT, VENDORED),
    META_ARCH: (META_ARCH_FILE,),
}


class ForkError(UserError):
  """A folder or a file of the fork that is not as expected."""


@dataclasses.dataclass(frozen=True)
class Fork:
  """A folder with `object_detection/` in it.

  Attributes:
    root: `models/research`, or the `site-packages` of an installed package.
  """
  root: pathlib.Path

  @classmethod
  def at(cls, research_dir: str) -> Fork:
    """The fork at a path that the user gave.

    Raises:
      ForkError: the folder has none of the files.
    """
    root = pathlib.Path(research_dir)
    if _has_a_file(root):
      return cls(root)
    near = filter(_has_a_file, (
        root / 'research', root / 'models' / 'research', root.parent))
    hint = ''.join(f' Did you mean {other}?' for other in list(near)[:1])
    raise ForkError(
        f'research_dir is {research_dir!r}, which has no {LIBRARY}; give the'
        ' folder models/research, or the site-packages that has object_detection.'
        + hint)

  def read(self, name: str) -> bytes | None:
    """Contents of a file of the fork, None where there is none.

    Args:
      name: path from the root, with slashes.

    Raises:
      ForkError: there is something that cannot be read.
    """
    try:
      return (self.root / name).read_bytes()
    except FileNotFoundError:
      return None
    except OSError as e:
      raise ForkError(f'{self.root / name} cannot be read: {e.strerror}.') from e


def _has_a_file(root: pathlib.Path) -> bool:
  # One will do: forks of before TensorFlow 2 have a meta-architecture only.
  return any((root / name).is_file()
             for name in (LIBRARY, SCRIPT, META_ARCH_FILE))
