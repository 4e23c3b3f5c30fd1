"""What can go wrong in an export: one sentence, exit status 1, nothing left."""

import os
import pathlib
import random
import re
import shutil
import signal
import tempfile
import time

import pytest

from families import CENTERNET, CONTEXT_RCNN, CONTEXT_SHAPES, SSD

pytestmark = pytest.mark.slow

_MAIN = 'exporter.exporter_main_v2:run'
_NOBODY = 65534


@pytest.fixture
def training(exports, tmp_path) -> pathlib.Path:
  """A training directory that a test may damage."""
  return shutil.copytree(exports.checkpoint(SSD.name), tmp_path / 'training')


@pytest.fixture
def pipeline(tmp_path) -> pathlib.Path:
  """A pipeline config that a test may damage."""
  return pathlib.Path(shutil.copy(SSD.pipeline, tmp_path / 'pipeline.config'))


def _argv(pipeline, training, target, *flags):
  return ['exporter_main_v2', f'--pipeline_config_path={pipeline}',
          f'--trained_checkpoint_dir={training}', f'--output_directory={target}',
          *flags]


@pytest.fixture
def export(exporter_server, pipeline, training, tmp_path):
  """Exports on the command line."""
  def export(*flags, pipeline=pipeline, training=training,
             target=tmp_path / 'parent' / 'exported', **options):
    return exporter_server.run(
        _MAIN, argv=_argv(pipeline, training, target, *flags), **options)
  return export


@pytest.fixture
def old_export(tmp_path) -> pathlib.Path:
  """What stands in the place of the export, and must not be touched."""
  parent = tmp_path / 'parent'
  for name in ('saved_model/saved_model.pb', 'checkpoint/checkpoint',
               'pipeline.config'):
    (parent / 'exported' / name).parent.mkdir(parents=True, exist_ok=True)
    (parent / 'exported' / name).write_text('old')
  return parent


def _contents(folder: pathlib.Path) -> dict:
  return {str(path.relative_to(folder)): path.is_file() and path.read_bytes()
          for path in folder.rglob('*')}


def _assert_clear_error(ended, says: str):
  assert ended.status == 1
  assert 'Traceback' not in ended.stderr
  assert ended.stdout == ''
  messages = re.findall(r'^exporter_main_v2: (.*)$', ended.stderr, re.M)
  assert len(messages) == 1, ended.stderr[-3000:]
  assert ended.stderr.endswith(messages[0] + '\n'), ended.stderr[-3000:]
  assert re.search(says, messages[0]), messages[0]


def _missing(training):
  shutil.rmtree(training)


def _empty(training):
  for path in training.iterdir():
    path.unlink()


def _a_file(training):
  shutil.rmtree(training)
  training.write_text('')


def _without_state(training):
  (training / 'checkpoint').unlink()


def _damaged_state(training):
  (training / 'checkpoint').write_text('{')


def _state_of_another(training):
  (training / 'checkpoint').write_text('model_checkpoint_path: "ckpt-9"')


def _without_data(training):
  next(training.glob('*.data-*')).unlink()


