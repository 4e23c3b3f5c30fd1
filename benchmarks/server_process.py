"""Runs `benchmarks.prediction_server` as a process of its own.

    with server_process.running({'mask_rcnn': 'exported'}) as addresses:
      predict_grpc(addresses.grpc, 'mask_rcnn', image)
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping

_ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Addresses:
  """Where a server answers, as host:port; None where it does not."""
  grpc: str | None
  rest: str | None


@contextlib.contextmanager
def running(models: Mapping[str, str | os.PathLike]) -> Iterator[Addresses]:
  """Starts a server on free ports; ends it with the block.

  Args:
    models: paths by name, as `--model` takes them.

  Raises:
    RuntimeError: it did not start; the message ends with what it said.
  """
  command = [sys.executable, '-W', 'ignore', '-m', 'benchmarks.prediction_server',
             '--grpc_port=0', '--rest_port=0']
  command += [f'--model={name}={os.path.abspath(path)}'
              for name, path in models.items()]
  environment = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}
  with tempfile.TemporaryFile('w+') as errors, subprocess.Popen(
      command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors,
      text=True) as process:
    try:
      yield Addresses(*_read_addresses(process, errors))
    finally:
      process.terminate()


def _read_addresses(process: subprocess.Popen, errors) -> list[str]:
  """What the two lines `gRPC HOST:PORT` and `REST HOST:PORT` say."""
  lines = [process.stdout.readline().split() for _ in range(2)]
  if not all(lines):
    process.wait()
    errors.seek(0)
    raise RuntimeError(f'The server did not start: {errors.read()[-2000:]}')
  return [address for _, address in lines]
