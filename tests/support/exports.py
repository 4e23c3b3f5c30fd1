"""Exports for the tests, each made once a session, when it is first asked for."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import numpy as np

from families import Family
from fork_server import ForkServer, Running


class Exports:
  """Makes and keeps exports, two at a time.

  Args:
    folder: where they go.
    exporter: a server that has imported both exporters.
    loader: a server that has imported TensorFlow alone.
  """

  def __init__(self, folder: pathlib.Path, exporter: ForkServer,
               loader: ForkServer):
    self._folder = folder
    self._exporter = exporter
    self._loader = loader
    self._jobs: dict[tuple, Running] = {}
    self._count = 0

  def folder(self, family: Family) -> pathlib.Path:
    folder = self._folder / f'{family.name}-{family.input_type}'
    folder.mkdir(exist_ok=True)
    return folder

  @functools.cache
  def checkpoint(self, name: str) -> pathlib.Path:
    """A training directory for the pipeline of that name."""
    folder = self._folder / f'{name}-training'
    self._exporter.run('export_jobs:write_checkpoint', name, folder).ok()
    return folder

  def inputs(self, family: Family) -> pathlib.Path:
    """What stock was run on."""
    self.stock_signature(family)
    return self.folder(family) / 'stock' / 'inputs.npz'

  def stock_signature(self, family: Family) -> dict:
    """Stock's inputs and outputs: [dtype, shape] by name."""
    return self._run_stock(family).wait().ok().value

  def stock_outputs(self, family: Family) -> dict[str, np.ndarray]:
    self.stock_signature(family)
    return _arrays(self.folder(family) / 'stock' / 'outputs.npz')

  def unselected_signature(self, family: Family) -> dict:
    """Of our export without a selection, as `stock_signature`."""
    self._start_selected(family)  # Keeps the other processor busy.
    self.stock_signature(family)
    folder = self.folder(family) / 'unselected'
    folder.mkdir(exist_ok=True)
    return self._start(
        self._exporter, 'export_jobs:run_ours', _fields(family),
        self.checkpoint(family.name), self.folder(family) / 'stock',
        folder).wait().ok().value

  def unselected_outputs(self, family: Family) -> dict[str, np.ndarray]:
    self.unselected_signature(family)
    return _arrays(self.folder(family) / 'unselected' / 'outputs.npz')

  def selected(self, family: Family) -> pathlib.Path:
    """Our export with the family's selection."""
    self._run_stock(family)  # Keeps the other processor busy.
    self._start_selected(family).wait().ok()
    return self.folder(family) / 'selected'

  def exported(self, family: Family, allow: str | None = None,
               deny: str | None = None) -> pathlib.Path:
    """Our export with another selection, or none."""
    job, target = self.start_exported(family, allow, deny)
    job.wait().ok()
    return target

  @functools.cache
  def start_exported(self, family: Family, allow: str | None = None,
                     deny: str | None = None) -> tuple[Running, pathlib.Path]:
    """Starts what `exported` waits for: the job, and where its export will be."""
    self._count += 1
    target = self.folder(family) / f'exported-{self._count}'
    job = self._exporter.start(
        'export_jobs:export_ours', _fields(family), self.checkpoint(family.name),
        target, allow, deny)
    return job, target

  def stock(self, family: Family) -> pathlib.Path:
    """Stock's export, in full."""
    target = self.folder(family) / 'stock_export'
    self._start(self._exporter, 'export_jobs:export_stock', _fields(family),
                self.checkpoint(family.name), target).wait().ok()
    return target

  def load_and_run(self, family: Family, export: pathlib.Path) -> Loaded:
    """Loads an export in a fresh process and runs it on `inputs`."""
    outputs = export.parent / f'{export.name}-loaded.npz'
    facts = self._start(
        self._loader, 'load_jobs:load_and_run', export / 'saved_model',
        self.inputs(family), outputs).wait().ok().value
    arrays = _arrays(outputs)
    return Loaded(
        facts['inputs'], facts['outputs'], facts['signatures'],
        facts['called_by_name'],
        *({key.partition('/')[2]: value for key, value in arrays.items()
           if key.startswith(way)} for way in ('call/', 'signature/')))

  def _run_stock(self, family: Family) -> Running:
    folder = self.folder(family) / 'stock'
    folder.mkdir(exist_ok=True)
    return self._start(self._exporter, 'export_jobs:run_stock', _fields(family),
                       self.checkpoint(family.name), folder)

  def _start_selected(self, family: Family) -> Running:
    return self._start(
        self._exporter, 'export_jobs:export_ours', _fields(family),
        self.checkpoint(family.name), self.folder(family) / 'selected',
        family.output_keys, family.exclude_output_keys)

  def _start(self, server: ForkServer, function: str, *args) -> Running:
    key = (function, *map(str, args))
    if key not in self._jobs:
      self._jobs[key] = server.start(function, *args)
    return self._jobs[key]


@dataclasses.dataclass(frozen=True)
class Loaded:
  """What `tf.saved_model.load` sees of an export.

  Attributes:
    inputs: [dtype, shape] by name, of `serving_default`.
    outputs: the same.
    signatures: names.
    called_by_name: whether the object takes its inputs by their names.
    called: what the loaded object returns.
    signed: what `serving_default` returns.
  """
  inputs: dict
  outputs: dict
  signatures: list[str]
  called_by_name: bool
  called: dict[str, np.ndarray]
  signed: dict[str, np.ndarray]


def assert_same(found: dict, expected: dict):
  """Fails unless both have the same keys and bit-identical arrays."""
  assert sorted(found) == sorted(expected)
  differing = [key for key in expected if not _identical(found[key], expected[key])]
  assert not differing


def _identical(one: np.ndarray, other: np.ndarray) -> bool:
  return (one.dtype == other.dtype and one.shape == other.shape
          and one.tobytes() == other.tobytes())


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  with np.load(path) as f:
    return {name: f[name] for name in f}


def _fields(family: Family) -> dict:
  return dataclasses.asdict(family)
