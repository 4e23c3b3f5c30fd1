"""As much of TensorFlow as the stand-in forks use, so that they run at once."""

from tensorflow.compat import v2
from tensorflow.compat.v2 import autograph
