"""The server answers as TensorFlow Serving would, with what the model returns."""

import base64
import json
import pathlib
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

from benchmarks import json_request, prediction_rest
from benchmarks.served_models import ServedModels, ServingError, find_version
from exporter.serving import grpc_size
from exporter.serving import rest_json
from exporter.errors import UserError
from exporter.saved_model.signature import Signature, TensorSpec
from exports import assert_same

_ROOT = pathlib.Path(__file__).resolve().parents[2]


# Which SavedModel is served.


def _saved_model(folder):
  folder.mkdir(parents=True)
  (folder / 'saved_model.pb').touch()
  return str(folder)


def test_finds_a_saved_model_and_that_of_an_export(tmp_path):
  inner = _saved_model(tmp_path / 'export' / 'saved_model')
  assert find_version(inner) == (1, inner)
  assert find_version(str(tmp_path / 'export')) == (1, inner)


def test_finds_the_highest_complete_version(tmp_path):
  _saved_model(tmp_path / '9')
  highest = _saved_model(tmp_path / '10')
  (tmp_path / '11').mkdir()
  _saved_model(tmp_path / 'backup')
  assert find_version(str(tmp_path)) == (10, highest)


def test_a_folder_without_a_saved_model(tmp_path):
  with pytest.raises(UserError, match='is no SavedModel'):
    find_version(str(tmp_path))


@pytest.mark.parametrize('models, expected', [
    (['mask_rcnn'], "The model 'mask_rcnn' is not of the form NAME=PATH"),
    (['a/b=x'], "'a/b=x' is not of the form"),
    (['m=x', 'm=y'], "The model 'm' is given twice"),
    (['m=no/such/folder'], 'There is no directory no/such/folder'),
])
def test_command_line_tells_mistakes(models, expected):
  done = subprocess.run(
      [sys.executable, '-m', 'benchmarks.prediction_server', '--grpc_port=0',
       '--rest_port=0', *(f'--model={model}' for model in models)],
      cwd=_ROOT, capture_output=True, text=True)
  assert done.returncode == 1
  assert expected in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_port_in_use_is_told():
  with socket.create_server(('127.0.0.1', 0)) as taken:
    port = taken.getsockname()[1]
    with pytest.raises(UserError, match=f'The port {port} of 127.0.0.1 cannot'):
      prediction_rest.start(ServedModels([]), '127.0.0.1', port)


# JSON requests.


def _signature(**inputs):
  return Signature('serving_default', ('serve',), {
      key: TensorSpec(key, dtype, None) for key, dtype in inputs.items()}, {})


_IMAGE = {'serving_default': _signature(image='uint8')}
_STRINGS = {'serving_default': _signature(s='string')}
_TWO = {'serving_default': _signature(a='float32', b='int64'),
        'other': _signature(c='bool')}


def _parse(request, signatures):
  return json_request.parse(json.dumps(request).encode(), signatures)


@pytest.mark.parametrize('request_, signatures, form, expected', [
    ({'instances': [[1, 2], [3, 4]]}, _IMAGE, 'row',
     {'image': np.uint8([[1, 2], [3, 4]])}),
    ({'instances': [{'image': [1]}, {'image': [2]}]}, _IMAGE, 'row',
     {'image': np.uint8([[1], [2]])}),
    ({'inputs': [[1, 2]]}, _IMAGE, 'columnar', {'image': np.uint8([[1, 2]])}),
    ({'inputs': {'image': 5}}, _IMAGE, 'columnar', {'image': np.uint8(5)}),
    ({'instances': [{'a': 0.5, 'b': 1}, {'a': 2, 'b': -3}]}, _TWO, 'row',
     {'a': np.float32([0.5, 2]), 'b': np.int64([1, -3])}),
    ({'inputs': {'a': [float('nan')], 'b': []}}, _TWO, 'columnar',
     {'a': np.float32([np.nan]), 'b': np.int64([])}),
    ({'signature_name': 'other', 'instances': [True, False]}, _TWO, 'row',
     {'c': np.array([True, False])}),
])
def test_json_request(request_, signatures, form, expected):
  parsed = _parse(request_, signatures)
  assert parsed.form == form
  assert parsed.signature == request_.get('signature_name', 'serving_default')
  assert_same(parsed.inputs, {key: np.asarray(a) for key, a in expected.items()})


