"""Patterns find the same images on a disk and behind a URL."""

import os

import pytest

from exporter.batch.image_sources import find_images
from exporter.errors import UserError

pytest.importorskip('pyarrow')

_FILES = ('a.jpg', 'b.JPEG', 'notes.txt', 'x/c.png', 'x/y/d.jpg', 'x/y/[e] 1.jpg')


@pytest.fixture
def folder(tmp_path):
  for name in _FILES:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b'')
  return tmp_path


@pytest.mark.parametrize('pattern, expected', [
    ('', ['a.jpg', 'b.JPEG', 'x/c.png', 'x/y/[e] 1.jpg', 'x/y/d.jpg']),
    ('/x/', ['x/c.png', 'x/y/[e] 1.jpg', 'x/y/d.jpg']),
    ('/a.jpg', ['a.jpg']),
    ('/notes.txt', ['notes.txt']),
    ('/*', ['a.jpg', 'b.JPEG', 'notes.txt']),
    ('/*.jpg', ['a.jpg']),
    ('/*/*', ['x/c.png']),
    ('/**/*.jpg', ['a.jpg', 'x/y/[e] 1.jpg', 'x/y/d.jpg']),
    ('/x/**/[a-d].*', ['x/c.png', 'x/y/d.jpg']),
    ('/x/?/d.jpg', ['x/y/d.jpg']),
])
@pytest.mark.parametrize('prefix', ['', 'file://'])
def test_finds(folder, prefix, pattern, expected):
  found = find_images([f'{prefix}{folder}{pattern}'])
  assert found == [f'{prefix}{folder}/{name}' for name in expected]


def test_several_patterns_give_each_image_once(folder, monkeypatch):
  monkeypatch.chdir(folder)
  assert find_images(['x/*', '*.jpg', 'x', 'a.jpg']) == [
      f'{folder}/{name}' for name in ('a.jpg', 'x/c.png', 'x/y/[e] 1.jpg', 'x/y/d.jpg')]


@pytest.mark.parametrize('pattern', ['none', '*.webp', 'x/**/none*'])
@pytest.mark.parametrize('prefix', ['', 'file://'])
def test_no_match_names_the_pattern(folder, prefix, pattern):
  with pytest.raises(UserError) as error:
    find_images([f'{folder}/a.jpg', f'{prefix}{folder}/{pattern}'])
  assert f'{folder}/{pattern}' in str(error.value)


def test_name_that_no_table_can_hold_is_told(folder):
  with open(os.path.join(os.fsencode(folder), b'\xff.jpg'), 'wb'):
    pass
  with pytest.raises(UserError) as error:
    find_images([str(folder)])
  assert r'\xff.jpg' in str(error.value)


@pytest.mark.parametrize('prefix', ['', 'file://'])
def test_folder_that_cannot_be_read_is_told(folder, monkeypatch, prefix):
  def closed(*unused_args):
    raise PermissionError(13, 'Permission denied')

  if prefix:
    pattern = f'file:///{"n" * 300}/*.jpg'  # Which no file system can even look up.
  else:
    pattern = str(folder)
    monkeypatch.setattr(os, 'scandir', closed)  # Root may read all.
  with pytest.raises(UserError, match='--images=.* cannot be read: .*name|denied'):
    find_images([pattern])
