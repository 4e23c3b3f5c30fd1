"""A folder appears complete, or not at all; what others keep in it stays.

What other folders use:

* `atomic_directory`: checks where a folder may be made, makes it beside its place,
  and lets it take that place in one rename; also where that is a URL.
* `export_folder`: what both exporters do around their work, and which files of a
  folder an export owns, and so may replace.
* `serving_version`: the numbered folders that TensorFlow Serving polls.

The other modules are steps of `atomic_directory`.
"""