def test_json_request_with_bytes_and_text():
  png = bytes(range(256))
  encoded = {'b64': base64.b64encode(png).decode()}
  assert list(_parse({'instances': [encoded, 'ä']}, _STRINGS).inputs['s']) == [
      png, 'ä'.encode()]
  assert _parse({'inputs': encoded}, _STRINGS).inputs['s'].item() == png
  assert _parse({'inputs': [['a'], ['b']]}, _STRINGS).inputs['s'].shape == (2, 1)


@pytest.mark.parametrize('body, expected', [
    (b'', 'document is empty'),
    (b'{', 'JSON Parse error'),
    (b'\xff\xfe{', 'JSON Parse error'),
    (b'[1]', 'Is not object'),
    (b'{}', "Missing 'inputs' or 'instances'"),
    (b'{"inputs": [1], "instances": [1]}', "one of 'inputs' or 'instances'"),
    (b'{"signature_name": 3, "instances": [1]}', 'must be a string'),
    (b'{"signature_name": "x", "instances": [1]}',
     'Serving signature name: "x" not found in signature def'),
    (b'{"instances": 1}', 'to be an list/array'),
    (b'{"instances": []}', 'No values'),
    (b'{"instances": [[1], [1, 2]]}', 'unexpected size'),
    (b'{"instances": [1.5]}', 'not of expected type: uint8'),
    (b'{"instances": ["a"]}', 'not of expected type: uint8'),
    (b'{"instances": [{"b64": "YQ=="}]}', 'not of expected type: uint8'),
    (b'{"instances": [{"picture": 1}]}', 'must be equal to: image'),
    (b'{"instances": [{"image": 1}, 2]}', 'element: 1'),
    (b'{"inputs": {"picture": 1}}', 'Missing named input: image'),
])
def test_json_request_that_is_refused(body, expected):
  with pytest.raises(ServingError, match=expected) as refused:
    json_request.parse(body, _IMAGE)
  assert refused.value.status.name == 'INVALID_ARGUMENT'


@pytest.mark.parametrize('request_, expected', [
    ({'instances': [1]}, 'not of expected type: string'),
    ({'inputs': {'s': {'b64': '???'}}}, 'base64'),
    ({'inputs': [['a'], ['b', 'c']]}, 'unexpected size'),
])
def test_json_strings_that_are_refused(request_, expected):
  with pytest.raises(ServingError, match=expected):
    _parse(request_, _STRINGS)


def test_json_request_for_two_inputs_needs_their_names():
  with pytest.raises(ServingError, match='the inputs a,b'):
    _parse({'instances': [1, 2]}, _TWO)


# A running server, gRPC.

_SPECIFIC = 'Servable not found for request: Specific(ours, 2)'

# Request, and the status and words of the answer.
_GRPC_ERRORS = {
    'model': ({'model': 'theirs'}, 'NOT_FOUND',
              'Servable not found for request: Latest(theirs)'),
    'version': ({'model': 'ours', 'version': 2}, 'NOT_FOUND', _SPECIFIC),
    'label': ({'model': 'ours', 'label': 'new'}, 'INVALID_ARGUMENT',
              'Unrecognized servable version label: new'),
    'model_spec': ({}, 'INVALID_ARGUMENT', 'Missing ModelSpec'),
    'signature': ({'model': 'ours', 'signature': 'x'}, 'FAILED_PRECONDITION',
                  'Serving signature key "x" not found.'),
    'output': ({'model': 'ours', 'filter': ['scores']}, 'INVALID_ARGUMENT',
               'output tensor alias not found in signature: scores'),
    'output twice': ({'model': 'ours', 'filter': ['num_detections'] * 2},
                     'INVALID_ARGUMENT', 'duplicate output tensor alias'),
    'input': ({'model': 'ours', 'inputs': {'image': 'input_tensor'}},
              'INVALID_ARGUMENT', 'Missing but required: {input_tensor}'),
    'dtype': ({'model': 'ours', 'inputs': {'input_tensor': 'floats'}},
              'INVALID_ARGUMENT',
              'Expects input_tensor to be uint8 but float32 is provided'),
    'shape': ({'model': 'ours', 'inputs': {'input_tensor': 'unbatched'}},
              'INVALID_ARGUMENT', 'but [96, 128, 3] is provided'),
    'model fails': ({'model': 'texts', 'signature': 'insist',
                     'inputs': {'values': 'negative'}}, 'INVALID_ARGUMENT', ''),
}
_ONLY_IMAGE = {'input_tensor': 'input_tensor'}
_FILTER = ['detection_scores', 'detection_boxes']
_GRPC_REQUESTS = {
    'all': {'model': 'ours', 'inputs': _ONLY_IMAGE},
    'filtered': {'model': 'ours', 'version': 1, 'filter': _FILTER,
                 'signature': 'serving_default', 'inputs': _ONLY_IMAGE},
    'stock filtered': {'model': 'stock', 'filter': _FILTER, 'inputs': _ONLY_IMAGE},
    'large': {'model': 'large', 'filter': ['small'], 'inputs': _ONLY_IMAGE},
    'strings': {'model': 'texts', 'inputs': {'text': 'text', 'times': 'times'}},
    **{name: {'inputs': _ONLY_IMAGE} | case[0] for name, case in _GRPC_ERRORS.items()},
}


