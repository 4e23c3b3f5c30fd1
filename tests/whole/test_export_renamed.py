"""Exports whose inputs, outputs and signatures have other names."""

import numpy as np
import pytest

from exporter.payload import read_payload
from exporter.saved_model.signature import read_signatures
from exporter.serving.image_request import run_on_image
from families import SSD

pytestmark = pytest.mark.slow

_MAIN = 'exporter.exporter_main_v2:run'
_RENAME = 'input_tensor:inputs,detection_scores:a_scores,num_detections:count'


def _flags(exports, target, *more):
  return ['exporter_main_v2', f'--pipeline_config_path={SSD.pipeline}',
          f'--trained_checkpoint_dir={exports.checkpoint(SSD.name)}',
          f'--output_directory={target}', f'--output_keys={SSD.output_keys}',
          f'--exclude_output_keys={SSD.exclude_output_keys}', *more]


@pytest.mark.both_stacks
def test_renamed_export_gives_the_same_by_other_names(
    tf, exports, exporter_server, tmp_path):
  target, image = tmp_path / 'exported', tmp_path / 'image.png'
  pixels = np.random.RandomState(1).randint(256, size=(96, 128, 3), dtype=np.uint8)
  image.write_bytes(tf.io.encode_png(pixels).numpy())
  exporter_server.run(_MAIN, argv=_flags(
      exports, target, '--verify', f'--warmup_image={image}', f'--rename={_RENAME}',
      '--add_signature=from_bytes:encoded_image_string_tensor',
      '--rename_signature=from_bytes:serving_bytes')).ok()
  alone = exports.selected(SSD)
  main = read_signatures(alone)['serving_default']
  expected = run_on_image(alone, main, image)
  new_names = {**{key: key for key in expected}, 'detection_scores': 'a_scores',
               'num_detections': 'count'}
  signatures = read_signatures(target)
  assert {name for name in signatures if not name.startswith('__')} == {
      'serving_default', 'serving_bytes'}
  for name in ('serving_default', 'serving_bytes'):
    assert list(signatures[name].inputs) == ['inputs']
    found = run_on_image(target, signatures[name], image)
    assert sorted(found) == sorted(new_names.values())
    for key, value in expected.items():
      np.testing.assert_array_equal(found[new_names[key]], value)
  assert {output.key for output in read_payload(target).outputs} == {
      *new_names.values()}
  loaded = tf.saved_model.load(str(target / 'saved_model'))
  called = loaded(inputs=tf.constant(pixels[np.newaxis]))
  for key, value in expected.items():
    np.testing.assert_array_equal(called[new_names[key]], value)
  records = tf.data.TFRecordDataset(
      str(target / 'saved_model/assets.extra/tf_serving_warmup_requests'))
  for record, name in zip(records, (b'serving_default', b'serving_bytes')):
    assert name in record.numpy() and b'inputs' in record.numpy()


@pytest.mark.parametrize('flag, problem', [
    ('--rename=input_tenser:inputs', "'input_tenser', which is no input or kept output;"
     " did you mean 'input_tensor'?"),
    ('--rename=detection_boxes:detection_scores', 'would both be named'),
])
def test_wrong_names_are_refused(exports, exporter_server, tmp_path, flag, problem):
  ran = exporter_server.run(_MAIN, argv=_flags(exports, tmp_path / 'exported', flag))
  assert ran.status == 1
  assert problem in ran.stderr
  assert not (tmp_path / 'exported').exists()
