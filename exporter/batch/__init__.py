"""Detections of many images: on this machine, or wherever a program of yours runs.

What other folders use:

* `detector`: loads an export once and takes any images, encoded or as arrays.
* `running`: does what is missing of a run: `detect_images` without its flags.
* `rows`: what is written of an image.

And what these use:

* `image_feeding`: what a signature wants of an image.
* `image_sources`, `storage`: images and output, here or behind a URL.
* `run_folder`: which parts a run has, and which of them are done.
* `part_job`: does a part, wherever that is; `arrow_rows`, `tf_examples` write it, and
  `coco_results` makes one file of all.
* `spark_run`, `spark_worker`, `spark_checks`: parts as tasks of Apache Spark.
* `progress`: how far a run is.
"""
