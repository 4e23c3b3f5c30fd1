"""Makes exports for older TensorFlows to load: run by the Python of a newer stack.

    python tests/support/newer_exports.py FOLDER

FOLDER then holds `stock`, `lean` and `slimmed`, an image in `inputs.npz` and, in
`outputs.npz`, what `lean` makes of it.
"""

import pathlib
import subprocess
import sys

_SUPPORT = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(_SUPPORT), str(_SUPPORT.parents[1])]

# pylint: disable=g-import-not-at-top
import dataclasses

import numpy as np

import export_jobs  # First: it prepares the environment.
import load_jobs
from families import SSD


def main(folder: pathlib.Path):
  family = dataclasses.asdict(SSD)
  training, stock, lean, slimmed = (
      str(folder / name) for name in ('training', 'stock', 'lean', 'slimmed'))
  export_jobs.write_checkpoint(SSD.name, training)
  export_jobs.export_stock(family, training, stock)
  allow, deny = SSD.output_keys, SSD.exclude_output_keys
  export_jobs.export_ours(family, training, lean, allow, deny)
  subprocess.run(
      [sys.executable, '-m', 'exporter.slim_saved_model', f'--saved_model_dir={stock}',
       f'--output_directory={slimmed}/saved_model', f'--output_keys={allow}',
       f'--exclude_output_keys={deny}'], check=True, cwd=_SUPPORT.parents[1])
  image = np.random.default_rng(0).integers(256, size=(1, 96, 128, 3), dtype=np.uint8)
  np.savez(folder / 'inputs.npz', input_tensor=image)
  load_jobs.load_and_run(f'{lean}/saved_model', folder / 'inputs.npz',
                         folder / 'outputs.npz')


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]))
