"""Progress is a bar on a terminal and lines elsewhere."""

import io
import os
import pty
import re
import select

from exporter.batch.progress import Progress


def test_lines_hold_what_is_done_and_what_is_left():
  stream = io.StringIO()
  with Progress(2000, stream, seconds_between_lines=0) as progress:
    progress.update(0, 0)  # Nothing to say yet.
    for i in range(1500):
      progress.advance(i == 3)
  lines = stream.getvalue().splitlines()
  assert len(lines) == 1500
  assert re.fullmatch(r'1,500 of 2,000 images, [\d.]+ images/s, 1 errors, '
                      r'\d+:\d\d:\d\d left', lines[-1])
  assert ' error' not in lines[2]
  assert progress.done == 1500 and progress.errors == 1


def test_few_lines_where_images_are_quick():
  stream = io.StringIO()
  with Progress(100, stream) as progress:
    for _ in range(100):
      progress.advance()
  assert stream.getvalue() == ''


def test_terminal_has_a_bar(monkeypatch):
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', '100')
  reading, writing = pty.openpty()
  with open(writing, 'w') as stream:
    with Progress(20, stream) as progress:
      for _ in range(7):
        progress.advance()
    shown = ''
    while select.select([reading], [], [], 1)[0]:  # It comes in pieces.
      shown += os.read(reading, 1 << 16).decode()
  os.close(reading)
  assert '7/20' in shown and 'images/s' in shown
