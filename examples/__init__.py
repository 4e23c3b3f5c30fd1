"""Programs to copy from; each says how it is started."""

import exporter as _  # Says so where the Python is too old.
