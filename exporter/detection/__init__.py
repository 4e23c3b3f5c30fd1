"""From a pipeline config and a checkpoint to a traced function.

All that knows the Object Detection API is here and in `exporter.exporter_lib_v2`.

What the top of the package uses:

* `environment`: makes `object_detection` importable, on any TensorFlow; called
  before either is imported.
* `pipeline_config`: reads one, with overrides.
* `needless_imports`: what a command leaves out of the imports of TensorFlow and the API.
* `inputs`: what an exported model can take; `image_decoding` decodes it.
* `input_shapes`: the sizes that it takes, where they are fixed.
* `signature_specs`: what each signature takes and returns; `shared_detection` gives
  several of them one body.
* `checkpoint`: finds the one to export, and proves that it fits; `checkpoint_choice`
  tells early what cannot be one.
* `tracing`: traces a function once, without AutoGraph where that is possible.
* `compact_options` and `compact_outputs`: what may be made smaller, as typed, and
  in the graph.
* `class_names`: says in the graph what was detected.
* `output_profile`: the selection and these options, of a file and the flags.
* `output_sizes`: what a model returns for one image; `sample_inputs` makes one.

`environment`, `needless_imports`, `inputs`, `input_shapes`, `signature_specs`,
`checkpoint_choice`, `compact_options`, `output_profile` and `output_sizes` do without
TensorFlow.
"""
