"""The checkpoint of random weights that contenders export."""

import os

from benchmarks import processes


def random_checkpoint(config: str, folder: str) -> str:
  """Makes one for a pipeline config, unless the folder has one; gives the folder."""
  if not os.path.exists(os.path.join(folder, 'checkpoint')):
    processes.run_python('-m', 'examples.random_checkpoint',
                         f'--pipeline_config_path={config}',
                         f'--output_directory={folder}')
  return folder
