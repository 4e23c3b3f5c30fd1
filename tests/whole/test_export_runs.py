"""Exports as people run them: listing, checking, exporting again, watching."""

import os
import pty
import re
import shutil
import threading

import numpy as np
import pytest

from exports import assert_same
from families import CONTEXT_NAMES, CONTEXT_RCNN, CONTEXT_SHAPES, MASK_RCNN, SSD

pytestmark = pytest.mark.slow

_MAIN = 'exporter.exporter_main_v2:run'


@pytest.fixture
def run(exporter_server):
  """Runs the command line."""
  def run(*flags, **options):
    return exporter_server.run(
        _MAIN, argv=['exporter_main_v2', *map(str, flags)], **options)
  return run


# --list_output_keys.


def _rows(stdout: str) -> list[list[str]]:
  """The cells of a table, without its frame."""
  lines = [line for line in stdout.splitlines() if re.search(r'\w', line)]
  return [[cell.strip() for cell in re.split(r'[│┃|]', line)[1:-1]]
          for line in lines]


def _bytes(cell: str) -> int:
  return int(cell.replace(',', ''))


@pytest.mark.both_stacks
def test_listing_agrees_with_what_the_model_returns(run, exports, tmp_path):
  ended = run(f'--pipeline_config_path={MASK_RCNN.pipeline}', '--list_output_keys',
              cwd=tmp_path).ok()
  _, *rows, total = _rows(ended.stdout)
  outputs = exports.stock_signature(MASK_RCNN)['outputs']
  assert {row[0]: row[1] for row in rows} == {
      key: dtype for key, (dtype, _) in outputs.items()}
  for key, _, shape, size, *_ in rows:
    shape = [int(n) for n in re.findall(r'\d+', shape)]
    assert _bytes(size) == 4 * np.prod(shape, dtype=int)
    static = outputs[key][1]
    assert [a for a, b in zip(shape, static) if b] == [b for b in static if b]
  sizes = [_bytes(row[3]) for row in rows]
  assert sizes == sorted(sizes, reverse=True)
  assert total[0] == 'sum' and _bytes(total[3]) == sum(sizes)
  assert list(tmp_path.iterdir()) == []


def test_listing_marks_what_a_selection_keeps(run):
  ended = run(f'--pipeline_config_path={SSD.pipeline}', '--list_output_keys',
              '--output_keys=detection_*',
              '--exclude_output_keys=detection_multiclass_scores').ok()
  _, *rows, total = _rows(ended.stdout)
  kept = {row[0] for row in rows if row[4] == 'yes'}
  assert kept == {'detection_boxes', 'detection_scores', 'detection_classes',
                  'detection_anchor_indices'}
  assert _bytes(total[4]) == sum(_bytes(row[3]) for row in rows if row[0] in kept)


@pytest.mark.parametrize('flags', [
    (f'--pipeline_config_path={SSD.pipeline}',
     '--input_type=encoded_image_string_tensor'),
    (f'--pipeline_config_path={SSD.pipeline}', '--input_type=tf_example'),
    (f'--pipeline_config_path={CONTEXT_RCNN.pipeline}', '--use_side_inputs',
     f'--side_input_shapes={CONTEXT_SHAPES}', '--side_input_types=float,integer',
     f'--side_input_names={CONTEXT_NAMES}'),
], ids=['encoded_image_string_tensor', 'tf_example', 'side inputs'])
def test_listing_of_other_inputs(run, flags):
  ended = run(*flags, '--list_output_keys').ok()
  rows = {row[0]: row for row in _rows(ended.stdout)}
  assert rows['detection_boxes'][1:4] == ['float32', '[1, 10, 4]', '160']


def test_listing_with_a_wrong_key_is_an_error(run):
  ended = run(f'--pipeline_config_path={SSD.pipeline}', '--list_output_keys',
              '--output_keys=detection_box')
  assert ended.status == 1 and ended.stdout == ''
  assert "did you mean 'detection_boxes'" in ended.stderr


# Exporting again.


@pytest.fixture(scope='module')
def first(exports, exporter_server, tmp_path_factory):
  """An export on the command line: its folder, and what the run wrote."""
  target = tmp_path_factory.mktemp('runs') / 'exported'
  ended = exporter_server.run(_MAIN, argv=[
      'exporter_main_v2', f'--pipeline_config_path={SSD.pipeline}',
      f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
      f'--output_directory={target}', '--output_keys=detection_boxes',
      '--verify']).ok()
  return target, ended


def _flags(export, target, *flags):
  """Of an export made from another one."""
  return (f'--pipeline_config_path={export}/pipeline.config',
          f'--trained_checkpoint_dir={export}/checkpoint',
          f'--output_directory={target}', *flags)


@pytest.fixture
def again(first, tmp_path):
  """A copy of the first export."""
  return shutil.copytree(first[0], tmp_path / 'exported')


