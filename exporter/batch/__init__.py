"""Detections of many images: on this machine, or wherever a program of yours runs.

What other folders use:

* `detector`: loads an export once and takes any images, encoded or as arrays.
* `image_feeding`: what a signature wants of an image.
"""