def _truncated_data(training):
  data = next(training.glob('*.data-*'))
  data.write_bytes(data.read_bytes()[:len(data.read_bytes()) // 2])


def _damaged_data(training):
  data = next(training.glob('*.data-*'))
  content = bytearray(data.read_bytes())
  content[len(content) // 4:3 * len(content) // 4] = b'x' * (
      3 * len(content) // 4 - len(content) // 4)
  data.write_bytes(content)


def _truncated_index(training):
  index = training / 'ckpt-0.index'
  index.write_bytes(index.read_bytes()[:len(index.read_bytes()) // 2])


def _garbage_index(training):
  (training / 'ckpt-0.index').write_bytes(b'garbage' * 100)


@pytest.mark.parametrize('damage, says', [
    (_missing, 'training.* does not exist'),
    (_empty, 'no checkpoint in'),
    (_a_file, 'training.* is not a folder'),
    (_without_state, "ckpt-0, but no file named 'checkpoint'"),
    (_damaged_state, 'training'),
    (_state_of_another, 'ckpt-9.index exists'),
    (_without_data, 'ckpt-0'),
    (_truncated_data, 'ckpt-0.* cannot be read'),
    (_damaged_data, 'ckpt-0.* cannot be read'),
    (_truncated_index, 'ckpt-0.* cannot be read'),
    (_garbage_index, 'ckpt-0.* cannot be read'),
], ids=lambda value: getattr(value, '__name__', None))
def test_checkpoint(export, training, old_export, damage, says):
  damage(training)
  before = _contents(old_export)
  _assert_clear_error(export('--output_keys=detection_boxes'), says)
  assert _contents(old_export) == before


@pytest.mark.parametrize('flags', [(), ('--output_keys=detection_boxes',)],
                         ids=['as stock', 'selected'])
def test_checkpoint_of_another_architecture(export, exports, old_export, flags):
  before = _contents(old_export)
  _assert_clear_error(export(*flags, training=exports.checkpoint(CENTERNET.name)),
                      r'does not fit the model .*: it holds 0 of the model.s \d+'
                      r' variables; the first that is missing is \w+/')
  assert _contents(old_export) == before


@pytest.mark.parametrize('flags', [(), ('--output_keys=detection_boxes',)],
                         ids=['as stock', 'selected'])
def test_checkpoint_of_another_number_of_classes(export, old_export, flags):
  before = _contents(old_export)
  _assert_clear_error(
      export('--config_override=model { ssd { num_classes: 7 } }', *flags),
      r'does not fit the model .*: BoxPredictor/ConvolutionalClassHead_\d/\S+ has the'
      r' shape \[.*\b(15|20)\] in the checkpoint and \[.*\] in the model, which follows'
      ' from num_classes in the config')
  assert _contents(old_export) == before


@pytest.mark.parametrize('model, says', [
    ('feature_extractor { depth_multiplier: 0.5 }',
     r'Conv1/kernel has the shape \[3, 3, 3, 8\] .* \[3, 3, 3, 16\] .*depth_multiplier'),
    ('image_resizer { fixed_shape_resizer { convert_to_grayscale: true } }',
     'cannot be run: ValueError: Input 0 of layer "?Conv1"? is incompatible'),
    ('post_processing { batch_non_max_suppression {'
     ' use_combined_nms: true change_coordinate_frame: true } }',
     'cannot be run: ValueError: change_coordinate_frame .* is not supported'),
], ids=['depth', 'grayscale', 'combined NMS'])
def test_config_that_is_built_and_does_not_run(export, model, says):
  """Told by the first trace: AutoGraph would not help."""
  ended = export(f'--config_override=model {{ ssd {{ {model} }} }}',
                 '--output_keys=detection_boxes', '--verbosity=0')
  _assert_clear_error(ended, says)
  assert 'with AutoGraph' not in ended.stderr


def test_checkpoint_from_before_the_first_step(export, exporter_server, training):
  exporter_server.run('checkpoint_jobs:write_without_model', training).ok()
  _assert_clear_error(export(), 'holds no variable of a detection model')


def _no_file(pipeline):
  pipeline.unlink()


def _folder(pipeline):
  pipeline.unlink()
  pipeline.mkdir()


def _binary(pipeline):
  pipeline.write_bytes(bytes(range(256)))


def _misspelt(pipeline):
  pipeline.write_text(pipeline.read_text().replace('num_classes', 'num_class'))


def _cut_short(pipeline):
  pipeline.write_text(pipeline.read_text()[:400])


def _no_model(pipeline):
  pipeline.write_text('train_config { batch_size: 1 }')


def _empty_file(pipeline):
  pipeline.write_text('')


def _unknown_extractor(pipeline):
  pipeline.write_text(
      pipeline.read_text().replace('ssd_mobilenet_v2_keras', 'ssd_mobilenot'))


def _incomplete(pipeline):
  pipeline.write_text('model { ssd { num_classes: 4 } }')


@pytest.mark.parametrize('damage, says', [
    (_no_file, 'pipeline.config cannot be read'),
    (_folder, 'pipeline.config'),
    (_binary, 'pipeline.config cannot be read'),
    (_misspelt, "pipeline.config, line 5: Ssd has no field 'num_class'; did you mean"
                " 'num_classes'"),
    (_cut_short, 'pipeline.config is not a valid'),
    (_no_model, 'pipeline.config describes no model'),
    (_empty_file, 'pipeline.config describes no model'),
    (_unknown_extractor, 'cannot be built.*ssd_mobilenot'),
    (_incomplete, 'cannot be built'),
], ids=lambda value: getattr(value, '__name__', None))
def test_pipeline_config(export, pipeline, old_export, damage, says):
  damage(pipeline)
  before = _contents(old_export)
  _assert_clear_error(export(), says)
  assert _contents(old_export) == before


def test_label_map_that_is_not_there(export, exports, tmp_path):
  config = tmp_path / 'centernet.config'
  config.write_text(pathlib.Path(CENTERNET.pipeline).read_text().replace(
      'configs/pipelines/person_keypoints', 'nowhere'))
  _assert_clear_error(
      export(pipeline=config, training=exports.checkpoint(CENTERNET.name)),
      'nowhere.pbtxt')


def test_label_map_that_lacks_the_class(export, exports, tmp_path):
  (tmp_path / 'cats.pbtxt').write_text('item { id: 1 name: "cat" keypoints { id: 0 } }')
  _assert_clear_error(
      export('--config_override=model { center_net { keypoint_label_map_path:'
             f' "{tmp_path}/cats.pbtxt" }} }}', pipeline=CENTERNET.pipeline,
             training=exports.checkpoint(CENTERNET.name)),
      "cats.pbtxt has no class 'person' with keypoints, .* Those with keypoints are cat")


@pytest.mark.parametrize('flags, says', [
    (['--config_override=model { ssd { num_classes: many } }'],
     'config override .* is not a valid'),
    (['--config_override=model { yolo {} }'], 'config override .*yolo'),
    (['--output_keys=detection_mask'], "'detection_mask' is not an output"),
    (['--output_keys=keypoint_*'], "'keypoint_\\*' matches no output"),
    (['--exclude_output_keys=detection_maskz'], "'detection_maskz'"),
    (['--output_keys=detection_masks'], 'Models that have it: Mask R-CNN'),
    (['--output_keys=box_encodings'], "'box_encodings' is a tensor of the model's predict"),
    (['--output_keys=raw_*', '--exclude_output_keys=raw_*'], 'No output is left'),
    (['--input_type=image_and_boxes_tensor', '--output_keys=detection_masks'],
     'predict_masks_from_boxes'),
    (['--input_type=tf_example', '--use_side_inputs', '--side_input_shapes=1',
      '--side_input_types=float', '--side_input_names=a'],
     'need the input type image_tensor'),
    (['--use_side_inputs', f'--side_input_shapes={CONTEXT_SHAPES}',
      '--side_input_types=float,integer', '--side_input_names=a,b'], 'side input'),
], ids=lambda value: value[0][:40] if isinstance(value, list) else None)
def test_flags_that_do_not_fit_the_model(export, old_export, flags, says):
  before = _contents(old_export)
  _assert_clear_error(export(*flags), says)
  assert _contents(old_export) == before


@pytest.mark.parametrize('flags, says', [
    ([], r'missing \d+ required'),
    (['--use_side_inputs', f'--side_input_shapes={CONTEXT_SHAPES}',
      '--side_input_types=float,integer',
      '--side_input_names=context_feature,valid_context_size'],
     "'?context_feature"),
], ids=['none', 'a mistyped name'])
@pytest.mark.parametrize('selection', [[], ['--output_keys=detection_boxes']],
                         ids=['all', 'selected'])
def test_side_inputs_that_the_model_needs(export, exports, old_export, flags, says,
                                          selection):
  before = _contents(old_export)
  ended = export(*flags, *selection, pipeline=CONTEXT_RCNN.pipeline,
                 training=exports.checkpoint(CONTEXT_RCNN.name))
  _assert_clear_error(ended, says)
  for word in (*CONTEXT_RCNN.side_inputs[2].split(','), '--side_input_names'):
    assert word in ended.stderr
  assert _contents(old_export) == before


def test_unknown_key_lists_the_models_and_names_the_nearest(export):
  ended = export('--output_keys=detection_box')
  _assert_clear_error(ended, "did you mean 'detection_boxes'")
  for key in ('num_detections', 'raw_detection_scores', 'detection_multiclass_scores'):
    assert key in ended.stderr


def test_nothing_is_made_where_nothing_was(export, tmp_path):
  _assert_clear_error(export('--output_keys=detection_mask'), 'is not an output')
  assert list((tmp_path / 'parent').iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason='changes to another user')
def test_output_directory_that_is_not_writable(export):
  # Not under pytest's own folder, which no other user can enter.
  folder = pathlib.Path(tempfile.mkdtemp(prefix='closed-'))
  folder.chmod(0o755)
  try:
    _assert_clear_error(export(target=folder / 'exported', uid=_NOBODY),
                        'no permission to write')
    assert list(folder.iterdir()) == []
  finally:
    folder.rmdir()


# Room for nothing; for a part of the checkpoint; for it alone; for nearly all.
@pytest.mark.parametrize('size', ['16k', '900k', '1600k', '3000k'])
def test_full_disk(export, small_disk, size):
  disk = small_disk(size)
  _assert_clear_error(export('--output_keys=*', target=disk / 'exported'),
                      '[Nn]o space left')
  assert list(disk.iterdir()) == []


def test_full_disk_as_stock(export, small_disk):
  disk = small_disk('3000k')
  (disk / 'exported').mkdir()
  (disk / 'exported' / 'pipeline.config').write_text('old')
  _assert_clear_error(export(target=disk / 'exported'), '[Nn]o space left')
  assert _contents(disk) == {'exported': False, 'exported/pipeline.config': b'old'}


def test_killed_at_any_moment_the_old_export_stays(
    export, exporter_server, pipeline, training, tmp_path):
  parent = tmp_path / 'parent'
  target = parent / 'exported'
  keys = '--output_keys=detection_boxes'
  assert export(keys).status == 0
  before = _contents(target)

  def staged(part):
    """Whether the run under way has come to write that part."""
    return lambda left: any(path.parts[len(parent.parts)] not in left
                            for path in parent.glob(f'.exported.incomplete-*/{part}'))

  def after(seconds):
    end = time.monotonic() + seconds
    return lambda left: time.monotonic() > end

  moments = [staged('.'), staged('checkpoint/*.data-*'), staged('saved_model'),
             staged('saved_model/variables/variables.index')]
  moments += [random.uniform(0.5, 6) for _ in range(2)]
  for moment in moments:
    reached = after(moment) if isinstance(moment, float) else moment
    left = {path.name for path in parent.iterdir()}
    job = exporter_server.start(
        _MAIN, argv=_argv(pipeline, training, target, keys))
    while not reached(left):
      time.sleep(0.002)
    os.kill(job.pid, signal.SIGKILL)
    status = job.wait().status
    if status == 0:  # It was quicker than the kill.
      before = _contents(target)
    assert status in (0, -signal.SIGKILL)
    assert _contents(target) == before
  assert export(keys).status == 0
  assert [path.name for path in parent.iterdir()] == ['exported']
  assert _contents(target).keys() == before.keys()
