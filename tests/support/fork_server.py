"""Runs each job in a process of its own, without paying its imports each time.

TensorFlow and object_detection take ten seconds to import, and an export must be
tested in a fresh process: as a command line with its exit status and its standard
error, killed, under another user, on a full disk. A server imports them once and
forks a child for every job. Nothing but imports has happened in it, TensorFlow's
threads have not started, and so a child is as good as a new process.

    server = ForkServer(folder, ['tensorflow'])
    server.run('load_jobs:call', 'exported/saved_model').value
"""

import dataclasses
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import traceback

_SUPPORT = pathlib.Path(__file__).resolve().parent
_ROOT = _SUPPORT.parents[1]


@dataclasses.dataclass(frozen=True)
class Ended:
  """A job that has ended.

  Attributes:
    status: exit status; negative where a signal ended it.
    stdout: what it printed.
    stderr: what it printed there; `''` where that went to a terminal.
    value: what its function returned, through JSON; None where it did not.
  """
  status: int
  stdout: str
  stderr: str
  value: object

  def ok(self) -> 'Ended':
    """Itself; fails the test that calls it if the job failed."""
    assert self.status == 0, f'exit status {self.status}:\n{self.stderr[-4000:]}'
    return self


class Running:
  """A job under way."""

  def __init__(self, server: 'ForkServer', pid: int, folder: pathlib.Path):
    self.pid = pid
    self._server = server
    self._folder = folder
    self._ended = None

  def wait(self) -> Ended:
    if self._ended is None:
      status = self._server.ask({'wait': self.pid})['status']
      self._ended = Ended(status, self._text('stdout'), self._text('stderr'),
                          json.loads(self._text('value') or 'null'))
    return self._ended

  def _text(self, name: str) -> str:
    path = self._folder / name
    return path.read_text(encoding='utf-8', errors='surrogateescape') if path.exists() else ''


class ForkServer:
  """A process that has imported some modules and forks on demand.

  Args:
    folder: for what the jobs print.
    preload: the modules.
  """

  def __init__(self, folder: pathlib.Path, preload: list[str]):
    self._folder = folder
    self._count = 0
    search = [str(_ROOT), str(_SUPPORT), os.environ.get('PYTHONPATH', '')]
    with open(folder / 'server_stderr', 'wb') as stderr:
      self._process = subprocess.Popen(
          [sys.executable, '-W', 'ignore', __file__, *preload],
          env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, search))},
          cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
          text=True)

  def start(self, function: str, *args, argv=None, stderr=None, uid=None,
            cwd=None, timeout=300) -> Running:
    """Starts a job.

    Args:
      function: `module:name`.
      *args: its arguments, which JSON can hold.
      argv: `sys.argv` of the process.
      stderr: a file or terminal for its standard error.
      uid: the user that it runs as, where not this one.
      cwd: its working directory, where not the repository's root.
      timeout: seconds after which the job is killed.
    """
    self._count += 1
    folder = self._folder / str(self._count)
    folder.mkdir()
    pid = self.ask({
        'function': function, 'args': [_plain(a) for a in args],
        'argv': argv or ['job'], 'folder': str(folder),
        'stderr': stderr, 'uid': uid, 'cwd': cwd and str(cwd),
        'timeout': timeout})['pid']
    return Running(self, pid, folder)

  def run(self, function: str, *args, **options) -> Ended:
    """Runs a job to its end; see `start`."""
    return self.start(function, *args, **options).wait()

  def ask(self, request: dict) -> dict:
    print(json.dumps(request), file=self._process.stdin, flush=True)
    answer = self._process.stdout.readline()
    assert answer, (self._folder / 'server_stderr').read_text()[-4000:]
    return json.loads(answer)

  def close(self):
    self._process.stdin.close()
    self._process.wait()


def _plain(value):
  return str(value) if isinstance(value, os.PathLike) else value


# The server.


def _serve(preload):
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)  # What imports print is no answer.
  for module in preload:
    importlib.import_module(module)
  for line in sys.stdin:
    request = json.loads(line)
    if 'wait' in request:
      _, status = os.waitpid(request['wait'], 0)
      answer = {'status': os.waitstatus_to_exitcode(status)}
    else:
      pid = os.fork()
      if not pid:
        _be_child(request)
      answer = {'pid': pid}
    print(json.dumps(answer), file=answers, flush=True)


def _be_child(request):
  signal.alarm(request['timeout'])
  folder = request['folder']
  _redirect(0, os.devnull, os.O_RDONLY)
  _redirect(1, os.path.join(folder, 'stdout'))
  _redirect(2, os.path.join(folder, 'stderr'))
  if request['stderr']:
    _redirect(2, request['stderr'])
  status = 0
  try:
    value = _call(request)
    with open(os.path.join(folder, 'value'), 'w', encoding='utf-8') as f:
      json.dump(value, f)
  except SystemExit as e:
    status = e.code if isinstance(e.code, int) else int(e.code is not None)
    if isinstance(e.code, str):
      print(e.code, file=sys.stderr)
  except BaseException:
    traceback.print_exc()
    status = 1
  finally:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _call(request):
  sys.argv = request['argv']
  module, _, name = request['function'].partition(':')
  function = getattr(importlib.import_module(module), name)
  if request['cwd']:
    os.chdir(request['cwd'])
  if request['uid'] is not None:
    os.setgroups([])
    os.setgid(request['uid'])
    os.setuid(request['uid'])
  return function(*request['args'])


def _redirect(descriptor, path, mode=os.O_WRONLY | os.O_CREAT | os.O_APPEND):
  opened = os.open(path, mode, 0o666)
  os.dup2(opened, descriptor)
  os.close(opened)


if __name__ == '__main__':
  _serve(sys.argv[1:])
