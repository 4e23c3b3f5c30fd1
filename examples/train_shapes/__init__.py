"""Trains small models on generated shapes, with upstream's own training.

`shapes` makes the images, `records` writes them as the Object Detection API reads
them, `python -m examples.train_shapes` trains, and measures the mAP.
"""
