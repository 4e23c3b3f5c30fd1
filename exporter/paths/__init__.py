"""What a path means: a URL, or one that TensorFlow would take for a pattern.

At the very bottom, and every folder may import it: what reads a checkpoint has the
same trouble with brackets as what reads a SavedModel, and neither knows the other.

* `urls`: tells URLs.
* `file_systems`: those that serve URLs, by fsspec.
* `remote`: copies what lies behind them to this machine, and back.
* `reading`: what is in a file, and one sentence for whatever keeps that from working.
* `plain_paths`: a place without brackets for tools that take them for patterns.
* `home_folders`: refuses `~` where it would become the name of a folder.
* `profiles`: where the profiles lie that come with the package.
"""
