"""Two names swapped, with the C libraries of other systems."""

import ctypes
import os
import types

import pytest

from exporter.publishing import exchange


@pytest.fixture
def folders(tmp_path):
  for name in ('new', 'old'):
    (tmp_path / name).mkdir()
    (tmp_path / name / name).touch()
  return str(tmp_path / 'new'), str(tmp_path / 'old')


def _library(monkeypatch, **functions):
  monkeypatch.setattr(ctypes, 'CDLL',
                      lambda *args, **options: types.SimpleNamespace(**functions))


def _is_swapped(folders) -> bool:
  return [os.listdir(folder) for folder in folders] == [['old'], ['new']]


def test_macos_swaps_in_one_step(folders, monkeypatch):
  def renamex_np(one, other, flags):
    assert flags == 2  # RENAME_SWAP of its stdio.h.
    os.rename(one, one + b'-aside')
    os.rename(other, one)
    os.rename(one + b'-aside', other)
    return 0

  _library(monkeypatch, renamex_np=renamex_np)
  assert exchange._exchange_in_one_step(*folders)
  assert _is_swapped(folders)


@pytest.mark.parametrize('functions', [
    {'renamex_np': lambda *_: -1}, {'renameat2': lambda *_: -1}, {}])
def test_where_one_step_is_refused_three_renames_do_it(folders, monkeypatch, functions):
  _library(monkeypatch, **functions)
  exchange.exchange(*folders)
  assert _is_swapped(folders)
  assert sorted(os.listdir(os.path.dirname(folders[0]))) == ['new', 'old']
