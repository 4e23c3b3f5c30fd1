"""The tensors behind an input or output of a SignatureDef.

One tensor for most; several for a sparse, ragged or other composite one.
"""

from collections.abc import Callable
from typing import Any

_SPARSE_PARTS = ('indices_tensor_name', 'values_tensor_name',
                 'dense_shape_tensor_name')


def tensor_names(tensor_info: Any) -> list[str]:
  """Names of the tensors that a TensorInfo stands for."""
  names: list[str] = []

  def note(name: str) -> str:
    names.append(name)
    return name

  _replace(tensor_info, note)
  return names


def rename_tensors(tensor_info: Any, new_name: Callable[[str], str]) -> None:
  """Gives the tensors of a TensorInfo, in place, the names that they have now."""
  _replace(tensor_info, new_name)


def _replace(tensor_info: Any, new_name: Callable[[str], str]) -> None:
  encoding = tensor_info.WhichOneof('encoding')
  if encoding == 'name':
    tensor_info.name = new_name(tensor_info.name)
  elif encoding == 'coo_sparse':
    for part in _SPARSE_PARTS:
      setattr(tensor_info.coo_sparse, part,
              new_name(getattr(tensor_info.coo_sparse, part)))
  elif encoding == 'composite_tensor':
    for component in tensor_info.composite_tensor.components:
      _replace(component, new_name)
