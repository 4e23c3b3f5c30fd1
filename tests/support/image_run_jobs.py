"""Runs a SavedModel on an image file, in a process that has imported TensorFlow."""

from exporter.saved_model.signature import read_signature
from exporter.serving import image_request


def run(saved_model_dir: str, image: str) -> dict[str, str]:
  """The bytes of each output, in hex."""
  outputs = image_request.run_on_image(
      saved_model_dir, read_signature(saved_model_dir), image)
  return {key: value.tobytes().hex() for key, value in outputs.items()}
