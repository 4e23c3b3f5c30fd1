"""Measures exports, servers and clients; see README.md."""

import exporter as _  # Says so where the Python is too old.
