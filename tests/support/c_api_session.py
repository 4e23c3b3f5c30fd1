"""Runs a SavedModel through TensorFlow's C library, without Python's TensorFlow.

  python c_api_session.py request.json

This is the code that the Go, Java and Rust bindings and servers load with. The
request names the SavedModel, the files of inputs and outputs, and the tensors.
"""

import ctypes
import importlib.util
import json
import os
import sys

import numpy as np

# Of tensorflow/c/tf_datatype.h.
_DTYPES = {1: np.float32, 3: np.int32, 4: np.uint8, 9: np.int64}
_CODES = {np.dtype(dtype): code for code, dtype in _DTYPES.items()}


class _Output(ctypes.Structure):
  """An output of an operation, `TF_Output`."""
  _fields_ = [('operation', ctypes.c_void_p), ('index', ctypes.c_int)]


class CApi:
  """The functions of the library; each of them checks its status."""

  def __init__(self):
    folder = importlib.util.find_spec(
        'tensorflow').submodule_search_locations[0]
    self._framework = ctypes.CDLL(
        os.path.join(folder, 'libtensorflow_framework.so.2'), ctypes.RTLD_GLOBAL)
    self._library = ctypes.CDLL(
        os.path.join(folder, 'libtensorflow_cc.so.2'), ctypes.RTLD_GLOBAL)
    self._status = self.call('TF_NewStatus')

  def call(self, name: str, *args, result=ctypes.c_void_p):
    try:
      function = getattr(self._library, name)
    except AttributeError:
      function = getattr(self._framework, name)
    function.restype = result
    return function(*args)

  def checked(self, name: str, *args, result=ctypes.c_void_p):
    """Calls a function whose last argument is a status."""
    value = self.call(name, *args, ctypes.c_void_p(self._status), result=result)
    code = self.call('TF_GetCode', ctypes.c_void_p(self._status),
                     result=ctypes.c_int)
    if code:
      message = self.call('TF_Message', ctypes.c_void_p(self._status),
                          result=ctypes.c_char_p)
      raise RuntimeError(f'{name}: {message.decode()}')
    return value


class Session:
  """A SavedModel that has been loaded."""

  def __init__(self, api: CApi, saved_model: str):
    self._api = api
    self._graph = ctypes.c_void_p(api.call('TF_NewGraph'))
    options = ctypes.c_void_p(api.call('TF_NewSessionOptions'))
    tags = (ctypes.c_char_p * 1)(b'serve')
    self._session = ctypes.c_void_p(api.checked(
        'TF_LoadSessionFromSavedModel', options, None,
        ctypes.c_char_p(os.fsencode(saved_model)), tags, 1, self._graph, None))

  def run(self, feeds: dict[str, np.ndarray], fetches: list[str]):
    """Values of the tensors `fetches`, with arrays for some tensors."""
    inputs = (_Output * len(feeds))(*map(self._output, feeds))
    values = (ctypes.c_void_p * len(feeds))(*map(self._tensor, feeds.values()))
    outputs = (_Output * len(fetches))(*map(self._output, fetches))
    results = (ctypes.c_void_p * len(fetches))()
    self._api.checked(
        'TF_SessionRun', self._session, None, inputs, values, len(feeds), outputs,
        results, len(fetches), None, 0, None, result=None)
    return [self._array(ctypes.c_void_p(result)) for result in results]

  def _output(self, tensor_name: str) -> _Output:
    name, _, index = tensor_name.partition(':')
    operation = self._api.call('TF_GraphOperationByName', self._graph,
                               ctypes.c_char_p(name.encode()))
    if not operation:
      raise KeyError(f'The graph has no operation {name!r}.')
    return _Output(operation, int(index or 0))

  def _tensor(self, array: np.ndarray):
    array = np.ascontiguousarray(array)
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor = self._api.call('TF_AllocateTensor', _CODES[array.dtype], shape,
                            array.ndim, ctypes.c_size_t(array.nbytes))
    data = self._api.call('TF_TensorData', ctypes.c_void_p(tensor))
    ctypes.memmove(data, array.ctypes.data, array.nbytes)
    return tensor

  def _array(self, tensor) -> np.ndarray:
    code = self._api.call('TF_TensorType', tensor, result=ctypes.c_int)
    rank = self._api.call('TF_NumDims', tensor, result=ctypes.c_int)
    shape = [self._api.call('TF_Dim', tensor, i, result=ctypes.c_int64)
             for i in range(rank)]
    array = np.empty(shape, _DTYPES[code])
    ctypes.memmove(array.ctypes.data, self._api.call('TF_TensorData', tensor),
                   array.nbytes)
    return array


def main(request_path: str):
  with open(request_path, encoding='utf-8') as f:
    request = json.load(f)
  with np.load(request['inputs_path']) as f:
    feeds = {request['inputs'][name]: f[name] for name in f}
  session = Session(CApi(), request['saved_model'])
  values = session.run(feeds, list(request['outputs'].values()))
  assert 'tensorflow' not in sys.modules
  np.savez(request['outputs_path'], **dict(zip(request['outputs'], values)))


if __name__ == '__main__':
  main(sys.argv[1])
