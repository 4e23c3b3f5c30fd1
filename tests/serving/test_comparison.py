"""Comparing a SavedModel with what is left of it, on inputs that fit it."""

import math

import pytest

from exporter.errors import UserError
from exporter.output_keys import OutputSelection
from exporter.serving.comparison import Comparison, compare
from exporter.slimming import slim_saved_model

pytestmark = pytest.mark.both_stacks


@pytest.fixture
def save_function(tf, save):
  """Saves a function of the inputs that `specs` give; returns its folder."""
  def save_function(function, *specs, name='source'):
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[
        tf.TensorSpec(*spec) for spec in specs or [([None], tf.float32, 'x')]])
    return save(module, module.serve, name)
  return save_function


def _slim(source, allow='kept', **options):
  return slim_saved_model(str(source), str(source.parent / 'slim'),
                          OutputSelection.parse(allow), verify=True, **options)


def test_inputs_of_all_kinds(tf, save_function):
  def serve(image, boxes, count, text, flag, half):
    shared = tf.reduce_sum(boxes) + tf.cast(count, tf.float32) + tf.cast(half[0], tf.float32)
    return {'kept': tf.cast(image, tf.float32) + shared, 'flag': tf.logical_not(flag),
            'text': tf.strings.length(text), 'dropped': tf.sin(shared)}

  source = save_function(
      serve, ([None, None, None, 3], tf.uint8, 'image'), ([1, None, 4], tf.float32, 'boxes'),
      ([], tf.int64, 'count'), ([None], tf.string, 'text'), ([2], tf.bool, 'flag'),
      ([None], tf.bfloat16, 'half'))
  comparison = _slim(source, 'kept,flag,text').comparison
  assert comparison == Comparison(6, 0.0)
  assert 'bit for bit, without Grappler and with it' in str(comparison)


def test_what_grappler_does_is_told(tf, save_function):
  def serve(x):
    # Where this is no output, Grappler adds up the two constants first.
    large = x + 1e8
    return {'kept': large - 1e8, 'dropped': large}

  comparison = _slim(save_function(serve)).comparison
  assert 0 < comparison.largest_difference < 10
  assert comparison.output == 'kept of serving_default'
  assert 'without Grappler; with it the largest difference is' in str(comparison)


def test_another_value_is_refused(tf, save_function):
  outputs = {'serving_default': ['kept']}
  source = save_function(lambda x: {'kept': x / 3.0})
  other = save_function(lambda x: {'kept': x * 0.333333}, name='other')
  with pytest.raises(UserError, match="'kept' .* is not what .*source gives .* report"):
    compare(str(source), str(other), outputs)
  assert compare(str(source), str(source), outputs).compared == 2
  # Afterwards functions run as they did before.
  assert not tf.config.optimizer.get_experimental_options().get(
      'disable_meta_optimizer', False)


def test_what_draws_anew_cannot_be_compared(tf, save_function):
  source = save_function(lambda x: {'kept': x + tf.random.uniform([]), 'dropped': x})
  with pytest.raises(UserError, match='another one at each run'):
    _slim(source)
  assert not (source.parent / 'slim').exists()


def test_images(tf, save_function, tmp_path):
  def serve(encoded):
    image = tf.map_fn(lambda e: tf.io.decode_png(e, 3), encoded, tf.uint8)
    return {'kept': image, 'dropped': tf.cast(image, tf.float32)}

  source = save_function(serve, ([None], tf.string, 'encoded'))
  with pytest.raises(UserError, match='cannot be run on inputs that fit .* give an --image'):
    _slim(source)
  path = tmp_path / 'image.png'
  path.write_bytes(tf.io.encode_png(tf.zeros([4, 5, 3], tf.uint8)).numpy())
  assert _slim(source, verify_images=[str(path)]).comparison.compared == 1


def test_it_runs_what_was_written(save_function, tmp_path):
  with pytest.raises(UserError, match='--dry_run writes nothing'):
    _slim(tmp_path / 'source', dry_run=True)
  with pytest.raises(UserError, match='--verify .* is not'):
    slim_saved_model('source', 'slim', OutputSelection(), verify_images=['a.png'])


def test_infinite_differences_are_said():
  assert 'is inf, in a of b' in str(Comparison(2, math.inf, 'a of b'))
