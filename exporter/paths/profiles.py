"""Where the profiles lie that come with the package."""

import os

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INSTALLED = os.path.join(_PACKAGE, 'profiles')

# In the repository they lie where a visitor looks for them.
FOLDER = _INSTALLED if os.path.isdir(_INSTALLED) else os.path.join(
    os.path.dirname(_PACKAGE), 'configs', 'outputs')
