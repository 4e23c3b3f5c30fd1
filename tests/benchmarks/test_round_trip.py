"""The round trip measures both exports, and says who answered."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from rich import console as rich_console

from benchmarks import round_trip
from benchmarks.round_trip_client import Contender, Measured

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_tensorflow_serving_is_named_by_the_environment():
  assert round_trip.named_server({}) is None
  server = round_trip.named_server({'TF_SERVING_REST': 'there:8501'})
  assert server.addresses == {'REST': 'there:8501'}
  assert server.kind == 'TensorFlow Serving at there:8501'


@pytest.mark.parametrize('args, words', [
    (['--stock_dir=x'], 'Give both --stock_dir and --ours_dir'),
    (['--stock_dir=x', '--ours_dir=y'], 'There is no directory x'),
    (['--ours_model=stock'], "Both models are named 'stock'"),
])
def test_mistakes_are_told(tmp_path, args, words):
  done = subprocess.run(
      [sys.executable, '-m', 'benchmarks.round_trip',
       f'--output_directory={tmp_path}', *args],
      cwd=_ROOT, capture_output=True, text=True, env=_environment())
  assert done.returncode == 1
  assert words in done.stderr and len(done.stderr.splitlines()) == 1


def _environment(**additional):
  """Without a TensorFlow Serving, unless there is one in `additional`."""
  return {key: value for key, value in os.environ.items()
          if not key.startswith('TF_SERVING_')} | additional


def _measured(seconds, part, size, digests):
  return Measured(seconds, [dict.fromkeys(('read', 'model', 'write'), part)] *
                  len(seconds), size, size, digests)


def _reports(monkeypatch, stock, ours):
  """Reports of a stock and an ours that have measured this."""
  measured = {'stock': stock, 'ours': ours}
  monkeypatch.setattr(
      round_trip, 'in_process',
      lambda function, contender, *_: measured[contender.name])
  return round_trip.measure(
      [Contender(name, 'REST', 'a:1', name) for name in measured], 2, 2)


def test_summary(monkeypatch):
  stock, ours = _reports(
      monkeypatch,
      _measured([1.0, 3.0], 0.25, 1000, {'a': '1', 'b': '2'}),
      _measured([0.5, 0.5], 0.125, 10, {'a': '1'}))
  assert stock['seconds'] == [1.0, 3.0, 1.0, 3.0]
  assert (stock['p50_seconds'], stock['model_seconds']) == (2.0, 0.25)
  assert stock['other_seconds'] == 2.0 - 3 * 0.25
  assert ours['ratio_to_stock']['response_bytes'] == 0.01
  assert ours['ratio_to_stock']['p50_seconds'] == 0.25
  assert set(stock['ratio_to_stock'].values()) == {1.0}
  assert ours['same_values']


def test_other_values_than_stocks_are_seen(monkeypatch):
  stock, ours = _reports(monkeypatch,
                         _measured([1.0], 0.1, 1000, {'a': '1', 'b': '2'}),
                         _measured([1.0], 0.1, 10, {'a': '3'}))
  assert not ours['same_values']
  assert 'NO' in _text(round_trip.table_of('REST', [stock, ours]))


def test_a_server_that_tells_no_times(monkeypatch):
  reports = _reports(monkeypatch, _measured([1.0], None, 1000, {'a': '1'}),
                     _measured([0.5], None, 10, {'a': '1'}))
  assert {report['model_seconds'] for report in reports} == {None}
  assert {report['other_seconds'] for report in reports} == {None}
  text = _text(round_trip.table_of('REST', reports))
  assert '500.0' in text and 'model runs' not in text


def _text(table) -> str:
  console = rich_console.Console(width=110)
  with console.capture() as capture:
    console.print(table)
  return capture.get()


@pytest.mark.slow
def test_measures_stock_and_ours(serving, tmp_path):
  done = subprocess.run(
      [sys.executable, '-W', 'ignore', '-m', 'benchmarks.round_trip', '--requests=2',
       '--rounds=1', f'--output_directory={tmp_path}'],
      cwd=_ROOT, capture_output=True, text=True,
      env=_environment(TF_SERVING_GRPC=serving.addresses.grpc,
                       TF_SERVING_REST=serving.addresses.rest))
  assert done.returncode == 0, done.stderr
  report = json.loads((tmp_path / 'results.json').read_text())
  assert report['server'] == (f'TensorFlow Serving at {serving.addresses.grpc},'
                              f' {serving.addresses.rest}')
  contenders = {(c['transport'], c['name']): c for c in report['contenders']}
  assert {key: c['outputs'] for key, c in contenders.items()} == {
      ('gRPC', 'stock'): 21, ('gRPC', 'stock, output_filter'): 5,
      ('gRPC', 'ours'): 5, ('REST', 'stock'): 21, ('REST', 'ours'): 5}
  for (transport, _), contender in contenders.items():
    assert contender['same_values']
    assert len(contender['seconds']) == 2
    assert contender['p50_seconds'] >= contender['model_seconds'] > 0
    stock = contenders[transport, 'stock']
    assert contender['ratio_to_stock']['response_bytes'] == pytest.approx(
        contender['response_bytes'] / stock['response_bytes'])
  assert contenders['gRPC', 'ours']['response_bytes'] < 20_000
  assert contenders['gRPC', 'stock']['response_bytes'] > 500_000
  for transport in ('gRPC', 'REST'):
    assert transport in done.stdout
  assert report['server'] in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize('model, output_filter, expected', [
    ('large', [], 'RESOURCE_EXHAUSTED'), ('large', ['small'], 'OK'),
    ('ours', [], 'OK')])
def test_default_client_takes_4_mb(serving, model, output_filter, expected):
  assert serving.run('answer_to_default_client', serving.addresses.grpc, model,
                     output_filter).ok().value == expected


@pytest.mark.slow
def test_output_keys_come_from_the_server(serving):
  keys = serving.run('output_keys', serving.addresses.grpc, 'ours').ok().value
  assert keys == sorted(serving.expected)