@pytest.fixture(scope='module')
def answers(serving):
  """What came of `_GRPC_REQUESTS`: the results, and the arrays, by name."""
  inputs, outputs = serving.folder / 'inputs.npz', serving.folder / 'outputs.npz'
  np.savez(inputs, input_tensor=serving.image, unbatched=serving.image[0],
           floats=serving.image.astype(np.float32), negative=np.float32([-1]),
           text=np.array([b'ab', b'\xff\x00'], object), times=np.int64([2, 1]))
  results = serving.run('predict', serving.addresses.grpc,
                        [*_GRPC_REQUESTS.values()], inputs, outputs).ok().value
  with np.load(outputs, allow_pickle=True) as f:
    arrays = {name: {} for name in _GRPC_REQUESTS}
    for path in f:
      number, _, key = path.partition('/')
      arrays[[*_GRPC_REQUESTS][int(number)]][key] = f[path]
  return dict(zip(_GRPC_REQUESTS, results)), arrays


@pytest.mark.slow
def test_grpc_returns_what_the_loaded_model_does(serving, answers):
  results, arrays = answers
  assert_same(arrays['all'], serving.expected)
  assert results['all']['spec'] == ['ours', 1, 'serving_default']


@pytest.mark.slow
def test_grpc_response_is_as_long_as_payload_says(serving, answers):
  result = answers[0]['all']
  assert result['bytes'] - result['spec_bytes'] == sum(
      grpc_size.output_bytes(key, array.shape, array.nbytes)
      for key, array in serving.expected.items())


@pytest.mark.slow
@pytest.mark.parametrize('request_', ['filtered', 'stock filtered'])
def test_output_filter_is_honoured(serving, answers, request_):
  assert_same(answers[1][request_], {key: serving.expected[key] for key in _FILTER})


@pytest.mark.slow
def test_serves_the_highest_version(answers):
  results, arrays = answers
  assert results['large']['spec'] == ['large', 10, 'serving_default']
  assert arrays['large']['small'] == 10


@pytest.mark.slow
def test_grpc_strings(answers):
  assert list(answers[1]['strings']['repeated']) == [b'abab', b'\xff\x00']


@pytest.mark.slow
@pytest.mark.parametrize('name', _GRPC_ERRORS)
def test_grpc_errors(answers, name):
  _, code, words = _GRPC_ERRORS[name]
  assert answers[0][name]['code'] == code
  assert words in answers[0][name]['details']


@pytest.mark.slow
def test_grpc_refuses_a_malformed_tensor(serving):
  status = serving.run('malformed_tensor', serving.addresses.grpc, 'ours').ok().value
  assert status == 'INVALID_ARGUMENT'


@pytest.mark.slow
def test_metadata(serving):
  def ask(model, field):
    return serving.run('metadata', serving.addresses.grpc, model, field).ok().value

  name, version, signatures = ask('texts', 'signature_def')
  assert (name, version) == ('texts', 1)
  assert {'serving_default', 'halve', 'insist'} <= set(signatures)
  assert ask('ours', 'weights') == 'INVALID_ARGUMENT'
  assert ask('theirs', 'signature_def') == 'NOT_FOUND'


