"""The edit of the exporter, on every shape of the files that we know."""

import ast
import difflib
import json

import pytest

import fork_shapes
from patches import exporter_lib_edit
from patches import exporter_main_edit
from patches import structure
from patches.structure import UnrecognisedSource

SHAPES = sorted(fork_shapes.EXPORTERS)


def _patched(tmp_path, shape, import_from):
  library, script = map(str.encode, fork_shapes.EXPORTERS[shape])
  library = exporter_lib_edit.apply(
      structure.parse(library, 'library'), 'library').bytes
  script = exporter_main_edit.apply(
      structure.parse(script, 'script'), 'script', import_from).bytes
  return fork_shapes.write_fork(tmp_path / 'research', library, script)


def _outputs(directory):
  return json.loads((directory / 'saved_model' / 'outputs.json').read_text())


@pytest.mark.parametrize('shape', SHAPES)
def test_stand_in_exports_every_output(shape, tmp_path, export):
  fork = fork_shapes.write_fork(
      tmp_path / 'research', *fork_shapes.EXPORTERS[shape])
  done = export(fork, '--input_type=image_tensor',
                f'--output_directory={tmp_path / "out"}')
  assert done.returncode == 0, done.stderr
  assert _outputs(tmp_path / 'out') == fork_shapes.OUTPUTS


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('flags,kept', [
    ([], list(fork_shapes.OUTPUTS)),
    (['--output_keys=num_detections,detection_boxes'],
     ['detection_boxes', 'num_detections']),
    (['--output_keys=detection_*', '--exclude_output_keys=*_classes'],
     ['detection_boxes', 'detection_scores']),
    (['--output_config={profile}'], ['raw_detection_boxes']),
])
def test_patched_script_exports_what_the_flags_select(
    shape, flags, kept, tmp_path, export):
  fork = _patched(tmp_path, shape, exporter_main_edit.PACKAGE)
  profile = tmp_path / 'profile.yaml'
  profile.write_text('output_keys: ["raw_*"]\n')
  done = export(fork, '--input_type=image_tensor',
                f'--output_directory={tmp_path / "out"}',
                *[flag.format(profile=profile) for flag in flags])
  assert done.returncode == 0, done.stderr
  outputs = _outputs(tmp_path / 'out')
  assert outputs == {key: fork_shapes.OUTPUTS[key] for key in kept}


@pytest.mark.parametrize('shape', ['fork', 'today'])
@pytest.mark.parametrize('flag,message', [
    ('--output_keys=detection_boxs', "did you mean 'detection_boxes'?"),
    ('--output_keys=', 'names no output key'),
    ('--exclude_output_keys=*', 'No output is left'),
    ('--output_config=/nowhere.yaml', 'cannot be read'),
])
def test_wrong_flag_ends_patched_script_with_one_sentence(
    shape, flag, message, tmp_path, export):
  fork = _patched(tmp_path, shape, exporter_main_edit.PACKAGE)
  done = export(fork, '--input_type=image_tensor',
                f'--output_directory={tmp_path / "out"}', flag)
  assert done.returncode == 1
  assert message in done.stderr
  assert 'Traceback' not in done.stderr
  assert done.stderr.count('\n') == 1
  assert not (tmp_path / 'out').exists()


def test_other_errors_keep_their_traceback(tmp_path, export):
  fork = _patched(tmp_path, 'today', exporter_main_edit.PACKAGE)
  done = export(fork, '--input_type=no_such_type', '--output_keys=detection_*',
                f'--output_directory={tmp_path / "out"}')
  assert done.returncode == 1
  assert 'Traceback' in done.stderr
  assert 'ValueError: no_such_type' in done.stderr


def test_outputs_of_given_boxes_are_selected_too(tmp_path, export):
  fork = _patched(tmp_path, 'today', exporter_main_edit.PACKAGE)
  done = export(fork, '--input_type=image_and_boxes_tensor',
                '--exclude_output_keys=raw_*',
                f'--output_directory={tmp_path / "out"}')
  assert done.returncode == 0, done.stderr
  expected = dict(fork_shapes.SEGMENTATION_OUTPUTS)
  del expected['raw_detection_boxes']
  assert _outputs(tmp_path / 'out') == expected


def test_without_flags_nothing_of_ours_is_needed(tmp_path, export, no_package):
  fork = _patched(tmp_path, 'today', exporter_main_edit.PACKAGE)
  done = export(fork, '--input_type=image_tensor',
                f'--output_directory={tmp_path / "out"}', path=no_package)
  assert done.returncode == 0, done.stderr
  assert _outputs(tmp_path / 'out') == fork_shapes.OUTPUTS


def test_missing_package_is_one_sentence_that_names_the_cure(
    tmp_path, export, no_package):
  fork = _patched(tmp_path, 'today', exporter_main_edit.PACKAGE)
  done = export(fork, '--input_type=image_tensor', '--output_keys=detection_*',
                f'--output_directory={tmp_path / "out"}', path=no_package)
  assert done.returncode == 1
  assert '--import_from=vendored' in done.stderr
  assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('shape', SHAPES)
def test_vendored_script_imports_from_beside_it(shape, tmp_path):
  fork = _patched(tmp_path, shape, exporter_main_edit.VENDORED)
  script = (fork / 'object_detection' / 'exporter_main_v2.py').read_text()
  assert 'from object_detection import lean_output_keys' in script
  assert 'exporter.output_keys' not in script


