"""SavedModels in other forms, and of more than a message can hold."""

import pytest

from exporter.errors import UserError
from exporter.saved_model import files, writing


@pytest.mark.parametrize('name, cure', [
    ('saved_model.pbtxt', 'google.protobuf.text_format'),
    ('saved_model.cpb', 'as variables')])
def test_another_form_is_told_with_the_cure(tmp_path, name, cure):
  (tmp_path / name).write_text('')
  with pytest.raises(UserError, match=f'has {name} and no saved_model.pb; .*{cure}'):
    files.find_saved_model(tmp_path)
  (tmp_path / 'saved_model.pb').write_text('')
  assert files.find_saved_model(tmp_path) == str(tmp_path)


def test_more_than_two_gigabytes_are_refused_before_they_are_read(tmp_path):
  with open(tmp_path / 'saved_model.pb', 'wb') as f:
    f.truncate(files.MOST_BYTES + 1)
  with pytest.raises(UserError, match='has more than 2 GB'):
    files.SavedModelFiles.open(tmp_path)


def test_what_is_left_must_fit_into_a_message(tf, save, monkeypatch):
  module = tf.Module()

  @tf.function(input_signature=[tf.TensorSpec([], tf.float32, 'x')])
  def serve(x):
    return {'a': x + 1.0, 'b': tf.exp(x)}

  source = save(module, serve)
  monkeypatch.setattr(writing, 'MOST_BYTES', 1000)
  target = source.with_name('slim')
  with pytest.raises(UserError, match='What is left of .* has more than 2 GB'):
    writing.write_lean(str(source), str(target), {'serving_default': ['a']})
  assert not target.exists()
