"""The folder of a SavedModel: read, written, checked.

What other folders use:

* `files`: reads the protos in a folder, with TensorFlow.
* `signature`: reads its signatures without TensorFlow, in milliseconds.
* `writing`: writes the folder of pruned protos with the variables that they need.
* `function_saving`: writes a lean folder of a traced function.
* `check`: reads a new folder again and compares it with what it was made from.
* `moved_tensors`: outputs whose tensors have other names after pruning.
* `variable_bundle`: the entries of its checkpoint, and their sizes.

`tensorflow_api` is the one module that calls what TensorFlow has moved or renamed.
"""
