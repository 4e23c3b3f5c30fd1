"""What a SavedModel says of its graph: signatures, objects, saver, variables.

A MetaGraphDef holds the graph and, beside it, several descriptions of it that name
its nodes: they must go and stay together. Everything here takes and gives protos;
nothing here knows of folders, and nothing of what the model detects.

What other folders use:

* `pruning`: what the outputs that stay need, and the MetaGraphDef without the rest.
* `object_graph`: the objects that `tf.saved_model.load` makes, and their functions.
* `saver`: the variables that are restored, and how.
* `asset_files`: the files that the graph reads.

The other modules each know one description, and `validation` whether they fit.
"""
