r"""Prints Triton's `config.pbtxt` for a SavedModel, as its signature is.

  python -m exporter.triton_config --saved_model_dir=exported \
      > repository/mask_rcnn/config.pbtxt

The model itself goes to `repository/mask_rcnn/1/model.savedmodel`. TensorFlow is
not imported.

Where every input and output has an unknown batch first, Triton may join requests,
up to --max_batch_size images; elsewhere the config says why not.
"""

from __future__ import annotations

import os

if not __package__:  # Run by its path.
  import runpy
  runpy.run_path(os.path.join(
      os.path.dirname(os.path.abspath(__file__)), 'by_path.py'))

# pylint: disable=g-import-not-at-top
from absl import flags

from exporter import command_line
from exporter.errors import UserError
from exporter.saved_model.files import parse_tag_set
from exporter.saved_model.signature import (
    DEFAULT_SIGNATURE, Signature, TensorSpec, read_signature)
from exporter.serving import batching

# Those that Triton's TensorFlow backend has, by TensorFlow's names.
_TYPES = {
    'bool': 'TYPE_BOOL', 'uint8': 'TYPE_UINT8', 'uint16': 'TYPE_UINT16',
    'uint32': 'TYPE_UINT32', 'uint64': 'TYPE_UINT64', 'int8': 'TYPE_INT8',
    'int16': 'TYPE_INT16', 'int32': 'TYPE_INT32', 'int64': 'TYPE_INT64',
    'float16': 'TYPE_FP16', 'float32': 'TYPE_FP32', 'float64': 'TYPE_FP64',
    'string': 'TYPE_STRING',
}

DEFAULT_MAX_BATCH_SIZE = 8


def config_text(signature: Signature,
                max_batch_size: int = DEFAULT_MAX_BATCH_SIZE) -> str:
  """A `ModelConfig` in protobuf's text format, without a name: the folder has it.

  Args:
    signature: of the SavedModel.
    max_batch_size: how many images Triton may join to a batch, where every input
      and output has the batch first and unknown; 0 lets it join none.

  Raises:
    UserError: a tensor has a dtype that Triton lacks, or no known rank.
  """
  for spec in (*signature.inputs.values(), *signature.outputs.values()):
    _check_is_sayable(spec)
  reason = batching.why_not_batched(signature)
  batched = reason is None and max_batch_size > 0
  return '\n'.join([
      'platform: "tensorflow_savedmodel"',
      *_batch_lines(reason, max_batch_size),
      *_signature_lines(signature.name),
      *_list_lines('input', signature.inputs, batched),
      *_list_lines('output', signature.outputs, batched),
      ''])


def _batch_lines(reason: str | None, max_batch_size: int) -> list[str]:
  if reason:
    # On one line, whatever characters a key holds.
    return [f'# Triton must not join requests: {" ".join(reason.split())}.',
            'max_batch_size: 0']
  if not max_batch_size:
    return ['max_batch_size: 0']
  return [f'max_batch_size: {max_batch_size}', 'dynamic_batching { }']


def _signature_lines(name: str) -> list[str]:
  if name == DEFAULT_SIGNATURE:
    return []
  return ['parameters {',
          f'  key: "TF_SIGNATURE_DEF" value {{ string_value: {_quoted(name)} }}',
          '}']


def _list_lines(field: str, specs: dict[str, TensorSpec], batched: bool) -> list[str]:
  entries = ',\n'.join(f'  {_entry(spec, batched)}' for spec in specs.values())
  return [f'{field} [', entries, ']']


def _check_is_sayable(spec: TensorSpec) -> None:
  if spec.dtype not in _TYPES:
    raise UserError(
        f'{spec.key} is {spec.dtype}, which Triton has no type for; it has'
        f' {", ".join(_TYPES)}.')
  if spec.shape is None:
    raise UserError(
        f'The rank of {spec.key} is not known, and Triton has to be told it.')


def _entry(spec: TensorSpec, batched: bool) -> str:
  # With a batch size of its own Triton adds the first dimension itself.
  shape = spec.shape[1:] if batched else spec.shape
  dims = ', '.join('-1' if size is None else str(size) for size in shape)
  # Triton's own tensors have a dimension at least.
  dims = f'dims: [ {dims} ]' if dims else 'dims: [ 1 ] reshape { shape: [ ] }'
  return f'{{ name: {_quoted(spec.key)} data_type: {_TYPES[spec.dtype]} {dims} }}'


def _quoted(text: str) -> str:
  """A string of protobuf's text format."""
  escaped = text.replace('\\', r'\\').replace('"', r'\"').replace('\n', r'\n')
  return f'"{escaped}"'


def _define_flags() -> None:
  # Not at import: other programs import this module and have flags of their own.
  command_line.define_saved_model_dir()
  command_line.define_tag_set()
  flags.DEFINE_string('signature', DEFAULT_SIGNATURE, 'The signature to serve.')
  flags.DEFINE_integer(
      'max_batch_size', DEFAULT_MAX_BATCH_SIZE,
      'How many images Triton may join to a batch, where every input and output has'
      ' the batch first and unknown; 0 lets it join none.', lower_bound=0)


def main() -> None:
  args = flags.FLAGS
  command_line.say_version(args.saved_model_dir)
  signature = read_signature(
      args.saved_model_dir, args.signature, parse_tag_set(args.tag_set))
  print(config_text(signature, args.max_batch_size), end='')


def run():
  """Entry point of the console script."""
  _define_flags()
  command_line.run(main, 'triton_config')


if __name__ == '__main__':
  run()
