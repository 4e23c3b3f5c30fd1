"""Source edits for people who keep a fork of `models/research`.

    python -m patches --research_dir=path/to/models/research --diff
    python -m patches --research_dir=path/to/models/research

One module each: the edits (`exporter_lib_edit`, `exporter_main_edit`,
`meta_arch_edit`), what they may drop (`prediction_keys`), the file that a fork
gets (`vendored_file`), what a run would change (`plan`) and how (`file_changes`),
and the record that makes it reversible (`ledger`).
"""

import exporter as _  # Says so where the Python is too old.
