"""What the command lines share: how they start and end, and flags that several have."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import errno
import gc
import io
import math
import os
import sys
from collections.abc import Callable, Iterator

from absl import app
from absl import flags

from exporter.console import chatter
from exporter.console import interruptions
from exporter.errors import UserError
from exporter.paths import remote
from exporter.renaming import Renaming
from exporter.saved_model import files

# Of a list that is given twice, no half is to go without a word: hence
# allow_overwrite=False. Of other flags the last one counts, as with all of absl's.

# A flag that is defined here belongs to the command that calls for it, whose --help
# shows it.
flags.disclaim_key_flags()


def run(main: Callable[[], int | None], name: str,
        before_flags: Callable[[list[str]], None] | None = None) -> None:
  """Runs a command and exits with its status.

  What the user can mend is told in one sentence, with status 1. What libraries write
  is not shown, unless the flag `--verbosity` asks for it or the command fails. Ctrl-C
  and SIGTERM end it with one line, and temporary files are cleared away.

  Args:
    main: returns the exit status, None for 0. `--help` shows the flags and the
      docstring of its module.
    name: of the command, which begins the sentence.
    before_flags: is called with the arguments before absl parses them.
  """
  module = sys.modules[main.__module__]
  if main.__module__ != '__main__':
    # absl describes the running script, which only imports the module.
    for flag in flags.FLAGS.get_key_flags_for_module(module):
      flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    sys.modules['__main__'].__doc__ = module.__doc__
  # What is imported stays; looking through it for garbage takes a tenth of its time.
  gc.set_threshold(50_000)
  # Taking TensorFlow's objects apart, only to exit, takes seconds.
  atexit.register(gc.freeze)
  if sys.stdout is None:  # Closed; nobody else's file is to get its descriptor.
    sys.stdout = open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115
  if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == 'strict':
    # A name that a terminal or pipe cannot show is no reason to fail in the end.
    sys.stdout.reconfigure(errors='backslashreplace')
  arguments = sys.argv[1:]
  all_is_shown = contextlib.nullcontext(contextlib.nullcontext)
  with all_is_shown if chatter.is_asked_for(arguments) else chatter.kept() as routed, \
      _output_may_fail(name), interruptions.told(name):
    if before_flags is not None:
      with routed():
        before_flags(arguments)
    app.run(lambda argv: _status(main, name, argv, routed))


@contextlib.contextmanager
def _output_may_fail(name: str) -> Iterator[None]:
  """Ends without a word where who reads the output, such as `head`, has seen enough.

  And with one where the disk of its file is full.
  """
  try:
    try:
      yield
    finally:
      sys.stdout.flush()
  except OSError as e:
    if e.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
      raise
    try:
      print(flush=True)  # What could not be written may be forgotten already.
    except OSError:
      # Python will flush once more when it ends.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
      if e.errno != errno.EPIPE:
        print(f'{name}: Standard output cannot be written: {e.strerror}.', file=sys.stderr)
      sys.exit(1)
    raise  # Another pipe or disk.


def _status(main: Callable[[], int | None], name: str, argv: list[str],
            routed: Callable[[], contextlib.AbstractContextManager[None]]) -> int | None:
  try:
    if len(argv) > 1:
      raise UserError(f'The argument {argv[1]!r} is not a flag.')
    _check_numbers()
    with routed():
      return main()
  except UserError as e:
    print(f'{name}: {remote.as_urls(str(e))}', file=sys.stderr)
    return 1


def _check_numbers() -> None:
  """Refuses nan, which is within all bounds, and infinity."""
  for name in flags.FLAGS:
    value = flags.FLAGS[name].value
    if isinstance(value, float) and not math.isfinite(value):
      raise UserError(f'--{name}={value} is no number; give a finite one.')


@dataclasses.dataclass(frozen=True)
class SelectionFlags:
  """Which outputs stay; each flag is None where it is not given."""
  output_keys: flags.FlagHolder[str | None]
  exclude_output_keys: flags.FlagHolder[str | None]
  output_config: flags.FlagHolder[str | None]


def define_selection_flags(left_out: str = '', in_profile: str = '') -> SelectionFlags:
  """Defines the flags that choose outputs.

  Args:
    left_out: what is to be said of a command without them, a sentence.
    in_profile: what a profile may hold beside the two lists.
  """
  return SelectionFlags(
      flags.DEFINE_string(
          'output_keys', None,
          'Outputs that stay: keys or shell globs, separated by commas.'
          + (left_out and f' {left_out}'), allow_overwrite=False),
      flags.DEFINE_string(
          'exclude_output_keys', None,
          'Outputs that go, from those that output_keys left: keys or shell globs.',
          allow_overwrite=False),
      flags.DEFINE_string(
          'output_config', None,
          'A profile: the name of a shipped one, e.g. `boxes_and_masks`, or the path'
          f' of a YAML file with the two lists{in_profile}; the flags win.'))


@dataclasses.dataclass(frozen=True)
class ServingFlags:
  """How the SavedModel is prepared for TensorFlow Serving."""
  serving_version: flags.FlagHolder[int | None]
  warmup_image: flags.FlagHolder[list[str]]


def define_serving_flags() -> ServingFlags:
  """Defines the flags of what TensorFlow Serving finds in the output directory."""
  return ServingFlags(
      flags.DEFINE_integer(
          'serving_version', None,
          'Also writes the SavedModel as this version in the output directory, as'
          ' TensorFlow Serving polls it: OUTPUT_DIRECTORY/N/saved_model.pb.'),
      flags.DEFINE_multi_string(
          'warmup_image', [],
          'Image file with which TensorFlow Serving warms the model up before the'
          ' first request; may be given several times.'))


@dataclasses.dataclass(frozen=True)
class RenamingFlags:
  """Other names for what clients see."""
  rename: flags.FlagHolder[str | None]
  rename_signature: flags.FlagHolder[str | None]

  def value(self) -> Renaming:
    """What they say; raises UserError where that is malformed."""
    return Renaming.parse(self.rename.value, self.rename_signature.value)


def define_renaming_flags() -> RenamingFlags:
  """Defines the flags that give inputs, outputs and signatures other names."""
  return RenamingFlags(
      flags.DEFINE_string(
          'rename', None,
          'Other names for inputs and outputs, in all signatures that have them, e.g.'
          ' `input_tensor:inputs,detection_boxes:boxes`. All other flags take the old'
          ' names.', allow_overwrite=False),
      flags.DEFINE_string(
          'rename_signature', None,
          'Other names for signatures, e.g. `image_quality:serving_default`.',
          allow_overwrite=False))


def define_saved_model_dir(what: str = 'The SavedModel', required: bool = True
                          ) -> flags.FlagHolder[str | None]:
  """Defines the flag of the SavedModel to read; `what` it is to the command."""
  return flags.DEFINE_string(
      'saved_model_dir', None,
      f'{what}; or a folder that holds it: an export, or the numbered versions of a'
      ' server.', required=required)


def define_tag_set() -> flags.FlagHolder[str | None]:
  """Defines the flag of the MetaGraph that is meant; see `files.parse_tag_set`."""
  return flags.DEFINE_string(
      'tag_set', None,
      'The tags of the MetaGraph that is meant, separated by commas, e.g. `serve,tpu`,'
      ' where the SavedModel holds several. Left out: the one tagged `serve` alone.')


def say_version(directory: str) -> None:
  """Says on stderr which one is read where a folder has versions for a server."""
  version = files.newest_version(directory)
  if version is not None:
    print(f'{directory} holds versions of a SavedModel; read is the newest, {version}.',
          file=sys.stderr)
