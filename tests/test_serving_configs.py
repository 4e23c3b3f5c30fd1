"""What configs/serving/ says fits the exported Mask R-CNN, and is well formed.

No test starts a server: neither a Docker engine nor a cluster is at hand.
"""

import dataclasses
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from exporter import triton_config
from exporter.errors import UserError
from exporter.saved_model.signature import Signature, TensorSpec, read_signature
from families import MASK_RCNN
from interop_packages import needs

_ROOT = pathlib.Path(__file__).parents[1]
_SERVING = _ROOT / 'configs' / 'serving'
_COMPOSE = _SERVING / 'docker-compose.yaml'
_TRITON = _SERVING / 'triton' / 'mask_rcnn' / 'config.pbtxt'
_KSERVE = [_SERVING / 'kserve_rest.yaml', _SERVING / 'kserve_grpc.yaml']
_LARGE_PIPELINE = (_ROOT / 'configs' / 'pipelines' /
                   'mask_rcnn_inception_resnet_v2_1024x1024_coco17_gpu-8.config')

# Of the tensorflow/serving image, whose options name them --port, --rest_api_port.
_GRPC_PORT, _REST_PORT = 8500, 8501
# Of the same in KServe's runtime.
_KSERVE_GRPC_PORT = 9000

_KUBERNETES_NAME = r'[a-z]([-a-z0-9]{0,61}[a-z0-9])?'


@pytest.fixture
def compose():
  return yaml.safe_load(_COMPOSE.read_text(encoding='utf-8'))


