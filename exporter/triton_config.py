r"""Prints Triton's `config.pbtxt` for a SavedModel, as its signature is.

  python -m exporter.triton_config --saved_model_dir=exported \
      > repository/mask_rcnn/config.pbtxt

The model itself goes to `repository/mask_rcnn/1/model.savedmodel`. TensorFlow is
not imported.
"""

import sys

from absl import flags

from exporter import command_line
from exporter.errors import UserError
from exporter.saved_model.signature import Signature, TensorSpec, read_signature

# Those that Triton's TensorFlow backend has, by TensorFlow's names.
_TYPES = {
    'bool': 'TYPE_BOOL', 'uint8': 'TYPE_UINT8', 'uint16': 'TYPE_UINT16',
    'uint32': 'TYPE_UINT32', 'uint64': 'TYPE_UINT64', 'int8': 'TYPE_INT8',
    'int16': 'TYPE_INT16', 'int32': 'TYPE_INT32', 'int64': 'TYPE_INT64',
    'float16': 'TYPE_FP16', 'float32': 'TYPE_FP32', 'float64': 'TYPE_FP64',
    'string': 'TYPE_STRING',
}


def config_text(signature: Signature) -> str:
  """A `ModelConfig` in protobuf's text format, without a name: the folder has it.

  Triton neither adds a batch dimension nor joins requests: the first dimension of
  a detection model's image is fixed, and not all outputs have one for the batch.

  Raises:
    UserError: a tensor has a dtype that Triton lacks, or no known rank.
  """
  return '\n'.join([
      'platform: "tensorflow_savedmodel"',
      'max_batch_size: 0',
      *_list_lines('input', signature.inputs),
      *_list_lines('output', signature.outputs),
      ''])


def _list_lines(field: str, specs: dict[str, TensorSpec]) -> list[str]:
  entries = ',\n'.join(f'  {_entry(spec)}' for spec in specs.values())
  return [f'{field} [', entries, ']']


def _entry(spec: TensorSpec) -> str:
  if spec.dtype not in _TYPES:
    raise UserError(
        f'{spec.key} is {spec.dtype}, which Triton has no type for; it has'
        f' {", ".join(_TYPES)}.')
  if spec.shape is None:
    raise UserError(
        f'The rank of {spec.key} is not known, and Triton has to be told it.')
  dims = ', '.join('-1' if size is None else str(size) for size in spec.shape)
  # Triton's own tensors have a dimension at least.
  dims = f'dims: [ {dims} ]' if dims else 'dims: [ 1 ] reshape { shape: [ ] }'
  return f'{{ name: "{spec.key}" data_type: {_TYPES[spec.dtype]} {dims} }}'


def _define_flags() -> None:
  # Not at import: other programs import this module and have flags of their own.
  flags.DEFINE_string(
      'saved_model_dir', None,
      'The SavedModel, or an export directory that holds it as saved_model/.',
      required=True)


def main(argv: list[str]) -> int:
  """The command line; returns its exit status."""
  try:
    if len(argv) > 1:
      raise UserError(f'The argument {argv[1]!r} is not a flag.')
    print(config_text(read_signature(flags.FLAGS.saved_model_dir)), end='')
  except UserError as e:
    print(f'triton_config: {e}', file=sys.stderr)
    return 1
  return 0


def run():
  """Entry point of the console script."""
  _define_flags()
  command_line.run(main)


if __name__ == '__main__':
  run()
