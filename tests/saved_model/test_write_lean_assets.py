"""Files in `assets/` that an op finds beside the one that it is given."""

import pytest

import saved_models
from exporter.saved_model import writing


def _forest(tf, folder, through_a_function=False):
  """A model that is given one file and reads its neighbours, and a table."""
  folder.mkdir()
  for name in 'done', 'header', 'nodes':
    (folder / name).write_text(f'the {name}')
  (folder / 'words.txt').write_text('a\nb\n')

  def neighbours(path):
    root = tf.strings.regex_replace(path, 'done$', '')
    return tf.strings.join([tf.io.read_file(root + name)
                            for name in ('header', 'nodes')], '+')

  class Forest(tf.Module):
    def __init__(self):
      self.done = tf.saved_model.Asset(str(folder / 'done'))
      self.others = [tf.saved_model.Asset(str(folder / name))
                     for name in ('header', 'nodes')]
      self.table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
          str(folder / 'words.txt'), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
          tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), -1)
      self.inner = tf.function(neighbours)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'words')])
    def __call__(self, words):
      path = self.done.asset_path
      read = self.inner(path) if through_a_function else neighbours(path)
      return {'read': read, 'found': self.table.lookup(words), 'words': words,
              'one': tf.io.read_file(path)}

  return Forest()


def _assets(path):
  return sorted(p.name for p in (path / 'assets').iterdir())


_FEED = {'serving_default': {'words': ['b', 'c']}}


@pytest.mark.both_stacks
@pytest.mark.parametrize('through_a_function', [True, False])
def test_the_neighbours_of_a_file_stay(tf, save, slim, tmp_path, through_a_function):
  module = _forest(tf, tmp_path / 'files', through_a_function)
  source = save(module, module.__call__)
  target, _ = slim(source, {'serving_default': ['read']}, _FEED)
  assert {'done', 'header', 'nodes'} <= set(_assets(target))
  again, _ = slim(target, {'serving_default': ['read']}, _FEED, name='again')
  assert _assets(again) == _assets(target)


@pytest.mark.both_stacks
def test_files_that_are_not_read_go(tf, save, slim, tmp_path):
  module = _forest(tf, tmp_path / 'files')
  source = save(module, module.__call__)
  for key, files in (('found', ['words.txt']), ('one', ['done']), ('words', [])):
    target, _ = slim(source, {'serving_default': [key]}, _FEED, name=key)
    assert _assets(target) == files


@pytest.mark.both_stacks
def test_files_that_nobody_listed_stay(tf, save, slim, tmp_path):
  module = _forest(tf, tmp_path / 'files')
  source = save(module, module.__call__)
  (source / 'assets' / 'sub').mkdir()
  (source / 'assets' / 'sub' / 'labels.txt').write_text('cat')
  (source / 'assets' / 'linked').symlink_to(tmp_path / 'files' / 'header')
  target, _ = slim(source, {'serving_default': ['words']}, _FEED)
  assert _assets(target) == ['linked', 'sub']
  assert (target / 'assets/sub/labels.txt').read_text() == 'cat'
  assert (target / 'assets/linked').read_text() == 'the header'


def test_an_initializer_that_reads_the_neighbours(tf, save, slim, tmp_path):
  from tensorflow.python.trackable import resource

  class Loader(resource.CapturableResource):
    def __init__(self, forest, variable):
      super().__init__()
      self.forest, self.variable = forest, variable

    def _create_resource(self):
      return tf.constant(1.0)

    def _initialize(self):
      root = tf.strings.regex_replace(self.forest.done.asset_path, 'done$', '')
      self.variable.assign(tf.io.read_file(root + 'header'))

  module = tf.Module()
  module.forest = _forest(tf, tmp_path / 'files')
  module.content, module.other = tf.Variable(''), tf.Variable(1.0)
  module.loader = Loader(module.forest, module.content)
  module.__call__ = tf.function(
      lambda x: {'content': module.content.read_value(), 'other': x * module.other},
      input_signature=[tf.TensorSpec([], tf.float32, 'x')])
  source = save(module, module.__call__)
  feed = {'serving_default': {'x': 2.0}}
  target, _ = slim(source, {'serving_default': ['content']}, feed, loaders=['v2'])
  assert saved_models.run_v2(target, 'serving_default', {'x': 2.0})[
      'content'] == b'the header'
  assert {'done', 'header'} <= set(_assets(target))
  target, _ = slim(source, {'serving_default': ['other']}, feed, name='other')
  assert not _assets(target)


def test_a_path_that_is_an_output_may_lead_anywhere(tf, save, slim, tmp_path):
  module = _forest(tf, tmp_path / 'files')
  signature = tf.function(
      lambda words: {'path': module.done.asset_path, 'words': words},
      input_signature=[tf.TensorSpec([None], tf.string, 'words')])
  module.signature = signature
  source = save(module, signature)
  writing.write_lean(str(source), str(tmp_path / 'lean'), {'serving_default': ['path']})
  assert _assets(tmp_path / 'lean') == _assets(source)
