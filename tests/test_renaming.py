"""New names of inputs, outputs and signatures, without TensorFlow."""

import pytest

from exporter.errors import UserError
from exporter.renaming import Renaming


def test_names_are_read():
  renaming = Renaming.parse(' input_tensor:inputs, detection_boxes : boxes', 'a:b')
  assert renaming.names == {'input_tensor': 'inputs', 'detection_boxes': 'boxes'}
  assert renaming.signatures == {'a': 'b'}
  assert renaming and not Renaming.parse()


def test_names_can_be_exchanged():
  assert Renaming.parse('a:b,b:a').applied(['a', 'b', 'c'], 'outputs') == {
      'a': 'b', 'b': 'a', 'c': 'c'}


@pytest.mark.parametrize('names, problem', [
    ('', "entry ''"),
    ('a', "entry 'a'; it must be OLD:NEW"),
    ('a:', "entry 'a:'"),
    (':b', "entry ':b'"),
    ('a:b,', "entry ''"),
    ('a:b c', "new name 'b c'"),
    ('a:_b', "new name '_b'"),
    ('a:class', "new name 'class'"),
    ('a:self', "new name 'self'"),
    ('a:b,a:c', "renames 'a' twice, to 'b' and 'c'"),
])
def test_malformed_flag_is_told(names, problem):
  with pytest.raises(UserError, match=problem):
    Renaming.parse(names)


def test_signature_name_is_checked():
  assert Renaming.parse(None, 'a:b-1.c').signatures == {'a': 'b-1.c'}
  with pytest.raises(UserError, match="rename_signature has the new name '__b'"):
    Renaming.parse(None, 'a:__b')


def test_clash_is_told():
  with pytest.raises(UserError, match="outputs 'a' and 'b' would both be named 'b'"):
    Renaming.parse('a:b').applied(['a', 'b'], 'outputs')
  with pytest.raises(UserError, match="signatures 'a' and 'b' would both be named 'c'"):
    Renaming.parse(None, 'a:c,b:c').applied_to_signatures(['a', 'b'])


def test_unknown_name_is_told_with_the_nearest():
  with pytest.raises(UserError, match="rename names 'boxs', which is no input or kept"
                                      " output.*boxes"):
    Renaming.parse('boxs:b').check_known(['boxes', 'scores'])
  with pytest.raises(UserError, match="rename_signature names 'x', which is no sig"):
    Renaming.parse(None, 'x:b').applied_to_signatures(['serving_default'])