def test_second_export_keeps_strange_files(
    exports, run, first, again, tmp_path):
  (again / 'saved_model' / 'strange').write_text('not of this export')
  (again / 'label_map.pbtxt').write_text('mine')
  (again / 'notes').mkdir()
  (again / 'notes' / 'deep.txt').write_text('mine')
  run(*_flags(first[0], again, '--output_keys=detection_scores')).ok()
  assert (again / 'label_map.pbtxt').read_text() == 'mine'
  assert (again / 'notes' / 'deep.txt').read_text() == 'mine'
  assert (again / 'saved_model' / 'strange').read_text() == 'not of this export'
  loaded = exports.load_and_run(SSD, again)
  stock = exports.stock_outputs(SSD)
  assert_same(loaded.signed, {'detection_scores': stock['detection_scores']})
  assert [path.name for path in tmp_path.iterdir()
          if path.name.startswith('.')] == []


def test_profile_and_flags_work_together(exports, run, first, tmp_path):
  profile = tmp_path / 'profile.yaml'
  profile.write_text('output_keys: ["detection_*"]\n'
                     'exclude_output_keys: ["*_boxes"]\n')
  run(*_flags(first[0], tmp_path / 'exported', f'--output_config={profile}',
              '--exclude_output_keys=*_scores,*_indices')).ok()
  loaded = exports.load_and_run(SSD, tmp_path / 'exported')
  assert sorted(loaded.signed) == ['detection_boxes', 'detection_classes']


def test_config_override_reaches_model_and_pipeline_config(
    exports, run, first, tmp_path):
  run(*_flags(
      first[0], tmp_path / 'exported', '--output_keys=detection_boxes',
      '--config_override=model { ssd { post_processing {'
      ' batch_non_max_suppression { max_detections_per_class: 1'
      ' max_total_detections: 3 } } } }')).ok()
  loaded = exports.load_and_run(SSD, tmp_path / 'exported')
  assert loaded.outputs == {'detection_boxes': ['float32', [1, 3, 4]]}
  assert 'max_total_detections: 3' in (
      tmp_path / 'exported' / 'pipeline.config').read_text()


# Watching.

_STAGES = ['import', 'build', 'restore', 'trace', 'checkpoint', 'save', 'check', 'verify']


def test_log_has_one_line_for_each_stage(first):
  log = first[1].stderr
  assert re.findall(r'^(?:.*\] )?(\w+): \d+\.\d s$', log, re.M) == _STAGES
  assert not re.search(r'\w+ \.\.\.$', log, re.M)
  assert '\x1b' not in log


def test_terminal_shows_the_stages_live(exporter_server, first, tmp_path):
  shown = []
  ours, its = pty.openpty()

  def read():
    try:
      while chunk := os.read(ours, 4096):
        shown.append(chunk)
    except OSError:  # Linux says so at the end of what a closed terminal showed.
      pass

  reader = threading.Thread(target=read)
  reader.start()
  ended = exporter_server.run(
      _MAIN, stderr=os.ttyname(its), argv=['exporter_main_v2', *_flags(
          first[0], tmp_path / 'exported', '--output_keys=detection_boxes')])
  os.close(its)
  reader.join()
  os.close(ours)
  text = b''.join(shown).decode()
  assert ended.status == 0, text
  for stage in _STAGES[:-1]:
    assert re.search(rf'✓[^\n]*{stage}[^\n]*\d:\d\d:\d\d', text), stage
  assert len(re.findall(r'\btrace\b', text)) > 2  # Drawn again while it runs.


# Models that cannot be traced without AutoGraph.


@pytest.mark.both_stacks
def test_model_that_needs_autograph(
    exporter_server, loader_server, tmp_path):
  exporter_server.run('autograph_jobs:export', tmp_path).ok()
  loaded = {}
  for name in ('stock', 'selected'):
    loader_server.run(
        'load_jobs:load_and_run', tmp_path / name / 'saved_model',
        tmp_path / 'inputs.npz', tmp_path / f'{name}.npz').ok()
    with np.load(tmp_path / f'{name}.npz') as f:
      loaded[name] = {key: f[key] for key in f if key.startswith('call/')}
  assert len(loaded['selected']) == 3
  assert_same(loaded['selected'],
              {key: loaded['stock'][key] for key in loaded['selected']})
  facts = loader_server.run(
      'graph_walk:walk', tmp_path / 'selected' / 'saved_model').ok().value
  assert facts['variables'] == [[3]] and facts['unreached_nodes'] == []


# The checks of what was written.


def test_checks_tell_a_right_save_from_a_wrong_one(exporter_server, tmp_path):
  exporter_server.run('check_jobs:check', tmp_path).ok()


def test_checks_read_the_value_of_every_variable(exporter_server, tmp_path):
  exporter_server.run('check_jobs:check_variables', tmp_path).ok()
