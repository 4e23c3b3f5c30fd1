"""The checkpoint that is exported is never written over."""

import pytest

from exporter.errors import UserError
from exporter.publishing import export_folder


def _checkpoint(folder, name):
  folder.mkdir(parents=True)
  for end in ('index', 'data-00000-of-00001'):
    (folder / f'{name}.{end}').write_text('trained')
  return str(folder / name)


@pytest.mark.parametrize('folder, name', [
    ('training', 'ckpt-0'), ('exported/checkpoint', 'ckpt-7'),
    ('exported', 'ckpt-0'), ('exported/checkpoint/older', 'ckpt-0'),
    ('exported/checkpoint', 'ckpt-01')])
def test_a_checkpoint_elsewhere(tmp_path, folder, name):
  checkpoint = _checkpoint(tmp_path / folder, name)
  export_folder.check_checkpoint_stays(checkpoint, str(tmp_path / 'exported'))


@pytest.mark.parametrize('folder, name', [
    ('exported/checkpoint', 'ckpt-0'), ('exported/saved_model/variables', 'variables')])
def test_a_checkpoint_in_the_way(tmp_path, folder, name):
  checkpoint = _checkpoint(tmp_path / folder, name)
  with pytest.raises(UserError, match=f'{name}.*give another output directory'):
    export_folder.check_checkpoint_stays(checkpoint, str(tmp_path / 'exported'))


def test_links_are_followed(tmp_path):
  checkpoint = _checkpoint(tmp_path / 'disk', 'ckpt-0')
  (tmp_path / 'exported').mkdir()
  (tmp_path / 'exported' / 'checkpoint').symlink_to(tmp_path / 'disk')
  with pytest.raises(UserError, match='lies where the export writes'):
    export_folder.check_checkpoint_stays(checkpoint, str(tmp_path / 'exported'))


def test_data_that_is_a_link_into_the_export(tmp_path):
  there = _checkpoint(tmp_path / 'exported' / 'checkpoint', 'ckpt-0')
  training = tmp_path / 'training'
  training.mkdir()
  (training / 'ckpt-9.index').write_text('trained')
  (training / 'ckpt-9.data-00000-of-00001').symlink_to(f'{there}.data-00000-of-00001')
  with pytest.raises(UserError, match='ckpt-9'):
    export_folder.check_checkpoint_stays(
        str(training / 'ckpt-9'), str(tmp_path / 'exported'))


def test_urls():
  for folder, end in (('gs://zoo', ''), ('gs://zoo/', ''), ('gs://zoo', '/')):
    with pytest.raises(UserError, match='lies where the export writes'):
      export_folder.check_checkpoint_stays(f'gs://zoo{end}/checkpoint/ckpt-0', folder)
  export_folder.check_checkpoint_stays('gs://zoo/checkpoint/ckpt-7', 'gs://zoo')
  export_folder.check_checkpoint_stays('gs://zoo/checkpoint/ckpt-0', 'gs://other')
