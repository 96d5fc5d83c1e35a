"""What every other room stands on: errors, files, locks, downloads, caches, TensorFlow's import.

Nothing here knows of images, models or labels.
"""

from alutils.base.errors import BadInput, ParameterError
from alutils.base.files import display_path, repository_root

__all__ = ["BadInput", "ParameterError", "display_path", "repository_root"]
