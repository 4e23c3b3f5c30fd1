r"""Edits a fork of models/research so that it exports only the wanted outputs.

The fork's own exporter_main_v2.py gets --output_keys, --exclude_output_keys and
--output_config. With --drop_keys, Mask R-CNN leaves keys out of its detections:

  python -m patches --research_dir=path/to/models/research --diff
  python -m patches --research_dir=path/to/models/research
  python -m patches --research_dir=path/to/models/research \
      --only=meta_arch --drop_keys=mask_predictions,box_classifier_features
  python -m patches --research_dir=path/to/models/research --revert

The places are found by structure, on any revision; a file that is not recognised
is refused and nothing is written. Without a flag of ours the patched scripts do
what they did before.
"""

import sys

from absl import flags

try:
  import libcst as _  # noqa: F401
except ImportError as e:
  sys.exit(f'The source edits need libcst ({e}); install it, or this package with'
           ' its extra `patches`.')

# pylint: disable=g-import-not-at-top
from exporter import command_line
from exporter.errors import UserError
from patches import exporter_main_edit
from patches import fork as fork_lib
from patches import plan as plan_lib
from patches import prediction_keys
from patches.file_changes import unified_diff, write
from patches.fork import Fork

_RESEARCH_DIR = flags.DEFINE_string(
    'research_dir', None,
    'The folder models/research, or the site-packages that has object_detection.')
_ONLY = flags.DEFINE_enum(
    'only', None, fork_lib.EDITS, 'Just this edit, in place of both.')
_IMPORT_FROM = flags.DEFINE_enum(
    'import_from', None, exporter_main_edit.IMPORT_FROM,
    'Where the patched exporter takes the flags\' meaning from: from the installed'
    ' package exporter (as a rule), or from one generated file beside it, for'
    ' machines without the package.')
_DROP_KEYS = flags.DEFINE_string(
    'drop_keys', None,
    'Keys, separated by commas, that FasterRCNNMetaArch.postprocess leaves out of'
    ' its result for Mask R-CNN. Without it postprocess stays as it is.')
_DIFF = flags.DEFINE_bool(
    'diff', False, 'Print the changes as a unified diff and make none.')
_CHECK = flags.DEFINE_bool(
    'check', False, 'Change nothing; exit with 0 if the edits are applied, else 1.')
_REVERT = flags.DEFINE_bool(
    'revert', False, 'Bring the original files back, byte for byte.')


def main() -> int:
  """Does what the flags say and returns the exit status."""
  request = _request()
  fork = Fork.at(_RESEARCH_DIR.value)
  if _CHECK.value:
    applied = plan_lib.is_applied(fork, request)
    print('Applied.' if applied else 'Not applied.')
    return 0 if applied else 1
  if _REVERT.value:
    plan = plan_lib.revert(fork, _ONLY.value)
    changes = plan.sources + plan.record
  else:
    plan = plan_lib.apply(fork, request)
    # The originals are safe before the first file changes.
    changes = plan.record + plan.sources
  for note in plan.notes:
    print(note, file=sys.stderr)
  if _DIFF.value:
    sys.stdout.buffer.write(unified_diff(plan.sources))
    return 0
  write(fork.root, changes)
  for change in plan.sources:
    print(f'{_verb(change)} {fork.root / change.name}')
  if not plan.sources:
    print('Nothing to revert.' if _REVERT.value else 'Already applied.')
  return 0


def _request() -> plan_lib.Request:
  """The request that the flags make.

  Raises:
    UserError: flags that do not go together.
  """
  if _REVERT.value:
    _refuse_with('revert', check=_CHECK.value, drop_keys=_DROP_KEYS.value,
                 import_from=_IMPORT_FROM.value)
  if _CHECK.value:
    _refuse_with('check', diff=_DIFF.value)
  if _ONLY.value == fork_lib.EXPORTER:
    _refuse_with('only=exporter', drop_keys=_DROP_KEYS.value)
  if _ONLY.value == fork_lib.META_ARCH:
    _refuse_with('only=meta_arch', import_from=_IMPORT_FROM.value)
  drop_keys = None
  if _DROP_KEYS.value is not None:
    drop_keys = prediction_keys.parse_drop_keys(_DROP_KEYS.value)
  return plan_lib.Request(_ONLY.value, _IMPORT_FROM.value, drop_keys)


def _refuse_with(flag, **others):
  for other, value in others.items():
    if value not in (None, False):
      raise UserError(f'--{flag} and --{other} do not go together.')


def _verb(change):
  if _REVERT.value:
    return 'Reverted' if change.after is not None else 'Removed'
  if change.before is None:
    return 'Added'
  return 'Patched' if change.after is not None else 'Removed'


if __name__ == '__main__':
  flags.mark_flag_as_required('research_dir')
  command_line.run(main, 'patches')
