"""What a YAML profile and the flags of the exporter ask for together."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from exporter import output_keys
from exporter.detection import compact_options, signature_specs
from exporter.detection.compact_options import CompactOptions
from exporter.detection.signature_specs import SignatureSpec
from exporter.output_keys import OutputSelection
from exporter.paths import profiles


@dataclasses.dataclass(frozen=True)
class OutputProfile:
  """Which outputs stay, and how they are made smaller.

  Attributes:
    selection: None keeps every output.
    compact: None leaves them as they are.
    signatures: what its signatures take and return, by name.
  """
  selection: OutputSelection | None = None
  compact: CompactOptions | None = None
  signatures: Mapping[str, SignatureSpec] = dataclasses.field(default_factory=dict)


def load(path: str | os.PathLike) -> OutputProfile:
  """Reads a YAML profile, or a shipped one by its bare name, once.

  Beside the lists of `output_keys.load_profile` it may hold `min_score`,
  `max_detections`, `mask_threshold` and `dtypes`, a mapping of keys or globs to
  dtypes, of which the last that matches counts, and `signatures`.

  Raises:
    UserError: it cannot be read or is malformed.
  """
  content = output_keys.read_profile(path, profiles.FOLDER)
  return OutputProfile(output_keys.selection_in(content, path),
                       compact_options.options_in(content, path).or_none(),
                       signature_specs.in_profile(content, path))


def with_flags(profile: OutputProfile, allow: str | None, deny: str | None,
               options: CompactOptions) -> OutputProfile:
  """`profile` with what the flags say in place of what it says.

  Args:
    profile: `OutputProfile()` where there is none.
    allow: the flag output_keys.
    deny: the flag exclude_output_keys.
    options: of the other flags.

  Raises:
    UserError: a list is given and names no pattern.
  """
  selection = profile.selection
  if (allow, deny) != (None, None):
    selection = output_keys.replace_lists(
        selection or OutputSelection(), allow, deny)
  compact = (profile.compact or CompactOptions()).replaced_by(options)
  return OutputProfile(selection, compact.or_none(), profile.signatures)
