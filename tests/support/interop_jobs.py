"""What the interop tests run, each in a process of its own: one runtime a job.

A job runs a model on the same images and writes what comes out to a file, under
`IMAGE/KEY`. No job imports a runtime that another one does.
"""

import numpy as np


def run_tensorflow(saved_model_dir: str, size: int, outputs_path: str):
  import tensorflow as tf
  signature = tf.saved_model.load(saved_model_dir).signatures['serving_default']

  def run(image):
    outputs = signature(input_tensor=tf.constant(image))
    return {key: value.numpy() for key, value in outputs.items()}

  _save(run, size, outputs_path)


def run_onnx_runtime(model_path: str, size: int, outputs_path: str):
  import onnxruntime
  session = onnxruntime.InferenceSession(
      model_path, providers=['CPUExecutionProvider'])
  keys = [output.name for output in session.get_outputs()]

  def run(image):
    return dict(zip(keys, session.run(keys, {'input_tensor': image})))

  _save(run, size, outputs_path)


def run_openvino(saved_model_dir: str, size: int, outputs_path: str):
  import openvino
  # Left alone, it computes in bfloat16 where the processor can.
  model = openvino.Core().compile_model(
      openvino.convert_model(saved_model_dir), 'CPU',
      {'INFERENCE_PRECISION_HINT': 'f32'})

  def run(image):
    results = model({'input_tensor': image})
    # Two keys that stock gives the same tensor are two names of one output.
    return {key: results[output] for output in model.outputs
            for key in output.get_names()}

  _save(run, size, outputs_path)


def crop_in_onnx_runtime(size: int) -> list[float]:
  """Two corners of a box of an 8x8 image, cut out and resized to `size`.

  The box is [0.25, 0.25, 0.5, 0.5] and the image counts up from 0 row by row, as
  tf2onnx writes it for `tf.image.crop_and_resize`.
  """
  import onnx
  import onnxruntime
  from onnx import helper
  tensor_info = helper.make_tensor_value_info
  graph = helper.make_graph(
      [helper.make_node(
          'Resize', ['image', 'box', '', 'sizes'], ['crop'], mode='linear',
          coordinate_transformation_mode='tf_crop_and_resize')],
      'crop',
      [tensor_info('image', onnx.TensorProto.FLOAT, [1, 1, 8, 8]),
       tensor_info('box', onnx.TensorProto.FLOAT, [8])],
      [tensor_info('crop', onnx.TensorProto.FLOAT, None)],
      [helper.make_tensor(
          'sizes', onnx.TensorProto.INT64, [4], [1, 1, size, size])])
  model = helper.make_model(
      graph, opset_imports=[helper.make_opsetid('', 15)], ir_version=8)
  session = onnxruntime.InferenceSession(
      model.SerializeToString(), providers=['CPUExecutionProvider'])
  crop, = session.run(None, {
      'image': np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8),
      'box': np.array([0, 0, .25, .25, 1, 1, .5, .5], np.float32)})
  return [float(crop[0, 0, 0, 0]), float(crop[0, 0, -1, -1])]


def _save(run, size, outputs_path):
  np.savez(outputs_path, **{
      f'{name}/{key}': value for name, image in _images(size).items()
      for key, value in run(image).items()})


def _images(size) -> dict[str, np.ndarray]:
  """Noise of the model's own size, and of one that it scales by powers of two.

  By other factors TensorFlow and the runtimes round the place of a pixel
  differently, by some 1e-5, which noise and untrained weights blow up.
  """
  rng = np.random.default_rng(3)
  shapes = {'own_size': (size, size), 'other_size': (size // 2, 2 * size)}
  return {name: rng.integers(256, size=(1, *shape, 3), dtype=np.uint8)
          for name, shape in shapes.items()}
