"""Requests to a model server, and what its responses cost.

What other folders use:

* `image_request`: the request that carries an image, and running a model on it.
* `comparison`: what a SavedModel and what is left of it give for the same inputs.
* `warmup_requests`: such requests in the file that TensorFlow Serving warms up with.
* `payload_sizes`: the bytes of each output on gRPC and as JSON; `payload_table` and
  `payload_chart` show them.
* `batching`: whether a server may join requests to one batch.
* `size_limits`: how large a response may be.
* `grpc_size`: bytes of a `PredictResponse`, without making one.
* `rest_json`: the JSON that TensorFlow Serving writes, byte for byte.
* `detections`: those of one image, out of a model or a saved response; `drawing` draws
  them on the photo, `masks` pastes their masks.
"""
