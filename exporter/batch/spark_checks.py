"""Tells what keeps Spark from starting, before it is started. Needs no PySpark."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
from importlib import metadata

from exporter.errors import UserError, did_you_mean

_SECONDS_TO_ANSWER = 10
_MASTERS = ('local', 'local[N]', 'local-cluster[EXECUTORS,CORES,MB]',
            'spark://HOST:PORT', 'yarn', 'k8s://https://HOST:PORT')


def check_spark(master: str) -> None:
  """Raises UserError unless Spark can be started with this master."""
  addresses = _addresses(master)
  if importlib.util.find_spec('pyspark') is None:
    raise UserError(f'--master={master} needs the package pyspark, which is not'
                    " installed; pip install 'lean-detection-exporter[spark]'.")
  _check_java()
  if master == 'yarn' and not {'HADOOP_CONF_DIR', 'YARN_CONF_DIR'} & os.environ.keys():
    raise UserError('--master=yarn needs the environment variable HADOOP_CONF_DIR, the'
                    ' folder of the files that say where YARN is.')
  if addresses and not any(map(_answers, addresses)):
    raise UserError(f'The master {master} does not answer: no connection to'
                    f' {" or ".join(f"{host}:{port}" for host, port in addresses)}'
                    f' within {_SECONDS_TO_ANSWER} s.')


def is_on_this_machine(master: str) -> bool:
  """Whether workers run here, with our Python."""
  return master.startswith('local')


def _addresses(master: str) -> list[tuple[str, int]]:
  """Where the master listens; none where it is no server.

  Raises:
    UserError: it is no master's address.
  """
  if re.fullmatch(r'local(\[(\*|\d+)(, *\d+)?\])?|yarn'
                  r'|local-cluster\[ *\d+ *, *\d+ *, *\d+ *\]', master):
    return []
  match = re.fullmatch(r'spark://([^/]+)|k8s://(?:https?://)?([^/]+)/?', master)
  hosts = [host.rpartition(':') for host in (match[1] or match[2]).split(',')
           ] if match else []
  if hosts and all(host and port.isdigit() and int(port) < 65536
                   for host, _, port in hosts):
    return [(host, int(port)) for host, _, port in hosts]
  raise UserError(f'--master={master} is no master of Spark'
                  f'{did_you_mean(master, _MASTERS) or ";"} they are'
                  f' {", ".join(_MASTERS)}.')


def _answers(address: tuple[str, int]) -> bool:
  try:
    with socket.create_connection(address, timeout=_SECONDS_TO_ANSWER):
      return True
  except OSError:
    return False


def _check_java() -> None:
  wanted = 17 if int(metadata.version('pyspark').partition('.')[0]) >= 4 else 8
  cure = (f'install a Java of {wanted} or later (Debian: apt-get install'
          f' openjdk-{max(wanted, 17)}-jre-headless), or leave out --master, which needs'
          ' none')
  home = os.environ.get('JAVA_HOME')
  java = os.path.join(home, 'bin', 'java') if home else shutil.which('java')
  if java is None or not os.path.exists(java):
    place = f'JAVA_HOME is {home}, which has none' if home else 'there is none on PATH'
    raise UserError(f'Spark needs Java, and {place}; {cure}.')
  said = subprocess.run([java, '-version'], capture_output=True, text=True, check=False)
  found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
  if found is None or int(found[1]) < wanted:
    version = found[1] if found else 'unknown'
    raise UserError(f'The Java at {java} is of version {version}, too old for Spark;'
                    f' {cure}.')