@pytest.mark.parametrize('line,expected', [
    ('from research.object_detection import exporter_lib_v2',
     'from research.object_detection import lean_output_keys'),
    ('from research.object_detection.exporter_lib_v2 import export_inference_graph',
     'from research.object_detection import lean_output_keys'),
    ('import our.od.exporter_lib_v2 as exporter_lib_v2',
     'from our.od import lean_output_keys'),
    ('import exporter_lib_v2', 'import lean_output_keys'),
    ('from . import exporter_lib_v2', 'from . import lean_output_keys'),
    ('from .exporter_lib_v2 import export_inference_graph',
     'from . import lean_output_keys'),
])
def test_vendored_file_is_imported_as_the_library_is(line, expected):
  source = fork_shapes.EXPORTERS['today'][1].replace(
      'from object_detection import exporter_lib_v2', line)
  code = exporter_main_edit.apply(
      structure.parse(source.encode(), 'script'), 'script',
      exporter_main_edit.VENDORED).code
  assert f'  {expected}\n' in code
  compile(code, 'script', 'exec')


@pytest.mark.parametrize('shape', SHAPES)
def test_edit_is_seen_and_its_option_read(shape):
  library, script = (structure.parse(source.encode(), 'file')
                     for source in fork_shapes.EXPORTERS[shape])
  assert not exporter_lib_edit.is_applied(library)
  assert not exporter_main_edit.is_applied(script)
  assert exporter_lib_edit.is_applied(exporter_lib_edit.apply(library, 'file'))
  for import_from in exporter_main_edit.IMPORT_FROM:
    edited = exporter_main_edit.apply(script, 'file', import_from)
    assert exporter_main_edit.is_applied(edited)
    assert exporter_main_edit.present_import_from(edited) == import_from


def test_installed_revision_is_edited_in_the_few_places(installed):
  source = (installed / 'exporter_lib_v2.py').read_bytes()
  edited = exporter_lib_edit.apply(structure.parse(source, 'lib'), 'lib').bytes
  removed, added = _changed_lines(source, edited)
  assert sorted(removed) == [
      "                           side_input_names=''):",
      '    return detections', '    return detections']
  assert added.count('    return _lean_outputs(self.output_selection, detections)'
                     ) == 2
  assert "                           output_selection=None):" in added
  assert '  detection_module.output_selection = output_selection' in added
  source = (installed / 'exporter_main_v2.py').read_bytes()
  edited = exporter_main_edit.apply(
      structure.parse(source, 'main'), 'main', exporter_main_edit.PACKAGE).bytes
  removed, _ = _changed_lines(source, edited)
  assert removed == ['      FLAGS.side_input_types, FLAGS.side_input_names)']
  assert max(map(len, edited.decode().splitlines())) <= 80


def _changed_lines(before, after):
  lines = list(difflib.ndiff(before.decode().splitlines(),
                             after.decode().splitlines()))
  return ([line[2:] for line in lines if line.startswith('- ')],
          [line[2:] for line in lines if line.startswith('+ ')])


@pytest.mark.parametrize('old,new,looked_for', [
    ('_run_inference_on_images', '_infer', 'a method _run_inference_on_images'),
    ('def export_inference_graph', 'def export', 'a function export_inference'),
    ('tf.saved_model.save', 'save', 'saved_model.save(module, …)'),
    ('(chosen,', '(make(),', 'saved_model.save(module, …)'),
    ('chosen = ', 'other = ', 'the statement in export_inference_graph that makes'
                              ' chosen'),
    ('return found', 'return found, 1', 'return of something else'),
    ('return found', 'pass', 'found no return statement'),
    ('import tensorflow.compat.v2 as tf', 'tf = None', 'an import of tensorflow'),
    ('output_directory,\n', 'output_directory, output_selection,\n',
     'a parameter output_selection of its own'),
    ('"""Base."""', 'output_selection = 1', 'an output_selection of its own'),
])
def test_unknown_library_is_refused_with_what_was_looked_for(old, new, looked_for):
  source = fork_shapes.EXPORTERS['today'][0]
  assert old in source
  module = structure.parse(source.replace(old, new).encode(), 'lib.py')
  with pytest.raises(UnrecognisedSource) as error:
    exporter_lib_edit.apply(module, 'lib.py')
  assert looked_for in str(error.value)
  assert 'lib.py' in str(error.value)


@pytest.mark.parametrize('old,new,looked_for', [
    ('export_inference_graph(', 'export(', 'a function that calls'),
    ("'pipeline_config_path'", "'config'", 'flags.DEFINE_string('),
    ("'trained_checkpoint_dir', None", "'output_keys', None",
     'a flag --output_keys of its own'),
    ('FLAGS.side_input_names)', 'FLAGS.side_input_names, output_selection=1)',
     'an output_selection of its own'),
])
def test_unknown_script_is_refused_with_what_was_looked_for(old, new, looked_for):
  source = fork_shapes.EXPORTERS['today'][1]
  assert old in source
  module = structure.parse(source.replace(old, new).encode(), 'main.py')
  with pytest.raises(UnrecognisedSource) as error:
    exporter_main_edit.apply(module, 'main.py', exporter_main_edit.PACKAGE)
  assert looked_for in str(error.value)
  assert 'main.py' in str(error.value)


def test_help_of_patched_script_lists_the_flags(tmp_path, export):
  fork = _patched(tmp_path, 'today', exporter_main_edit.PACKAGE)
  done = export(fork, '--help')
  for flag in exporter_main_edit.FLAGS:
    assert f'--{flag}:' in done.stdout


def test_added_code_runs_on_python_3_7():
  for source, edit in (
      (fork_shapes.EXPORTERS['today'][0],
       lambda module: exporter_lib_edit.apply(module, 'f')),
      (fork_shapes.EXPORTERS['today'][1],
       lambda module: exporter_main_edit.apply(module, 'f', 'package'))):
    code = edit(structure.parse(source.encode(), 'f')).code
    ast.parse(code, feature_version=(3, 7))
