"""Labelled images: the `Dataset`, the formats that it is read from, and what is done to pixels.

`load` takes a name or a path, `open_stream` gives pictures one after another; pictures of any kind
go through the one decoder in `decoding`.
"""

from alutils.base import lazy

_HOMES = {
    "augmentation": "Distortion distort",
    "csv_letters": "read_csv",
    "dataset": "Dataset",
    "folders": "read_folder",
    "loading": "load",
    "npz": "read_npz write_npz",
    "rendering": "rendered_dataset",
    "streams": "open_stream",
}
__getattr__, __dir__, _public = lazy.attach(__name__, _HOMES)
__all__ = _public
