"""A server of S3 on this machine, and a way to it that breaks off."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

BUCKET = 's3://bucket'


@contextlib.contextmanager
def served(folder: pathlib.Path) -> Iterator[int]:
  """Runs the server, with an empty bucket; gives its port.

  Args:
    folder: for its log.
  """
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    port = s.getsockname()[1]
  with open(folder / 'server.log', 'w') as log:
    server = subprocess.Popen(
        [sys.executable, '-m', 'moto.server', '-p', str(port)],
        env={**os.environ, **environment(port)}, stdout=log, stderr=log)
  try:
    end = time.monotonic() + 120
    while not _is_open(port):
      assert server.poll() is None and time.monotonic() < end, (
          folder / 'server.log').read_text()
      time.sleep(0.1)
    bucket(port).mkdir(BUCKET)
    yield port
  finally:
    server.kill()
    server.wait()


def environment(port: int) -> dict[str, str]:
  """What makes the server at a port the one of all buckets, for fsspec and PyArrow."""
  return {'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}', 'AWS_REGION': 'eu-central-1',
          'AWS_DEFAULT_REGION': 'eu-central-1', 'AWS_ACCESS_KEY_ID': 'any',
          'AWS_SECRET_ACCESS_KEY': 'any', 'AWS_EC2_METADATA_DISABLED': 'true',
          'AWS_MAX_ATTEMPTS': '1', 'NO_PROXY': '127.0.0.1'}


def bucket(port: int):
  """The file system of a server, as fsspec has it, that keeps nothing in mind."""
  import s3fs
  return s3fs.S3FileSystem(
      key='any', secret='any', endpoint_url=f'http://127.0.0.1:{port}',
      use_listings_cache=False, client_kwargs={'region_name': 'eu-central-1'})


@contextlib.contextmanager
def cut_after(port: int, sent: int) -> Iterator[int]:
  """A port that leads to the server until so many bytes were sent, and then nowhere."""
  way = _Way(port, sent)
  try:
    yield way.port
  finally:
    way.close()


class _Way:

  def __init__(self, port: int, sent: int):
    self._target, self._left = port, sent
    self._sockets: list[socket.socket] = []
    self._listener = socket.create_server(('127.0.0.1', 0))
    self.port = self._listener.getsockname()[1]
    threading.Thread(target=self._accept, daemon=True).start()

  def close(self) -> None:
    for s in [self._listener, *self._sockets]:
      # Ends what waits on it in another thread, too.
      with contextlib.suppress(OSError):
        s.shutdown(socket.SHUT_RDWR)
      s.close()

  def _accept(self) -> None:
    with contextlib.suppress(OSError):
      while True:
        client, _ = self._listener.accept()
        server = socket.create_connection(('127.0.0.1', self._target))
        self._sockets += [client, server]
        threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
        threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

  def _pass(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
    with contextlib.suppress(OSError):
      while block := source.recv(1 << 14):
        if counts:
          self._left -= len(block)
          if self._left < 0:
            self.close()
            return
        target.sendall(block)
      target.shutdown(socket.SHUT_WR)


def _is_open(port: int) -> bool:
  with socket.socket() as s:
    return s.connect_ex(('127.0.0.1', port)) == 0