# A running server, REST.


def _post(serving, path, request):
  """The status, and the body."""
  body = request if isinstance(request, bytes) else json.dumps(request).encode()
  try:
    with urllib.request.urlopen(
        f'http://{serving.addresses.rest}{path}', body, timeout=60) as response:
      return response.status, response.read()
  except urllib.error.HTTPError as e:
    return e.code, e.read()


def _read_back(values, expected):
  return {key: np.array(value, expected[key].dtype) for key, value in values.items()}


@pytest.mark.slow
@pytest.mark.parametrize('path', ['/v1/models/ours:predict',
                                  '/v1/models/ours/versions/1:predict'])
def test_rest_rows(serving, path):
  status, body = _post(serving, path, {'instances': serving.image.tolist()})
  assert status == 200
  (row,) = json.loads(body)['predictions']
  assert_same(_read_back(row, serving.expected),
              {key: array[0] for key, array in serving.expected.items()})
  assert body == rest_json.render(dict(sorted(serving.expected.items())), 'row')


@pytest.mark.slow
def test_rest_columns(serving):
  status, body = _post(serving, '/v1/models/ours:predict',
                       {'inputs': {'input_tensor': serving.image.tolist()}})
  assert status == 200
  assert_same(_read_back(json.loads(body)['outputs'], serving.expected),
              serving.expected)


@pytest.mark.slow
def test_rest_refuses_rows_of_stock_and_answers_columns(serving):
  image = serving.image.tolist()
  path = '/v1/models/stock:predict'
  status, body = _post(serving, path, {'instances': image})
  assert status == 400 and 'first dimension' in json.loads(body)['error']
  status, body = _post(serving, path, {'inputs': image})
  found = _read_back(
      {key: value for key, value in json.loads(body)['outputs'].items()
       if key in serving.expected}, serving.expected)
  assert_same(found, serving.expected)


@pytest.mark.slow
def test_rest_strings(serving):
  _, body = _post(serving, '/v1/models/texts:predict', {'instances': [
      {'text': 'é', 'times': 2}, {'text': {'b64': 'AAE='}, 'times': 1}]})
  rows = json.loads(body)['predictions']
  assert [row['repeated'] for row in rows] == ['éé', '\x00\x01']
  assert [base64.b64decode(row['repeated_bytes']['b64']) for row in rows] == [
      'éé'.encode(), b'\x00\x01']


@pytest.mark.slow
@pytest.mark.parametrize('path, request_, status, words', [
    ('/v1/models/theirs:predict', {}, 404,
     'Servable not found for request: Latest(theirs)'),
    ('/v1/models/ours/versions/2:predict', {}, 404, _SPECIFIC),
    ('/v1/models/ours/labels/new:predict', {}, 400, 'version label: new'),
    ('/v1/models/ours', {}, 400, 'Malformed request: POST /v1/models/ours'),
    ('/v1/models/ours:classify', {}, 400, 'Malformed request'),
    ('/v1/models/ours:predict', b'{', 400, 'JSON Parse error'),
    ('/v1/models/ours:predict', {'signature_name': 'x', 'instances': [1]}, 400,
     'Serving signature name: "x" not found in signature def'),
    ('/v1/models/ours:predict', {'instances': [[1, 2]]}, 400, 'the shape'),
    ('/v1/models/texts:predict', {'signature_name': 'halve', 'instances': [1]}, 501,
     'float16'),
])
def test_rest_errors(serving, path, request_, status, words):
  found, body = _post(serving, path, request_)
  assert found == status
  assert words in json.loads(body)['error']
  assert list(json.loads(body)) == ['error']


@pytest.mark.slow
def test_rest_says_that_it_answers_no_get(serving):
  with pytest.raises(urllib.error.HTTPError) as refused:
    urllib.request.urlopen(f'http://{serving.addresses.rest}/v1/models/ours')
  assert refused.value.code == 400
  assert json.load(refused.value) == {
      'error': 'Malformed request: GET /v1/models/ours'}