@pytest.fixture(params=_KSERVE, ids=lambda path: path.stem)
def inference_service(request):
  return yaml.safe_load(request.param.read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def exported(exports):
  return exports.selected(MASK_RCNN)


def test_compose_mounts_the_model_where_the_server_looks(compose):
  (service,) = compose['services'].values()
  (volume,) = service['volumes']
  # The image's MODEL_BASE_PATH is /models.
  assert volume['target'] == f'/models/{service["environment"]["MODEL_NAME"]}'
  assert volume['source'].startswith('${MODEL_DIR:?')
  assert volume['type'] == 'bind' and volume['read_only']


def test_compose_publishes_both_ports_to_this_machine_only(compose):
  (service,) = compose['services'].values()
  assert sorted(service['ports']) == [
      f'127.0.0.1:{port}:{port}' for port in (_GRPC_PORT, _REST_PORT)]


@pytest.mark.interop
@needs('compose_pydantic')
def test_compose_follows_its_schema():
  import compose_pydantic
  # Made from the specification's JSON schema; refuses what that does not know.
  compose_pydantic.ComposeSpecificationFactory()(source=str(_COMPOSE))


def test_kserve_is_an_inference_service(inference_service):
  assert inference_service['apiVersion'] == 'serving.kserve.io/v1beta1'
  assert inference_service['kind'] == 'InferenceService'
  assert set(inference_service) == {'apiVersion', 'kind', 'metadata', 'spec'}
  assert re.fullmatch(_KUBERNETES_NAME, inference_service['metadata']['name'])
  (predictor,) = inference_service['spec'].values()
  assert predictor is inference_service['spec']['predictor']
  # A misspelt field would be dropped, or refused, by the cluster.
  assert set(predictor) == {'minReplicas', 'maxReplicas', 'model'}
  assert 1 <= predictor['minReplicas'] <= predictor['maxReplicas']


def test_kserve_serves_a_saved_model(inference_service):
  model = inference_service['spec']['predictor']['model']
  assert model['modelFormat'] == {'name': 'tensorflow', 'version': '2'}
  assert model['runtime'] == 'kserve-tensorflow-serving'
  assert re.fullmatch(r'gs://BUCKET/\w+', model['storageUri'])
  for amounts in model['resources'].values():
    assert set(amounts) == {'cpu', 'memory'}
  assert set(model['resources']) == {'requests', 'limits'}
  assert set(model) - {'ports'} == {
      'modelFormat', 'runtime', 'runtimeVersion', 'protocolVersion', 'storageUri',
      'resources'}


def test_kserve_opens_the_port_of_its_protocol(inference_service):
  model = inference_service['spec']['predictor']['model']
  if model['protocolVersion'] == 'grpc-v1':
    assert model['ports'] == [{
        'name': 'h2c', 'containerPort': _KSERVE_GRPC_PORT, 'protocol': 'TCP'}]
  else:
    assert model['protocolVersion'] == 'v1'
    assert 'ports' not in model  # The runtime opens the one for REST by itself.


def test_kserve_has_one_service_a_protocol():
  services = [yaml.safe_load(path.read_text(encoding='utf-8')) for path in _KSERVE]
  assert len({service['metadata']['name'] for service in services}) == len(services)


def test_servers_are_as_new_as_the_exporter(compose, inference_service):
  lock = (_ROOT / 'requirements' / 'tf-2.20.txt').read_text(encoding='utf-8')
  version = re.search(r'^tensorflow-serving-api==(\S+)$', lock, re.M)[1]
  (service,) = compose['services'].values()
  assert service['image'] == f'tensorflow/serving:{version}'
  assert inference_service['spec']['predictor']['model'][
      'runtimeVersion'] == version


@pytest.mark.slow
def test_no_server_batches_as_the_model_takes_one_image(
    exported, compose, inference_service):
  (image,) = read_signature(exported).inputs.values()
  assert image.shape[0] == 1
  (service,) = compose['services'].values()
  assert 'command' not in service  # --enable_batching, for one.
  assert 'batcher' not in inference_service['spec']['predictor']
  assert 'max_batch_size: 0' in _triton_lines()


@pytest.mark.slow
def test_triton_config_is_what_the_generator_prints(exported):
  """With the sizes that differ between the small and the published model."""
  small, large = (
      {field: _sizes_in(path)[field] for field in ('max_total_detections',
                                                   'mask_height', 'mask_width')}
      for path in (MASK_RCNN.pipeline, _LARGE_PIPELINE))
  sizes = {small[field]: large[field] for field in small}
  signature = read_signature(exported)
  for spec in list(signature.outputs.values()):
    signature.outputs[spec.key] = TensorSpec(
        spec.key, spec.dtype, tuple(sizes.get(size, size) for size in spec.shape))
  text = _TRITON.read_text(encoding='utf-8')
  assert text.endswith(f'\n{triton_config.config_text(signature)}')


@pytest.mark.interop
@pytest.mark.slow
@needs('tritonclient')
def test_triton_reads_the_signature(exported):
  from google.protobuf import text_format
  from tritonclient.grpc import model_config_pb2 as triton
  signature = read_signature(exported)
  config = text_format.Parse(
      triton_config.config_text(signature), triton.ModelConfig())
  committed = text_format.Parse(
      _TRITON.read_text(encoding='utf-8'), triton.ModelConfig())
  types = {'uint8': triton.TYPE_UINT8, 'float32': triton.TYPE_FP32}
  for field in ('input', 'output'):
    specs = getattr(signature, f'{field}s').values()
    tensors = getattr(config, field)
    assert [(t.name, t.data_type) for t in tensors] == [
        (spec.key, types[spec.dtype]) for spec in specs]
    assert [tuple(t.dims) for t in tensors] == [
        tuple(-1 if size is None else size for size in spec.shape)
        for spec in specs]
    assert [(t.name, t.data_type, len(t.dims)) for t in tensors] == [
        (t.name, t.data_type, len(t.dims)) for t in getattr(committed, field)]
  assert config.platform == committed.platform == 'tensorflow_savedmodel'
  assert config.max_batch_size == committed.max_batch_size == 0


def test_generator_writes_scalars_and_strings():
  signature = _signature(
      [TensorSpec('image', 'string', (None,))], [TensorSpec('n', 'int64', ())])
  assert triton_config.config_text(signature).splitlines() == [
      'platform: "tensorflow_savedmodel"',
      '# Triton must not join requests: the first dimension of the output n, a'
      ' scalar, is not there.',
      'max_batch_size: 0',
      'input [',
      '  { name: "image" data_type: TYPE_STRING dims: [ -1 ] }',
      ']',
      'output [',
      '  { name: "n" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] } }',
      ']']


_STRINGS = TensorSpec('image', 'string', (None,))
_BOXES = TensorSpec('boxes', 'float32', (None, 100, 4))
_COUNTS = TensorSpec('n', 'float32', (None,))


def test_generator_lets_triton_join_requests_where_the_batch_is_first():
  text = triton_config.config_text(_signature([_STRINGS], [_BOXES, _COUNTS]), 16)
  assert text.splitlines() == [
      'platform: "tensorflow_savedmodel"',
      'max_batch_size: 16',
      'dynamic_batching { }',
      'input [',
      '  { name: "image" data_type: TYPE_STRING dims: [ 1 ] reshape { shape: [ ] } }',
      ']',
      'output [',
      '  { name: "boxes" data_type: TYPE_FP32 dims: [ 100, 4 ] },',
      '  { name: "n" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } }',
      ']']


def test_generator_joins_none_where_told_so():
  text = triton_config.config_text(_signature([_STRINGS], [_BOXES]), 0)
  assert 'max_batch_size: 0' in text.splitlines()
  assert 'dynamic_batching' not in text
  assert 'dims: [ -1, 100, 4 ]' in text


@pytest.mark.parametrize('inputs, outputs, reason', [
    ([TensorSpec('x', 'uint8', (1, None, None, 3))], [_BOXES],
     'the input x, [1, ?, ?, 3], is 1 and'),
    ([_STRINGS, TensorSpec('context', 'float32', (1, 10, 32))], [_BOXES],
     'the input context,'),
    ([_STRINGS], [_BOXES, TensorSpec('shape', 'float32', (4,))], 'the output shape,'),
    # Unknown, and no batch all the same.
    ([_STRINGS], [TensorSpec('anchors', 'float32', (None, 4))],
     'the output anchors counts rows of all images'),
    ([], [_BOXES], 'the signature has no input'),
])
def test_generator_says_why_requests_must_not_be_joined(inputs, outputs, reason):
  text = triton_config.config_text(_signature(inputs, outputs), 16)
  assert 'dynamic_batching' not in text
  [comment] = [line for line in text.splitlines() if line.startswith('#')]
  assert reason in comment
  assert text.splitlines()[2] == 'max_batch_size: 0'


def test_generator_names_another_signature():
  other = dataclasses.replace(_signature([_STRINGS], [_BOXES]), name='from_bytes')
  assert 'key: "TF_SIGNATURE_DEF" value { string_value: "from_bytes" }' in (
      triton_config.config_text(other))


def test_batching_parameters_are_those_of_tensorflow_serving():
  text = (_SERVING / 'batching_parameters.txt').read_text(encoding='utf-8')
  lines = [line for line in text.splitlines() if not line.startswith('#')]
  found = dict(re.fullmatch(r'(\w+) \{ value: (\d+) \}', line).groups()
               for line in lines if 'allowed_batch_sizes' not in line)
  assert set(found) == {'max_batch_size', 'batch_timeout_micros',
                        'max_enqueued_batches', 'num_batch_threads'}
  allowed = [int(re.fullmatch(r'allowed_batch_sizes: (\d+)', line)[1])
             for line in lines if 'allowed_batch_sizes' in line]
  # The server refuses a list that does not ascend to the largest batch.
  assert allowed == sorted(set(allowed))
  assert allowed[-1] == int(found['max_batch_size'])
  assert int(found['max_batch_size']) == triton_config.DEFAULT_MAX_BATCH_SIZE


@pytest.mark.parametrize('spec, sentence', [
    (TensorSpec('masks', 'bfloat16', (1, 2)), 'masks is bfloat16.*float16, float32'),
    (TensorSpec('masks', 'float32', None), 'rank of masks is not known'),
])
def test_generator_refuses_what_triton_cannot_say(spec, sentence):
  with pytest.raises(UserError, match=sentence):
    triton_config.config_text(_signature([], [spec]))


@pytest.mark.slow
def test_generator_prints_the_config_of_an_export(exported):
  done = _run_generator(f'--saved_model_dir={exported}')
  assert (done.returncode, done.stderr) == (0, '')
  assert done.stdout == triton_config.config_text(read_signature(exported))


def test_generator_tells_a_mistake_in_a_sentence(tmp_path):
  done = _run_generator(f'--saved_model_dir={tmp_path}')
  assert (done.returncode, done.stdout) == (1, '')
  assert done.stderr.startswith(f'triton_config: {tmp_path} is no SavedModel')
  assert len(done.stderr.splitlines()) == 1


def _run_generator(*flags):
  return subprocess.run(
      [sys.executable, '-m', 'exporter.triton_config', *flags], cwd=_ROOT,
      capture_output=True, text=True)


def _signature(inputs, outputs):
  return Signature('serving_default', ('serve',), {s.key: s for s in inputs},
                   {s.key: s for s in outputs})


def _triton_lines():
  lines = _TRITON.read_text(encoding='utf-8').splitlines()
  return [line for line in lines if not line.startswith('#')]


def _sizes_in(pipeline) -> dict[str, int]:
  text = pathlib.Path(pipeline).read_text(encoding='utf-8')
  return {name: int(value)
          for name, value in re.findall(r'^\s*(\w+): (\d+)$', text, re.M)}
