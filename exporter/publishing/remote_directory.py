"""Folders that only TensorFlow's file systems reach, such as `gs://bucket/dir`.

Nothing there can be renamed in one step, so a folder is made whole on the local
disk first; then its files are copied, those that readers look for first coming
last.
"""

from __future__ import annotations

import os

# A server or `latest_checkpoint` takes a folder for complete when it sees these.
_LAST = ('saved_model.pb', 'checkpoint')


def upload(folder: str, target: str) -> None:
  """Copies the local `folder` to `target`, over what stands there."""
  import tensorflow as tf
  files = [os.path.relpath(os.path.join(parent, name), folder)
           for parent, _, names in os.walk(folder) for name in names]
  files.sort(key=lambda file: (os.path.basename(file) in _LAST, file))
  for file in files:
    destination = f'{target.rstrip("/")}/{file}'
    tf.io.gfile.makedirs(os.path.dirname(destination))
    tf.io.gfile.copy(os.path.join(folder, file), destination, overwrite=True)
