"""Each option of each command with each kind of wrong value: one sentence that says it.

All are refused before TensorFlow is imported, which a trap in its place proves.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

import pytest
from PIL import Image
import yaml

from fork_server import ForkServer
from traps import set_traps

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_NOBODY = 65534

# Wrong values by what an option wants. `{}` is a folder with the files below.
_MISSING, _EMPTY = '{}/nowhere/none', ''
_FILE = (_MISSING, _EMPTY, '{}/folder', '{}/unreadable')
_TEXT = (*_FILE, '{}/rubbish', '{}/latin')
_IMAGE = (*_FILE, '{}/rubbish', '{}/latin')
_MODEL = (_MISSING, _EMPTY, '{}/rubbish', '{}/folder', '{}/damaged', '{}/unreadable_model')
_INTEGER = (_EMPTY, 'many', '1.5', '-1')
_FLOAT = (_EMPTY, 'many', '-1', 'nan', 'inf')
_SHARE = (*_FLOAT, '1.5', '1000000')
_CHOICE = (_EMPTY, 'unheard_of', '7')
_NAMES = (_EMPTY, 'one', 'one:', ':two', 'one:t w o', 'one:two,one:three')

_MODEL_FLAG = {'saved_model_dir': '{}/model'}
# Command -> what makes it complete, and what each of its options wants.
_COMMANDS = {
    'exporter_main_v2': (
        {'pipeline_config_path': 'p', 'trained_checkpoint_dir': '{}/folder',
         'output_directory': '{}/out'},
        {'input_type': _CHOICE, 'label_map_path': _TEXT, 'warmup_image': _IMAGE,
         'output_config': _TEXT, 'output_keys': (_EMPTY, ','),
         'exclude_output_keys': (_EMPTY, ', ,'), 'min_score': _SHARE,
         'mask_threshold': _SHARE, 'max_detections': (*_INTEGER, '0'),
         'output_dtypes': (_EMPTY, 'detection_boxes', 'detection_boxes=float7'),
         'rename': (*_NAMES, 'one:class', 'one:self', 'one:a.b'),
         'rename_signature': (*_NAMES, 'one:__two', 'unheard_of:two'),
         'add_signature': (_EMPTY, 'one', 'one:unheard_of', ':tf_example', '__a:tf_example'),
         'trained_checkpoint_prefix': (_EMPTY, '{}/folder'),
         'side_input_shapes': ('many', '-2,1', '1,2/'),
         'side_input_types': (_EMPTY, 'unheard_of', 'float,float'),
         'side_input_names': (_EMPTY, 'a b', 'a,b'),
         'input_shape': (_EMPTY, 'many', '-7,1,1,3', '1,2', '9' * 40),
         'serving_version': (*_INTEGER, '0'),
         'trained_checkpoint_dir': (_EMPTY, _MISSING, '{}/rubbish'),
         'output_directory': ('{}/rubbish', '{}/rubbish/below', '~/out')}),
    'slim_saved_model': (
        {**_MODEL_FLAG, 'output_keys': 'a', 'output_directory': '{}/out'},
        {'saved_model_dir': (_MISSING, '{}/rubbish', '{}/folder'),
         'output_config': _TEXT, 'output_keys': (_EMPTY, ','),
         'exclude_output_keys': (_EMPTY,), 'serving_version': (*_INTEGER, '0'),
         'warmup_image': _IMAGE, 'tag_set': (_EMPTY, ','), 'image': _IMAGE,
         'rename': (*_NAMES, 'one:class'), 'rename_signature': (*_NAMES, 'one:__two'),
         'output_directory': (
             _EMPTY, '{}/rubbish', '{}/rubbish/below', '{}/model', '~/out')}),
    'payload': (
        _MODEL_FLAG,
        {'saved_model_dir': _MODEL, 'compare': (_MISSING, '{}/rubbish', '{}/folder'),
         'signature': _CHOICE, 'image': _IMAGE, 'qps': _FLOAT, 'tag_set': (_EMPTY, 'none'),
         'limit': (_EMPTY, 'many', '-1', '4XB'), 'max_grpc': (_EMPTY, 'many', '-1'),
         'max_rest': (_EMPTY, 'many', '-1'),
         'plot': ('{}/nowhere/none.png', '{}/plot.unheard', '{}/folder')}),
    'triton_config': (
        _MODEL_FLAG,
        {'saved_model_dir': _MODEL, 'signature': _CHOICE, 'max_batch_size': _INTEGER,
         'tag_set': (_EMPTY, 'none')}),
    'dead_nodes': (
        _MODEL_FLAG, {'saved_model_dir': (_MISSING, '{}/rubbish', '{}/folder'),
                      'tag_set': (_EMPTY, ',')}),
    'draw_detections': (
        {**_MODEL_FLAG, 'image': '{}/photo.png', 'output': '{}/out.png'},
        {'saved_model_dir': _MODEL, 'signature': _CHOICE, 'image': _IMAGE,
         'label_map': _TEXT, 'min_score': _SHARE, 'mask_threshold': _SHARE,
         'index': _INTEGER, 'tag_set': (_EMPTY, 'none'),
         'response': _FILE,
         'output': ('{}/nowhere/none.png', '{}/out.unheard', '{}/folder')}),
    'detect_images': (
        {**_MODEL_FLAG, 'images': '{}/photo.png', 'output': '{}/out'},
        {'saved_model_dir': _MODEL, 'images': (_MISSING, _EMPTY, '{}/folder', '[0-9]'),
         'output': (_EMPTY, '{}/rubbish', '{}/rubbish/below', '{}/model', '~/out'),
         'format': _CHOICE, 'masks': _CHOICE, 'signature': _CHOICE, 'min_score': _SHARE,
         'mask_threshold': _SHARE, 'columns': (_EMPTY, ',', 'unheard_of'),
         'label_map_path': _TEXT, 'coco_annotations': _TEXT,
         'max_detections': (*_INTEGER, '0'), 'batch_size': (*_INTEGER, '0'),
         'calls': (*_INTEGER, '0'), 'images_per_part': (*_INTEGER, '0'),
         'master': (_EMPTY, 'unheard_of', '7'), 'spark_conf': (_EMPTY, 'one', 'one=two')}),
}
# What some options need beside them, or in place of what makes the command complete.
_WITH = {
    ('slim_saved_model', 'image'): {'verify': 'true'},
    ('detect_images', 'coco_annotations'): {'format': 'coco'},
    ('detect_images', 'spark_conf'): {'master': 'local[1]'},
    ('draw_detections', 'response'): {'saved_model_dir': None},
    ('exporter_main_v2', 'trained_checkpoint_prefix'): {'trained_checkpoint_dir': None},
    **{('exporter_main_v2', f'side_input_{name}'): {
        'use_side_inputs': 'true', 'side_input_shapes': '1,2', 'side_input_types': 'float',
        'side_input_names': 'context'} for name in ('shapes', 'types', 'names')}}
# Options of which only TensorFlow, or what it reads, tells whether they are right.
_TOLD_LATER = {
    'exporter_main_v2': {'pipeline_config_path', 'config_override'},
    'slim_saved_model': {'signature'},
}
_CASES = [(command, option, value)
          for command, (_, options) in _COMMANDS.items()
          for option, values in options.items() for value in values]


@pytest.fixture(scope='module')
def files():
  with tempfile.TemporaryDirectory() as name:  # Another user reaches it, unlike pytest's.
    folder = pathlib.Path(name)
    folder.chmod(0o777)
    _write_files(folder)
    yield folder


def _write_files(folder: pathlib.Path) -> None:
  (folder / 'folder').mkdir()
  (folder / 'unreadable').write_text('a')
  (folder / 'unreadable').chmod(0)
  (folder / 'rubbish').write_bytes(bytes(range(256)) * 3)
  (folder / 'latin').write_bytes('item { id: 1 name: "Köln" }'.encode('latin-1'))
  Image.new('RGB', (8, 8)).save(folder / 'photo.png')
  for name, content in (('model', _saved_model()), ('damaged', b'\xff' * 90),
                        ('unreadable_model', b'')):
    (folder / name).mkdir()
    (folder / name / 'saved_model.pb').write_bytes(content)
  (folder / 'unreadable_model' / 'saved_model.pb').chmod(0)


def _saved_model() -> bytes:
  """One with a signature that takes pixels."""
  from exporter.saved_model import signature
  message = signature._saved_model_class()()  # The fields that are read without TensorFlow.
  graph = message.meta_graphs.add()
  graph.meta_info_def.tags.append('serve')
  entry = graph.signature_def.add(key='serving_default')
  for entries, key, dtype, shape in (
      (entry.value.inputs, 'input_tensor', 4, (1, -1, -1, 3)),
      (entry.value.outputs, 'detection_boxes', 1, (1, 10, 4)),
      (entry.value.outputs, 'detection_scores', 1, (1, 10)),
      (entry.value.outputs, 'detection_classes', 1, (1, 10)),
      (entry.value.outputs, 'num_detections', 1, (1,))):
    info = entries.add(key=key).value
    info.dtype = dtype
    info.shape.SetInParent()
    for size in shape:
      info.shape.dims.add(size=size)
  return message.SerializeToString()


@pytest.fixture(scope='module')
def server(tmp_path_factory):
  """Forks processes that have imported what the commands need before TensorFlow."""
  traps = set_traps(tmp_path_factory.mktemp('traps'), ('tensorflow', 'object_detection'))
  before = os.environ.get('PYTHONPATH')
  os.environ['PYTHONPATH'] = str(traps)
  try:
    server = ForkServer(tmp_path_factory.mktemp('server'), [
        'exporter.command_line', 'exporter.serving.payload_table',
        'exporter.serving.warmup_requests', 'exporter.publishing.export_folder', 'PIL.Image',
        'exporter.payload', 'exporter.draw_detections', 'exporter.triton_config', 'email.parser',
        *(f'PIL.{kind}ImagePlugin' for kind in ('Bmp', 'Gif', 'Jpeg', 'Png', 'Ppm')),
        'google.protobuf.text_format', 'exporter.serving.drawing', 'exporter.detect_images',
        *(['exporter.batch.coco_results'] if importlib.util.find_spec('pyarrow') else []),
        'exporter.detection.compact_options', 'exporter.detection.output_profile'])
  finally:
    os.environ.pop('PYTHONPATH')
    if before is not None:
      os.environ['PYTHONPATH'] = before
  yield server
  server.close()


@pytest.mark.parametrize('command, option, value', _CASES, ids=lambda v: v[:30] or "''")
def test_one_sentence_says_what_is_wrong(server, files, command, option, value):
  flags = {**_COMMANDS[command][0], **_WITH.get((command, option), {}), option: value}
  value = value.replace('{}', str(files))
  before = sorted(files.rglob('*'))
  ended = server.run(
      f'exporter.{command}:run', cwd=files, timeout=20,
      uid=_NOBODY if 'unreadable' in value and not os.getuid() else None,
      argv=[command, *(f'--{k}={v.replace("{}", str(files))}' for k, v in flags.items()
                       if v is not None)])
  said = ended.stderr
  assert ended.status in (1, 2), said
  assert 'Traceback' not in said and 'was imported' not in said, said
  # Of OLD:NEW, the half that is wrong.
  named = ([value.rpartition('=')[2], *map(repr, value.split(':'))] if value
           else [option, option.replace('_', ' '), "''"])
  assert any(words in said for words in named), said
  lines = said.splitlines()
  if not lines[0].startswith('FATAL Flags parsing error:'):  # absl's own.
    assert len(lines) == 1 and lines[0].startswith(f'{command}: '), said
  assert ended.stdout == ''
  assert sorted(files.rglob('*')) == before


# Of a flag that is given twice the last counts, as with all flags of absl's; but of a
# list, no half goes without a word, and some add up.
_LISTS = ('output_keys', 'exclude_output_keys', 'rename', 'rename_signature',
          'output_dtypes', 'columns')
_ADD_UP = ('warmup_image', 'images', 'add_signature', 'spark_conf')
# Any tags may be there, which TensorFlow reads; shapes are taken apart at slashes.
_OTHERS = {('slim_saved_model', 'tag_set'), ('dead_nodes', 'tag_set'),
           ('exporter_main_v2', 'side_input_shapes')}


@pytest.mark.parametrize('command', _COMMANDS)
def test_the_last_of_an_option_counts_and_of_a_list_none(server, files, command):
  complete, options = _COMMANDS[command]
  for option in {option for option in options if (command, option) not in _OTHERS}:
    first, last = (f'--{option}={files}/rubbish/{name}' for name in ('first', 'last'))
    others = {**complete, **_WITH.get((command, option), {}), option: None}
    ended = server.run(
        f'exporter.{command}:run', cwd=files, timeout=20,
        argv=[command, *(f'--{k}={v.replace("{}", str(files))}' for k, v in others.items()
                         if v is not None), first, last])
    said = ended.stderr
    assert ended.status == 1 and 'Traceback' not in said, (option, said)
    if option in _LISTS:
      assert f'flag {last}: already defined as {files}/rubbish/first' in said
    elif option in _ADD_UP or (command, option) == ('slim_saved_model', 'image'):
      assert 'rubbish/first' in said
    elif not said.startswith('FATAL Flags parsing error:'):  # Of the first one.
      assert 'rubbish/last' in said and 'rubbish/first' not in said, (option, said)


@pytest.mark.parametrize('command', _COMMANDS)
def test_each_option_of_a_command_is_in_the_table(server, command):
  described = server.run(f'exporter.{command}:run', argv=[command, '--helpxml']).stdout
  options = set()
  for flag in ElementTree.fromstring(described).iter('flag'):
    # Those of absl itself, and what is only on or off, have no wrong value of ours.
    if not flag.findtext('file').startswith('absl.') and flag.findtext('type') != 'bool':
      options.add(flag.findtext('name'))
  assert options == {*_COMMANDS[command][1], *_TOLD_LATER.get(command, ())}


@pytest.mark.parametrize('command', [c for c in _COMMANDS if c != 'triton_config'])
def test_a_missing_tensorflow_is_told_in_a_sentence(files, tmp_path, command):
  site = tmp_path / 'site'
  site.mkdir()
  for entry in pathlib.Path(yaml.__file__).parents[1].iterdir():
    if not entry.name.startswith('tensorflow'):
      (site / entry.name).symlink_to(entry)
  flags = {**_COMMANDS[command][0], **({'output_keys': '*'} if 'slim' in command else {}),
           **({'image': '{}/photo.png'} if command == 'payload' else {})}
  ended = subprocess.run(
      [sys.executable, '-S', '-m', f'exporter.{command}',
       *(f'--{k}={v.replace("{}", str(files))}' for k, v in flags.items())],
      env={'PYTHONPATH': f'{_ROOT}{os.pathsep}{site}'}, text=True, capture_output=True,
      check=False)
  (line,) = ended.stderr.splitlines()
  assert (ended.returncode, ended.stdout) == (1, '')
  assert line.startswith(f"{command}: The package 'tensorflow' is not installed in ")
