"""Labelled images as one type, whatever they came from."""

import hashlib
import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alutils import artefacts
from alutils.artefacts import atomic_file, repository_root
from alutils.downloads import Arrays, Content, SourceError, read_npz

DIGITS = tuple("0123456789")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, their true labels, and where they came from.

    Parameters
    ----------
    images
        uint8, (n, height, width) grey or (n, height, width, 3) colour, 0 to 255.
    labels
        int64, (n,), positions in `classes`.
    classes
        Names of the classes, no two alike.
    provenance
        Where the images came from, in a word: ``mnist``, ``kaggle``, ``real-sample``, ``rendered``
        or whatever the user's own are called. Titles and tables carry it.
    name
        What tables and file names call this set of images.

    Raises
    ------
    TypeError, ValueError
        If the parts are not of these types or do not belong together.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    provenance: str
    name: str

    def __post_init__(self) -> None:
        for field, text in (("name", self.name), ("provenance", self.provenance)):
            if not isinstance(text, str) or not text:
                raise TypeError(f"{field}={text!r}: expected a text that is not empty")
        self._check_images()
        self._check_labels()

    def _check_images(self) -> None:
        images = self.images
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
            raise TypeError(
                f"{self.name}: images are {_kind(images)}, expected uint8 from 0 to 255; scale "
                "fractions by 255 and round, then .astype(np.uint8)"
            )
        if not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
            raise ValueError(
                f"{self.name}: images have shape {images.shape}, expected (n, height, width) or "
                "(n, height, width, 3); reshape flat pixels, drop an alpha channel"
            )
        if 0 in images.shape[1:]:
            raise ValueError(f"{self.name}: images of shape {images.shape[1:]} hold no pixel")

    def _check_labels(self) -> None:
        labels, classes = self.labels, self.classes
        if not isinstance(classes, tuple) or not all(isinstance(c, str) and c for c in classes):
            raise TypeError(f"{self.name}: classes={classes!r}, expected a tuple of names")
        if len(set(classes)) != len(classes):
            twice = sorted({name for name in classes if classes.count(name) > 1})
            raise ValueError(f"{self.name}: classes named more than once: {', '.join(twice)}")
        if not isinstance(labels, np.ndarray) or labels.dtype != np.int64:
            raise TypeError(
                f"{self.name}: labels are {_kind(labels)}, expected int64 positions in classes; "
                "use .astype(np.int64) on whole numbers"
            )
        if labels.shape != (len(self.images),):
            raise ValueError(
                f"{self.name}: labels have shape {labels.shape}, expected ({len(self.images)},), "
                "one for each image"
            )
        outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if outside.size:
            raise ValueError(
                f"{self.name}: {outside.size} labels are outside 0 to {len(classes) - 1} "
                f"({len(classes)} classes); the first is {labels[outside[0]]} at position "
                f"{outside[0]}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Dataset":
        """Return the images at these positions, in this order, repeats included.

        Parameters
        ----------
        indices
            int, (m,); or bool, (n,), to keep where it is true.

        Raises
        ------
        IndexError
            If a position is not there.
        """
        indices = np.asarray(indices)
        if indices.size == 0:
            indices = indices.astype(np.int64)  # an empty list arrives as float
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def class_counts(self) -> dict[str, int]:
        """How many images each class has, in the order of `classes`, zeros included."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def content_hash(self) -> str:
        """Hexadecimal SHA-256 of the images' shape, the images' bytes and the labels' bytes."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images))
        digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()

    def title(self, text: str) -> str:
        """Return a title for a figure or table, saying so if these images are not real ones."""
        return f"{text} (rendered, not real handwriting)" if self.provenance == "rendered" else text


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__


def as_float(images: np.ndarray) -> np.ndarray:
    """Pixels as the article feeds them to its classifier.

    Parameters
    ----------
    images
        uint8, (n, height, width) or (n, height, width, 3).

    Returns
    -------
    float32, (n, height·width) or (n, height·width·3), 0 to 1, C-contiguous: divided by 255 in
    float64, then rounded to float32.

    Raises
    ------
    TypeError
        If the images are not uint8 (normalised once already, say).
    """
    if images.dtype != np.uint8:
        raise TypeError(f"images are {images.dtype}, expected uint8 from 0 to 255")
    # there are only 256 values: look them up instead of making a float64 copy of all images
    scaled = (np.arange(256) / 255).astype(np.float32)
    return scaled[images.reshape(len(images), int(np.prod(images.shape[1:])))]


# --- MNIST ----------------------------------------------------------------------------------------

N_ARTICLE_TRAIN = 4_000
N_ARTICLE_TEST = 400

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
    """All of MNIST: 60,000 training and 10,000 test digits, downloaded at the first call.

    Raises
    ------
    alutils.artefacts.ArtefactError
        If they are not in the cache and no source can be used.
    """
    return _train_and_test(artefacts.mnist(), "mnist")


def mnist_article() -> tuple[Dataset, Dataset]:
    """Return the digits that the article uses: the first 4,000 training and first 400 test images.

    They are part of the repository, so this needs no network.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing or not what it should be.
    """
    path = article_path()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {_make_again()}")
    try:
        arrays = ARTICLE.read(path, read_npz)
    except SourceError as error:
        raise ValueError(f"{path}: {error}; {_make_again()}") from error
    return _train_and_test(arrays, "mnist_article")


def _make_again() -> str:
    return "restore it with git, or make it again with `python -m alutils data mnist_article`"


def _train_and_test(arrays: Arrays, name: str) -> tuple[Dataset, Dataset]:
    return tuple(
        Dataset(
            images=arrays[f"x_{part}"],
            labels=arrays[f"y_{part}"].astype(np.int64),
            classes=DIGITS,
            provenance="mnist",
            name=f"{name}_{part}",
        )
        for part in ("train", "test")
    )


def article_path() -> Path:
    """Where the article's digits lie in the repository."""
    return repository_root() / "data" / "mnist_article.npz"


def make_mnist_article(path: Path | None = None, arrays: Arrays | None = None) -> Path:
    """Write the article's digits: the same bytes every time.

    Parameters
    ----------
    path
        The file to write; by default the one in the repository.
    arrays
        All of MNIST, as `alutils.artefacts.mnist` gives it, which is the default.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    alutils.artefacts.ArtefactError
        If MNIST is needed and cannot be had.
    ValueError
        If the arrays are not MNIST; nothing is written then.
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
