"""The payload tool without TensorFlow: sizes, table, chart, command line."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from exporter.serving import payload_chart
from exporter.serving import payload_table
from exporter.serving import rest_json
from exporter.saved_model import signature as saved_model_signature
from exporter.errors import UserError
from exporter.payload import as_json
from exporter.serving.payload_sizes import format_bytes, measured_payload, static_payload
from exporter.saved_model.signature import Signature, TensorSpec

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_DTYPE_NUMBERS = {name: n for n, name in saved_model_signature._DTYPES.items()}


def _signature(outputs, inputs=(('input_tensor', 'uint8', (1, None, None, 3)),)):
  return Signature('serving_default', ('serve',),
                   {spec[0]: TensorSpec(*spec) for spec in inputs},
                   {spec[0]: TensorSpec(*spec) for spec in outputs})


_STOCK = _signature([
    ('anchors', 'float32', (None, 4)),
    ('box_classifier_features', 'float32', (16, 9, 9, 1024)),
    ('detection_boxes', 'float32', (1, 10, 4)),
    ('num_detections', 'float32', (1,)),
])
_LEAN = _signature([
    ('detection_boxes', 'float32', (1, 10, 4)),
    ('detection_masks', 'uint8', (1, 10, 15, 15)),
    ('num_detections', 'float32', (1,)),
])
_STOCK_ARRAYS = {
    'anchors': np.full([384, 4], 0.1, np.float32),
    'box_classifier_features': np.zeros([16, 9, 9, 1024], np.float32),
    'detection_boxes': np.full([1, 10, 4], 0.25, np.float32),
    'num_detections': np.float32([10]),
}
_LEAN_ARRAYS = {
    'detection_boxes': np.full([1, 10, 4], 0.25, np.float32),
    'detection_masks': np.full([1, 10, 15, 15], 200, np.uint8),
    'num_detections': np.float32([10]),
}


def _stock():
  return static_payload('/models/stock', _STOCK)


def _lean():
  return static_payload('/models/lean/saved_model', _LEAN)


def _table(*payloads, **kwargs) -> str:
  out = io.StringIO()
  payload_table.print_table(*payloads, file=out, **kwargs)
  return out.getvalue()


def _row(table: str, key: str) -> list[str]:
  [line] = [line for line in table.splitlines() if line.split()[:1] == [key]]
  return line.split()


# Sizes.


def test_static_sizes_on_grpc_are_those_of_the_measured_response():
  static, measured = _lean(), measured_payload('d', _LEAN, _LEAN_ARRAYS, 'i.jpg')
  assert static.grpc_bytes == measured.grpc_bytes
  assert [o.key for o in static.outputs] == [
      'detection_masks', 'detection_boxes', 'num_detections']
  assert static.grpc_bytes == sum(o.grpc_bytes for o in static.outputs)


def test_measured_json_is_as_long_as_the_text():
  payload = measured_payload('d', _LEAN, _LEAN_ARRAYS, 'i.jpg')
  assert payload.rest_form == 'row'
  assert payload.row_bytes == len(rest_json.render(_LEAN_ARRAYS, 'row'))
  assert payload.columnar_bytes == len(rest_json.render(_LEAN_ARRAYS, 'columnar'))


def test_rows_are_refused_where_first_dimensions_differ():
  payload = measured_payload('d', _STOCK, _STOCK_ARRAYS, 'i.jpg')
  assert payload.rest_form == 'columnar'
  assert 'anchors 384' in payload.row_refusal
  assert payload.row_bytes is None
  assert payload.rest_bytes('columnar') == len(
      rest_json.render(_STOCK_ARRAYS, 'columnar'))


def test_batch_of_two_rows():
  signature = _signature([('y', 'float32', (None, 3)), ('z', 'int64', (None,))],
                         [('x', 'float32', (None, 8, 8, 3))])
  arrays = {'y': np.float32([[1, 2, 3]] * 2), 'z': np.array([1, 23])}
  payload = measured_payload('d', signature, arrays, 'i.jpg')
  assert payload.row_bytes == len(rest_json.render(arrays, 'row'))


def test_an_unknown_batch_counts_as_one_image():
  signature = _signature([('probabilities', 'float32', (None, 1000))],
                         [('x', 'float32', (None, 224, 224, 3))])
  [output] = static_payload('d', signature).outputs
  assert output.shape == (1, 1000)
  assert output.grpc_bytes > 4000


def test_an_unknown_dimension_is_no_batch_where_the_input_has_none():
  anchors = _stock().output('anchors')
  assert anchors.shape == (None, 4)
  assert (anchors.grpc_bytes, anchors.row_bytes, anchors.columnar_bytes) == (
      None, None, None)
  assert _stock().grpc_bytes is None


def test_unknown_rank_and_strings_have_no_static_size():
  payload = static_payload('d', _signature(
      [('a', 'float32', None), ('names', 'string', (1, 3))]))
  assert [o.grpc_bytes for o in payload.outputs] == [None, None]
  assert payload.rest_bytes('row') is None
  assert payload.json_refusal is None


def test_strings_are_measured():
  arrays = {'names': np.array([[b'cat', b'dog', b'']], object)}
  payload = measured_payload(
      'd', _signature([('names', 'string', (1, 3))]), arrays, 'i.jpg')
  assert payload.row_bytes == len(rest_json.render(arrays, 'row'))
  assert payload.grpc_bytes == payload.output('names').grpc_bytes == 34


def test_float16_has_no_json():
  signature = _signature([('masks', 'float16', (1, 10)), ('n', 'float32', (1,))])
  arrays = {'masks': np.ones([1, 10], np.float16), 'n': np.float32([1])}
  for payload in (static_payload('d', signature),
                  measured_payload('d', signature, arrays, 'i.jpg')):
    assert payload.rest_form is None
    assert payload.json_refusal == 'masks is float16'
    assert payload.grpc_bytes > 0


def test_static_json_is_near_the_measured():
  values = np.random.default_rng(0).random([1, 100, 33, 33], np.float32)
  signature = _signature([('detection_masks', 'float32', values.shape)])
  static = static_payload('d', signature)
  measured = measured_payload('d', signature, {'detection_masks': values}, 'i.jpg')
  assert static.row_bytes == pytest.approx(measured.row_bytes, rel=0.05)


@pytest.mark.parametrize('size, text', [
    (None, '?'), (0, '0 B'), (999, '999 B'), (1000, '1.0 kB'), (999_949, '999.9 kB'),
    (999_950, '1.0 MB'), (191_600_000, '191.6 MB'), (2.5e12, '2,500.0 GB'),
])
def test_format_bytes(size, text):
  assert format_bytes(size) == text


# Table.


def test_table_is_sorted_and_marks_what_is_over_the_limit():
  table = _table(measured_payload('/m', _STOCK, _STOCK_ARRAYS, 'street.jpg'))
  keys = [line.split()[0] for line in table.splitlines()
          if line.split()[:1] and line.split()[0] in _STOCK_ARRAYS]
  assert keys == [
      'box_classifier_features', 'anchors', 'detection_boxes', 'num_detections']
  features = _row(table, 'box_classifier_features')
  assert features[1:10] == [
      'float32', '[16,', '9,', '9,', '1024]', '5.3', 'MB', '!', '99.9%']
  assert _row(table, 'num_detections')[3:6] == ['34', 'B', '<0.1%']
  assert '4 outputs' in table
  assert 'Measured on street.jpg.' in table
  assert '4,194,304' in table
  assert '~' not in table
  assert 'of anchors 384' in table


def test_table_of_a_signature_says_what_it_does_not_know():
  table = _table(_stock())
  assert _row(table, 'anchors') == ['anchors', 'float32', '[?,', '4]', '?', '?']
  assert '>= 5.3 MB !' in table
  assert '>= ~' in table
  assert '--image' in table


def test_table_without_json_says_so():
  table = _table(static_payload('d', _signature([('half', 'float16', (1, 3))])))
  assert _row(table, 'half')[-2:] == ['100.0%', '-']
  assert 'half is float16, which it cannot write as JSON' in table


def test_table_tells_the_other_form_and_the_other_encoding():
  table = _table(measured_payload('d', _LEAN, _LEAN_ARRAYS, 'i.jpg'))
  columnar = len(rest_json.render(_LEAN_ARRAYS, 'columnar'))
  assert f'to "inputs" it is {format_bytes(columnar)}.' in table
  # 2250 values of 200: two bytes each as int_val.
  assert 'without --enable_serialization_as_tensor_content sends 4.8 kB' in table


def test_comparison():
  table = _table(measured_payload('/stock', _STOCK, _STOCK_ARRAYS, 'i.jpg'),
                 measured_payload('/lean', _LEAN, _LEAN_ARRAYS, 'i.jpg'))
  assert _row(table, 'box_classifier_features')[-1] == 'removed'
  assert _row(table, 'detection_masks')[-1] == 'new'
  assert _row(table, 'num_detections')[-1] == 'same'
  assert '4 -> 3 outputs' in table
  assert '-99.952%' in table
  # Like is compared with like: stock has no rows.
  assert 'REST columnar before' in table
  assert 'After: REST is the answer to "inputs"; to "instances"' in table


def test_comparison_with_a_model_that_has_no_json():
  half = _signature([('detection_masks', 'float16', (1, 10, 15, 15)),
                     ('num_detections', 'float32', (1,))])
  table = _table(_lean(), static_payload('/half', half))
  assert _row(table, 'detection_masks')[-2:] == ['kB', '-']
  assert _row(table, 'num_detections')[-4:] == ['same', '~42', 'B', '-']
  assert 'After: TensorFlow Serving answers REST requests with an error' in table


def test_comparison_shows_changed_types():
  before = static_payload('a', _signature([('m', 'float32', (1, 100))]))
  after = static_payload('b', _signature([('m', 'uint8', (1, None))]))
  assert 'float32 [1, 100] -> uint8 [1, ?]' in _table(before, after)


def test_rates():
  payload = measured_payload('d', _LEAN, _LEAN_ARRAYS, 'i.jpg')
  table = _table(payload, qps=1e6)
  assert payload.grpc_bytes == 2532
  assert '1e+06 requests a second are 2.5 GB/s (20.3 Gbit/s) on gRPC' in table
  assert 'unknown without --image' in _table(_stock(), qps=5)


@pytest.mark.parametrize('width', [60, 80, 100])
def test_a_narrow_terminal_keeps_names_and_sizes(width):
  long_key = 'rpn_objectness_predictions_with_background'
  signature = _signature([(long_key, 'float32', (1, 49152, 2)), *_outputs(_LEAN)])
  for payloads in ([static_payload('d', signature)],
                   [static_payload('d', signature), _lean()]):
    out = _Terminal()
    with pytest.MonkeyPatch.context() as patch:
      patch.setenv('COLUMNS', str(width))
      patch.setenv('TERM', 'xterm')
      payload_table.print_table(*payloads, file=out)
    lines = re.sub('\x1b\\[[0-9;]*m', '', out.getvalue()).splitlines()
    assert max(map(len, lines)) <= width
    # The name may be broken over lines, but all of it is there.
    column = ''.join(line[2:].split('  ')[0].strip() for line in lines)
    assert long_key in column
    assert '393.3 kB' in out.getvalue()


class _Terminal(io.StringIO):

  def isatty(self):
    return True


def _outputs(signature):
  return [(s.key, s.dtype, s.shape) for s in signature.outputs.values()]


def test_keys_are_not_markup():
  payload = static_payload('d', _signature([('[bold]x', 'float32', (1,))]))
  assert '[bold]x' in _table(payload)


# JSON.


def test_json_of_one_model():
  report = json.loads(as_json(
      measured_payload('/m', _STOCK, _STOCK_ARRAYS, 'i.jpg'), qps=2))
  assert report['grpc_bytes'] == sum(o['grpc_bytes'] for o in report['outputs'])
  assert report['grpc_over_limit'] is True
  assert report['outputs'][0]['key'] == 'box_classifier_features'
  assert report['outputs'][0]['shape'] == [16, 9, 9, 1024]
  assert report['outputs'][0]['grpc_over_limit'] is True
  assert report['outputs'][1]['grpc_over_limit'] is False
  assert report['rest_form'] == 'columnar'
  assert report['rest_bytes'] == report['columnar_bytes']
  assert report['rest_is_estimate'] is False
  assert report['grpc_bytes_per_second'] == 2 * report['grpc_bytes']


def test_json_of_two_models():
  report = json.loads(as_json(_stock(), _lean()))
  assert list(report) == ['before', 'after']
  assert report['before']['grpc_bytes'] is None
  assert report['after']['rest_is_estimate'] is True


# Chart.


def _texts(path) -> str:
  return path.read_text(encoding='utf-8')


@pytest.fixture
def text_svg(monkeypatch):
  """SVG that keeps its text as text, to be read by a test."""
  matplotlib = pytest.importorskip('matplotlib')
  monkeypatch.setitem(matplotlib.rcParams, 'svg.fonttype', 'none')


def test_chart_names_every_output(tmp_path, text_svg):
  path = tmp_path / 'payload.svg'
  payload_chart.save_chart(
      str(path), measured_payload('/stock', _STOCK, _STOCK_ARRAYS, 'i.jpg'), _lean())
  text = _texts(path)
  for key in (*_STOCK_ARRAYS, *_LEAN_ARRAYS):
    assert f'>{key}<' in text
  assert '5.3 MB, removed' in text
  assert '2.3 kB, new' in text
  assert 'before: stock' in text
  assert 'after: lean' in text
  assert '4 MB: gRPC default limit' in text
  assert 'One response on gRPC: 5.3 MB → 2.5 kB' in text


def test_chart_of_one_static_model(tmp_path, text_svg):
  path = tmp_path / 'payload.svg'
  payload_chart.save_chart(str(path), _stock())
  text = _texts(path)
  assert 'One response on gRPC: ≥ 5.3 MB' in text
  assert '>?<' in text
  assert 'removed' not in text


def test_png(tmp_path):
  image = pytest.importorskip('PIL.Image')
  path = tmp_path / 'payload.png'
  payload_chart.save_chart(str(path), _stock(), _lean())
  with image.open(path) as png:
    assert png.width > 1000
    assert len(png.convert('RGB').getcolors(1 << 24)) > 10
  assert os.listdir(tmp_path) == ['payload.png']


def test_a_failed_write_keeps_the_old_chart(tmp_path, monkeypatch):
  figure = pytest.importorskip('matplotlib.figure')

  def fail(self, path, **kwargs):
    pathlib.Path(path).write_bytes(b'half')
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(figure.Figure, 'savefig', fail)
  path = tmp_path / 'payload.png'
  path.write_bytes(b'old')
  with pytest.raises(UserError, match='No space left'):
    payload_chart.save_chart(str(path), _stock())
  assert path.read_bytes() == b'old'
  assert os.listdir(tmp_path) == ['payload.png']


# Command line.


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  """A directory with the SavedModels `stock` and `lean/saved_model`."""
  root = tmp_path_factory.mktemp('models')
  _write_saved_model(root / 'stock', _STOCK)
  _write_saved_model(root / 'lean' / 'saved_model', _LEAN)
  return root


def _write_saved_model(directory, signature):
  message = saved_model_signature._saved_model_class()()
  graph = message.meta_graphs.add()
  graph.meta_info_def.tags.extend(signature.tags)
  entry = graph.signature_def.add(key=signature.name)
  for specs, entries in ((signature.inputs, entry.value.inputs),
                         (signature.outputs, entry.value.outputs)):
    for spec in specs.values():
      info = entries.add(key=spec.key).value
      info.dtype = _DTYPE_NUMBERS[spec.dtype]
      info.shape.SetInParent()
      for size in spec.shape:
        info.shape.dims.add(size=-1 if size is None else size)
  directory.mkdir(parents=True)
  (directory / 'saved_model.pb').write_bytes(message.SerializeToString())


@pytest.fixture(scope='module')
def no_tensorflow(tmp_path_factory):
  """A path entry on which importing TensorFlow or object_detection fails."""
  root = tmp_path_factory.mktemp('no_tensorflow')
  for package in ('tensorflow', 'object_detection', 'tensorflow_serving'):
    (root / package).mkdir()
    (root / package / '__init__.py').write_text(
        f'raise AssertionError("{package} was imported")')
  return root


@pytest.fixture
def payload_tool(no_tensorflow):
  """Runs the tool where TensorFlow cannot be imported."""
  def run(*args):
    env = {**os.environ, 'PYTHONPATH': f'{no_tensorflow}{os.pathsep}{_ROOT}'}
    return subprocess.run(
        [sys.executable, '-m', 'exporter.payload', *map(str, args)], env=env,
        capture_output=True, text=True, check=False)
  return run


def test_command_line_compares(payload_tool, models, tmp_path):
  pytest.importorskip('matplotlib')
  done = payload_tool(f'--saved_model_dir={models}/stock', f'--compare={models}/lean',
                      '--qps=10', f'--plot={tmp_path}/p.svg')
  assert done.returncode == 0, done.stderr
  assert done.stderr == ''
  assert _row(done.stdout, 'box_classifier_features')[-1] == 'removed'
  assert '25.3 kB/s' in done.stdout
  assert (tmp_path / 'p.svg').read_bytes().startswith(b'<?xml')


def test_command_line_json(payload_tool, models):
  done = payload_tool(f'--saved_model_dir={models}/lean', '--json')
  assert done.returncode == 0, done.stderr
  report = json.loads(done.stdout)
  assert report['grpc_bytes'] == 2532
  assert report['signature'] == 'serving_default'


@pytest.mark.parametrize('flags, status, words', [
    (['--limit=4MB'], 2, ['stock', '5.3 MB', '4,000,000', 'box_classifier_features']),
    (['--max_grpc=4MiB'], 2, ['gRPC', '4,194,304']),
    # More than the known outputs have, so the unknown one does not matter.
    (['--max_rest=1MB'], 2, ['REST', 'about']),
    (['--limit=1kB', '--compare={}/lean'], 2, ['lean', 'gRPC', 'REST']),
    (['--limit=1kB', '--max_grpc=1GB', '--compare={}/lean'], 2, ['REST']),
    (['--limit=2532', '--max_rest=1GB', '--compare={}/lean'], 0, []),
    (['--max_grpc=2531', '--compare={}/lean'], 2, ['2,532 bytes']),
    (['--max_grpc=6MB'], 1, ['anchors', '--image']),
    (['--limit=4 lots'], 1, ["limit is '4 lots'", '4MB']),
    (['--max_rest=0'], 1, ["max_rest is '0'"]),
])
def test_a_response_over_a_limit_is_status_2_and_one_line(
    payload_tool, models, flags, status, words):
  done = payload_tool(f'--saved_model_dir={models}/stock',
                      *(flag.format(models) for flag in flags))
  assert done.returncode == status
  assert len(done.stderr.splitlines()) == (1 if status else 0)
  for word in words:
    assert word in done.stderr


def test_help_needs_no_tensorflow(payload_tool):
  done = payload_tool('--help')
  assert '--saved_model_dir' in done.stdout
  assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('args, words', [
    (['--saved_model_dir={}/nowhere'], ['There is no directory']),
    (['--saved_model_dir={}/stock', '--compare={}'], ['no saved_model.pb']),
    (['--saved_model_dir={}/stock', '--signature=serving_defalt'],
     ["did you mean 'serving_default'?"]),
    (['--saved_model_dir={}/stock', '--image={}/none.jpg'],
     ['The image', 'none.jpg cannot be read: No such file']),
    (['--saved_model_dir={}/stock', '--image={}'], ['Is a directory']),
    (['--saved_model_dir={}/stock', '--plot=chart.pgn'],
     ["'chart.pgn'", '.png or .svg', "did you mean '.png'?"]),
    (['--saved_model_dir={}/stock', '--plot={}/none/chart.png'], ['no directory']),
    (['--saved_model_dir={}/stock', '{}/lean'], ['is not a flag']),
])
def test_mistakes_are_told_in_one_sentence(payload_tool, models, args, words):
  done = payload_tool(*(arg.format(models) for arg in args))
  assert done.returncode == 1
  assert done.stdout == ''
  assert len(done.stderr.strip().splitlines()) == 1
  for word in words:
    assert word in done.stderr


def test_empty_image_is_refused_before_tensorflow(payload_tool, models, tmp_path):
  (tmp_path / 'empty.jpg').write_bytes(b'')
  done = payload_tool(f'--saved_model_dir={models}/stock',
                      f'--image={tmp_path}/empty.jpg')
  assert (done.returncode, done.stderr) == (
      1, f'payload: The image {tmp_path}/empty.jpg is empty.\n')


def test_image_for_a_model_that_takes_none(payload_tool, tmp_path):
  _write_saved_model(tmp_path / 'table', _signature(
      [('y', 'float32', (None,))], [('x', 'float32', (None, 10))]))
  image = tmp_path / 'a.jpg'
  image.write_bytes(b'\xff\xd8\xff, and nothing that can be decoded')
  done = payload_tool(f'--saved_model_dir={tmp_path}/table', f'--image={image}')
  assert done.returncode == 1
  assert 'takes an image: its inputs are x (float32 [?, 10])' in done.stderr


def test_importing_the_tool_defines_no_flags():
  code = ('from absl import app, flags; before = set(flags.FLAGS);'
          'import exporter.payload; assert set(flags.FLAGS) == before')
  subprocess.run([sys.executable, '-c', code], check=True,
                 env={**os.environ, 'PYTHONPATH': str(_ROOT)})
