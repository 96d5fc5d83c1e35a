"""Labelled images: the `Dataset`, the formats that it is read from, and what is done to pixels.

`load` takes a name or a path; pictures of any kind go through the one decoder in `pictures`.
"""

from typing import Any

from alutils.base import lazy

_PLACES = {
    "Dataset": "dataset",
    "Distortion": "augmentation",
    "distort": "augmentation",
    "load": "loading",
    "read_csv": "csv_letters",
    "read_folder": "folders",
    "read_npz": "npz",
    "rendered_dataset": "rendering",
    "write_npz": "npz",
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    return lazy.find(__name__, _PLACES, name)
