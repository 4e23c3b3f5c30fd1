"""Without a flag of ours the export is what the stock exporter writes."""

import re

import numpy as np
import pytest

from exports import assert_same
from families import MASK_RCNN

pytestmark = [pytest.mark.slow, pytest.mark.both_stacks]


@pytest.fixture(scope='module')
def stock(exports):
  exports.start_exported(MASK_RCNN)  # Beside stock's.
  return exports.stock(MASK_RCNN)


@pytest.fixture(scope='module')
def ours(exports, stock):
  return exports.exported(MASK_RCNN)


@pytest.fixture(scope='module')
def loaded_stock(exports, stock):
  return exports.load_and_run(MASK_RCNN, stock)


@pytest.fixture(scope='module')
def loaded_ours(exports, ours):
  return exports.load_and_run(MASK_RCNN, ours)


def test_folders_and_files_are_the_same(stock, ours):
  def files(export):
    return sorted(str(path.relative_to(export)) for path in export.rglob('*'))
  assert files(ours) == files(stock)


def test_pipeline_config_is_the_same_to_the_byte(stock, ours):
  assert (ours / 'pipeline.config').read_bytes() == (
      stock / 'pipeline.config').read_bytes()


def test_checkpoint_is_the_same(stock, ours, loader_server, tmp_path):
  values = {}
  for export, name in ((stock, 'stock.npz'), (ours, 'ours.npz')):
    loader_server.run('load_jobs:checkpoint_entries',
                      export / 'checkpoint' / 'ckpt-0', tmp_path / name).ok()
    with np.load(tmp_path / name) as f:
      values[name] = {key: f[key] for key in f}
  assert_same(values['ours.npz'], values['stock.npz'])
  state = re.compile(r'^(?!.*timestamp).*$', re.M)
  assert (state.findall((ours / 'checkpoint' / 'checkpoint').read_text())
          == state.findall((stock / 'checkpoint' / 'checkpoint').read_text()))


def test_signature_is_the_same(loaded_stock, loaded_ours):
  assert loaded_ours.signatures == loaded_stock.signatures
  assert loaded_ours.inputs == loaded_stock.inputs
  assert loaded_ours.outputs == loaded_stock.outputs


def test_outputs_are_the_same_to_the_bit(loaded_stock, loaded_ours):
  assert len(loaded_stock.signed) > 20
  assert_same(loaded_ours.signed, loaded_stock.signed)


def test_loaded_object_is_callable_as_stocks(loaded_stock, loaded_ours):
  assert_same(loaded_ours.called, loaded_stock.called)


def test_selected_export_takes_its_image_by_name_too(exports, loaded_stock):
  selected = exports.load_and_run(MASK_RCNN, exports.selected(MASK_RCNN))
  assert loaded_stock.called_by_name and selected.called_by_name


def test_saved_variables_are_the_same(stock, ours, loader_server):
  entries = [
      loader_server.run('load_jobs:checkpoint_entries', export / 'saved_model' /
                        'variables' / 'variables').ok().value
      for export in (stock, ours)]
  assert entries[0] == entries[1]


def test_library_has_upstreams_names_and_calls(exporter_server):
  stock = exporter_server.run(
      'interface_jobs:interface', 'object_detection.exporter_lib_v2').ok().value
  ours = exporter_server.run(
      'interface_jobs:interface', 'exporter.exporter_lib_v2').ok().value
  assert not stock.keys() - ours.keys()
  for name, parameters in stock.items():
    if parameters is not None:
      assert ours[name][:len(parameters)] == parameters, name
    # What ours takes beyond that, nobody has to give.
    for extra in (ours[name] or [])[len(parameters or []):]:
      assert extra[2] != "<class 'inspect._empty'>", name


@pytest.mark.parametrize('way', ['import_by_path', 'import_from_file'])
def test_library_is_importable_by_its_path(exporter_server, way):
  exporter_server.run(f'interface_jobs:{way}').ok()


def test_flags_have_upstreams_names_types_and_defaults(exporter_server):
  stock = exporter_server.run(
      'interface_jobs:flags_of', 'object_detection.exporter_main_v2').ok().value
  ours = exporter_server.run(
      'interface_jobs:flags_of', 'exporter.exporter_main_v2').ok().value
  assert len(stock) == 9
  assert {name: ours[name] for name in stock} == stock
