"""What a command's process imports, and that the rest is still there for the asking."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# Where `tf.keras` may be Keras 3.
_KERAS_2 = {'TF_USE_LEGACY_KERAS': '1'} if importlib.util.find_spec('tf_keras') else {}

pytestmark = pytest.mark.slow


def run(code: str) -> list[str]:
  done = subprocess.run(
      [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True,
      check=False, env={**os.environ, 'PYTHONPATH': str(_ROOT), **_KERAS_2})
  assert done.returncode == 0, done.stderr
  return done.stdout.splitlines()


@pytest.mark.both_stacks
def test_tensorflow_without_keras():
  assert run('''
import sys
from exporter.detection import needless_imports
needless_imports.leave_out(keras=True)
import tensorflow as tf
print([m for m in ("keras", "tf_keras", "pandas", "scipy", "h5py") if m in sys.modules])
print(tf.keras.layers.Dense(2)(tf.ones([1, 3])).shape)
import pandas, scipy.sparse
print(tf.optimizers.SGD.__name__, pandas.Series([1]).sum(), scipy.sparse.issparse(1))
''') == ['[]', '(1, 2)', 'SGD 1 False']


def test_loading_an_optimizer_without_keras(tmp_path):
  """Its class is registered when Keras is imported, which loading sees to."""
  assert run(f'''
import tensorflow as tf
optimizers = getattr(tf.keras.optimizers, 'legacy', tf.keras.optimizers)
variable = tf.Variable([1.])
optimizer = optimizers.SGD(momentum=.5)
optimizer.apply_gradients([(tf.constant([1.]), variable)])
root = tf.train.Checkpoint(variable=variable, optimizer=optimizer)
tf.saved_model.save(root, {str(tmp_path)!r})
print('saved')
''')[-1] == 'saved'
  assert run(f'''
from exporter.detection import needless_imports
needless_imports.leave_out(keras=True, loads_models=True)
import tensorflow as tf
print(tf.saved_model.load({str(tmp_path)!r}).variable.shape)
''') == ['(1,)']


@pytest.mark.both_stacks
def test_the_api_without_pictures_and_tables():
  """The model builder needs none of them; what does finds them when it is used."""
  assert run('''
import sys
from exporter.detection import needless_imports
needless_imports.leave_out(keras=False)
from exporter import exporter_lib_v2
print([m for m in ("matplotlib", "pandas", "tensorflow_io") if m in sys.modules])
import tensorflow as tf
print("keras" in sys.modules and not tf.keras.layers.Dense.__module__.startswith("keras"))
from object_detection.matchers import hungarian_matcher
from object_detection.models.keras_models import resnet_v1
from object_detection.utils import visualization_utils
print(resnet_v1.resnet.ResNet50.__module__ == tf.keras.applications.ResNet50.__module__)
print(hungarian_matcher.HungarianBipartiteMatcher.__name__)
print(len(visualization_utils.STANDARD_COLORS), "matplotlib" in sys.modules)
''') == ['[]', 'False', 'True', 'HungarianBipartiteMatcher', '126 True']
