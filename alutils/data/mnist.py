"""MNIST, all of it or what the article uses of it."""

import io
import zipfile
from pathlib import Path

import numpy as np

from alutils.base import artefacts
from alutils.base.downloads import Arrays, Content, SourceError
from alutils.base.files import atomic_file, repository_root
from alutils.base.npz import read_arrays
from alutils.data.dataset import DIGITS, Dataset

N_ARTICLE_TRAIN = 4_000
N_ARTICLE_TEST = 400
_AGAIN = "restore it with git, or make it again with `python -m alutils data mnist_article`"

ARTICLE = Content(
    shapes={
        "x_train": (N_ARTICLE_TRAIN, 28, 28),
        "y_train": (N_ARTICLE_TRAIN,),
        "x_test": (N_ARTICLE_TEST, 28, 28),
        "y_test": (N_ARTICLE_TEST,),
    },
    dtype=np.dtype(np.uint8),
    sha256={
        ("x_train",): "c49a7680bb295ed6b48f023662af4c8b298ece11212e5853dc52a0e1c2431471",
        ("y_train",): "ddb2b3bd2179a11cb40574a96e9c2686ac8a2d92571568beef67538582fd29b4",
        ("x_test",): "b0d5174c7871038c43148f906d1f8af6145f42e662a2aed5b987ad95eed71501",
        ("y_test",): "2165023f4c9ec53aea78ec75a85340277db6fe879bd7fe3e923ac124e8a86ace",
    },
)


def mnist() -> tuple[Dataset, Dataset]:
    """All of MNIST: 60,000 training and 10,000 test digits; errors as `artefacts.mnist`."""
    return _train_and_test(artefacts.mnist(), "mnist")


def mnist_article() -> tuple[Dataset, Dataset]:
    """Return the digits that the article uses: the first 4,000 training and first 400 test images.

    They are part of the repository, so this needs no network. FileNotFoundError or ValueError if
    the file is missing or not what it should be.
    """
    path = article_path()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {_AGAIN}")
    try:
        arrays = ARTICLE.read(path, read_arrays)
    except SourceError as error:
        raise ValueError(f"{path}: {error}; {_AGAIN}") from error
    return _train_and_test(arrays, "mnist_article")


def _train_and_test(arrays: Arrays, name: str) -> tuple[Dataset, Dataset]:
    def part(of: str) -> Dataset:
        labels = arrays[f"y_{of}"].astype(np.int64)
        return Dataset(arrays[f"x_{of}"], labels, DIGITS, "mnist", f"{name}_{of}")

    return part("train"), part("test")


def article_path() -> Path:
    """Where the article's digits lie in the repository."""
    return repository_root() / "data" / "mnist_article.npz"


def make_mnist_article(path: Path | None = None, arrays: Arrays | None = None) -> Path:
    """Write the article's digits: the same bytes every time.

    Parameters
    ----------
    path : the file to write; by default the one in the repository
    arrays : all of MNIST, as `alutils.base.artefacts.mnist` gives it, which is the default

    Returns
    -------
    the file written; ValueError if the arrays are not MNIST, nothing is written then
    """
    path = article_path() if path is None else Path(path)
    arrays = artefacts.mnist() if arrays is None else arrays
    first = {
        name: arrays[name][: N_ARTICLE_TRAIN if name.endswith("train") else N_ARTICLE_TEST]
        for name in ARTICLE.shapes
    }
    try:
        ARTICLE.check(first)
    except SourceError as error:
        raise ValueError(f"these arrays are not MNIST: {error}") from error
    with atomic_file(path) as handle, zipfile.ZipFile(handle, "w") as archive:
        for name, array in first.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            # unlike np.savez_compressed: a fixed date, and the same system whatever this one is
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return path
