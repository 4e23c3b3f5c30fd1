"""Exports detection models with only the outputs that are wanted.

People start at `exporter_main_v2`, `slim_saved_model`, `payload`, `draw_detections`,
`detect_images`, `dead_nodes` or `triton_config`; programs import `exporter_lib_v2` and
`slimming`.
"""

import sys

# Whatever is started, this runs first, and old Pythons can read it.
if sys.version_info < (3, 9):
  sys.exit('Python %d.%d is too old; the exporter needs 3.9 or later.'
           % sys.version_info[:2])
