r"""Measures what a client feels: stock's export and ours behind one server.

  python -m benchmarks.round_trip
  python -m benchmarks.round_trip --stock_dir=exported/stock --ours_dir=exported/lean

From a request that is ready to NumPy arrays, over loopback, on gRPC and on REST:
seconds, bytes, and by how much the client's memory grows. `output_filter`, with which
a gRPC client asks stock for fewer outputs, is a contender of its own. Contenders take
turns, each time in a new process. Prints tables and writes
build/round_trip/results.json.

The server is a Python one in this repository, unless TF_SERVING_GRPC or
TF_SERVING_REST says the host:port of a TensorFlow Serving that has both exports:

  TF_SERVING_GRPC=localhost:8500 TF_SERVING_REST=localhost:8501 \
      python -m benchmarks.round_trip --stock_model=mask_rcnn --ours_model=lean
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures

import numpy as np
from absl import flags
from rich import console as rich_console
from rich import progress
from rich import table as rich_table

from benchmarks import machine, processes, round_trip_client, server_process
from benchmarks.round_trip_client import SERVER_PARTS, Contender, Measured
from exporter import command_line
from exporter.errors import UserError
from exporter.saved_model.files import find_saved_model

_PIPELINES = {
    'large': 'mask_rcnn_inception_resnet_v2_1024x1024_coco17_gpu-8',
    'small': 'mask_rcnn_resnet50_small',
}
_KEYS = ('detection_boxes,detection_scores,detection_classes,detection_masks,'
         'num_detections')
_TRANSPORTS = ('gRPC', 'REST')

# Of these a ratio to stock is told.
_COMPARED = ('response_bytes', 'p50_seconds', 'p95_seconds', 'read_seconds',
             'model_seconds', 'write_seconds', 'other_seconds', 'grown_bytes')


@dataclasses.dataclass(frozen=True)
class Server:
  """What answers.

  Attributes:
    kind: in words, for the report.
    addresses: host:port by transport.
  """
  kind: str
  addresses: dict[str, str]


def named_server(environment: Mapping[str, str]) -> Server | None:
  """The TensorFlow Serving that the environment names; None where it does not."""
  named = {transport: environment.get(f'TF_SERVING_{transport.upper()}')
           for transport in _TRANSPORTS}
  addresses = {transport: address for transport, address in named.items() if address}
  if not addresses:
    return None
  return Server(f'TensorFlow Serving at {", ".join(addresses.values())}', addresses)


@contextlib.contextmanager
def started_server(models: Mapping[str, str]) -> Iterator[Server]:
  """The Python server with these models, of which the paths are given by name."""
  with server_process.running(models) as addresses:
    yield Server(
        'the Python server benchmarks/prediction_server.py, not TensorFlow Serving',
        dict(zip(_TRANSPORTS, (addresses.grpc, addresses.rest))))


def contenders_of(server: Server, transports: Sequence[str], stock: str,
                  ours: str) -> list[Contender]:
  """Who is measured: on each transport stock first.

  Args:
    server: that answers.
    transports: over which, where it speaks them.
    stock: stock's model name.
    ours: our model's.
  """
  contenders = []
  for transport in transports:
    address = server.addresses.get(transport)
    if address is None:
      continue
    contenders.append(Contender('stock', transport, address, stock))
    if transport == 'gRPC':
      kept = in_process(round_trip_client.output_keys, address, ours)
      contenders.append(
          Contender('stock, output_filter', transport, address, stock, kept))
    contenders.append(Contender('ours', transport, address, ours))
  return contenders


def in_process(function: Callable, *args):
  """Calls a function of `round_trip_client` in a new process; returns its result."""
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload([*round_trip_client.HEAVY_MODULES])
  with futures.ProcessPoolExecutor(1, context) as executor:
    return executor.submit(function, *args).result()


def measure(contenders: Sequence[Contender], requests: int,
            rounds: int) -> list[dict]:
  """Measures contenders in turn.

  Args:
    contenders: on each transport stock first.
    requests: of each contender in a round.
    rounds: how often they take turns.

  Returns:
    For each contender its fields, what `_summary` says, `ratio_to_stock` of what
    was measured on the same transport, and whether all its outputs are stock's.
  """
  measured = {contender: [] for contender in contenders}
  with progress.Progress(console=rich_console.Console(stderr=True)) as bar:
    task = bar.add_task('round trips', total=rounds * len(contenders))
    for _ in range(rounds):
      for contender, results in measured.items():
        results.append(in_process(round_trip_client.measure, contender, requests))
        bar.advance(task)
  stocks = {}
  reports = []
  for contender, results in measured.items():
    report = dataclasses.asdict(contender) | _summary(results)
    stock = stocks.setdefault(contender.transport, (report, results[0].digests))
    report['ratio_to_stock'] = {row: report[row] / stock[0][row]
                                for row in _COMPARED if stock[0][row]}
    report['same_values'] = results[0].digests.items() <= stock[1].items()
    report['default_client'] = None
    if contender.transport == 'gRPC':
      report['default_client'] = in_process(
          round_trip_client.answer_to_default_client, contender)
    reports.append(report)
  return reports


def _summary(rounds: Sequence[Measured]) -> dict:
  """Of all requests of all rounds.

  Times are in seconds; those of the server's parts and of `other`, all that is none
  of them (the network, and reading the answer; on gRPC also making one string of the
  message), are medians, and None where the server does not tell. `grown_bytes` is the
  median of the rounds.
  """
  seconds = [value for measured in rounds for value in measured.seconds]
  told = [parts for measured in rounds for parts in measured.server_seconds]
  server = {part: [parts[part] for parts in told] for part in SERVER_PARTS}
  known = all(None not in values for values in server.values())
  other = np.subtract(seconds, np.sum([*server.values()], axis=0)) if known else None
  return {
      'outputs': len(rounds[0].digests),
      'response_bytes': rounds[0].response_bytes,
      'p50_seconds': _percentile(seconds, 50),
      'p95_seconds': _percentile(seconds, 95),
      **{f'{part}_seconds': _percentile(values, 50) if known else None
         for part, values in server.items()},
      'other_seconds': _percentile(other, 50) if known else None,
      'grown_bytes': statistics.median(m.grown_bytes for m in rounds),
      'seconds': seconds,
  }


def _percentile(values, q: float) -> float:
  return float(np.percentile(values, q))


def export_both(model: str, directory: str) -> tuple[str, str]:
  """Exports as stock does and with five outputs, where that is not done yet.

  Args:
    model: a key of `_PIPELINES`.
    directory: for a checkpoint of random weights and the exports.

  Returns:
    The folders of the two exports.
  """
  config = f'configs/pipelines/{_PIPELINES[model]}.config'
  checkpoint, stock, ours = (os.path.join(directory, name)
                             for name in ('checkpoint', 'stock', 'ours'))
  for made, *command in (
      (f'{checkpoint}/checkpoint', 'examples.random_checkpoint',
       f'--pipeline_config_path={config}', f'--output_directory={checkpoint}'),
      (f'{stock}/saved_model', 'benchmarks.stock_export', config, checkpoint, stock),
      (f'{ours}/saved_model', 'exporter.exporter_main_v2',
       f'--pipeline_config_path={config}', f'--trained_checkpoint_dir={checkpoint}',
       f'--output_directory={ours}', f'--output_keys={_KEYS}')):
    if not os.path.exists(made):
      print(f'round_trip: python -m {command[0]} …', file=sys.stderr)
      processes.run_python('-m', *command)
  return stock, ours


def _megabytes(size: float) -> str:
  return f'{size / 1e6:,.3f}'


def _milliseconds(seconds: float) -> str:
  return f'{seconds * 1e3:,.1f}'


_ROWS = {
    'outputs': ('outputs', str),
    'response MB': ('response_bytes', _megabytes),
    'p50 ms': ('p50_seconds', _milliseconds),
    'p95 ms': ('p95_seconds', _milliseconds),
    '  server reads the request': ('read_seconds', _milliseconds),
    '  model runs': ('model_seconds', _milliseconds),
    '  server writes the answer': ('write_seconds', _milliseconds),
    '  network, client reads it': ('other_seconds', _milliseconds),
    'client memory, MB more': ('grown_bytes', _megabytes),
    "with gRPC's default 4 MB limit": ('default_client', str),
    "values are stock's": ('same_values', lambda same: 'yes' if same else 'NO'),
}


def table_of(transport: str, reports: Sequence[dict]) -> rich_table.Table:
  """What `measure` says of the contenders on one transport."""
  table = rich_table.Table(title=transport)
  table.add_column('')
  for report in reports:
    table.add_column(report['name'], justify='right')
    if report is not reports[0]:
      table.add_column('/stock', justify='right')
  for title, (row, shown) in _ROWS.items():
    cells = []
    for report in reports:
      cells.append('–' if report[row] is None else shown(report[row]))
      if report is not reports[0]:
        ratio = report['ratio_to_stock'].get(row)
        cells.append('' if ratio is None else f'{ratio:.3f}')
    if set(cells) - {'–', ''}:
      table.add_row(title, *cells)
  return table


def _write_json(path: str, report: dict) -> None:
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with open(path + '.incomplete', 'w', encoding='utf-8') as f:
    json.dump(report, f, indent=2)
  os.replace(path + '.incomplete', path)


def _exports(args) -> tuple[str, str]:
  if args.stock_dir is None and args.ours_dir is None:
    return export_both(args.model, os.path.join(args.output_directory, args.model))
  if args.stock_dir is None or args.ours_dir is None:
    raise UserError('Give both --stock_dir and --ours_dir, or neither.')
  return find_saved_model(args.stock_dir), find_saved_model(args.ours_dir)


def _run(args) -> None:
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  if args.stock_model == args.ours_model:
    raise UserError(f'Both models are named {args.ours_model!r}.')
  with contextlib.ExitStack() as stack:
    server = named_server(os.environ)
    if server is None:
      paths = dict(zip((args.stock_model, args.ours_model), _exports(args)))
      server = stack.enter_context(started_server(paths))
    contenders = contenders_of(
        server, args.transport, args.stock_model, args.ours_model)
    reports = measure(contenders, args.requests, args.rounds)
  _write_json(os.path.join(args.output_directory, 'results.json'), {
      'server': server.kind, 'requests': args.requests, 'rounds': args.rounds,
      'machine': machine.describe(['grpcio', 'numpy', 'protobuf']),
      'contenders': reports})
  console = rich_console.Console(width=110)
  for transport in _TRANSPORTS:
    on_it = [report for report in reports if report['transport'] == transport]
    if on_it:
      console.print(table_of(transport, on_it))
  print(f'{args.rounds} × {args.requests} requests, answered by {server.kind}.')


def _define_flags() -> None:
  # Not at import: the processes that measure import this too, and so do tests.
  flags.DEFINE_enum('model', 'small', sorted(_PIPELINES),
                    'The pipeline to export, unless there are exports already.')
  flags.DEFINE_string('stock_dir', None, "Stock's export, instead.")
  flags.DEFINE_string('ours_dir', None, 'Our export, instead.')
  flags.DEFINE_string('stock_model', 'stock', "Name of stock's model at the server.")
  flags.DEFINE_string('ours_model', 'ours', 'Name of ours.')
  flags.DEFINE_multi_enum('transport', list(_TRANSPORTS), list(_TRANSPORTS),
                          'What to measure. Repeatable.', case_sensitive=False)
  # Short turns: what else the machine does then slows all contenders alike.
  flags.DEFINE_integer('requests', 5, 'Of each contender in a round, after one that'
                       ' does not count.', lower_bound=1)
  flags.DEFINE_integer('rounds', 12, 'How often contenders take turns.', lower_bound=1)
  flags.DEFINE_string('output_directory', 'build/round_trip',
                      'Where exports and results go.')


def main() -> None:
  try:
    _run(flags.FLAGS)
  except RuntimeError as e:  # Of a process that measures or exports.
    raise UserError(str(e)) from e


if __name__ == '__main__':
  _define_flags()
  command_line.run(main, 'round_trip')
