"""Checkpoints that are no use to an export."""

import tensorflow as tf


def write_without_model(directory: str):
  """What a training leaves that stopped before its first step."""
  tf.train.CheckpointManager(
      tf.train.Checkpoint(step=tf.Variable(0)), directory, max_to_keep=1).save(0)
