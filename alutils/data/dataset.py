"""Labelled images as one type, whatever they came from."""

import difflib
import hashlib
import io
import logging
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alutils.base import artefacts
from alutils.base.downloads import Arrays, Content, SourceError, read_npz
from alutils.base.errors import BadInput
from alutils.base.files import atomic_file, repository_root
from alutils.data.skips import Skips, check_choice

_log = logging.getLogger("alutils")

DIGITS = tuple("0123456789")
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


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


# --- by name or path ------------------------------------------------------------------------------

# The smallest class has 1,120 letters, as in the real set; 70% of all are as many letters as the
# report's balanced pool holds, 26 times 1,120.
RENDERED_N = 41_600
RENDERED_AT_LEAST = 1_120
AZ_ROWS = (372_450, 372_451)  # in the report, and with the row that pandas takes for a header

NAMES = ("az", "mnist", "mnist_article", "rendered")


def load(spec: str | Path, *, seed: int = 0, on_bad: str = "error") -> Dataset:
    """Return a data set by its name or from a file or folder.

    Parameters
    ----------
    spec
        ``rendered``: 41,600 letters rendered from handwriting fonts, as uneven as real ones, 1,120
        or more of each class. ``az``: Kaggle's handwritten letters. ``mnist``: all 70,000 digits,
        the test digits last. ``mnist_article``: the 4,000 + 400 of the article. Else the path of a
        CSV in the format of the Kaggle letters, of an npz file with ``images`` and ``labels``, or
        of a folder of class folders; a relative one is looked for in the working directory, then
        in the repository. ``./az`` is a path, ``az`` is not.
    seed
        Of the rendered letters.
    on_bad
        What to do with rows and files that cannot be used: ``error`` or ``skip``, which counts and
        reports them. See `alutils.data.csv_letters.csv_chunks`, `alutils.data.folders.read_folder`,
        which have more options.

    Raises
    ------
    alutils.data.skips.BadInput
        If there is no such name or file, or it holds something else.
    alutils.base.artefacts.ArtefactError
        If a download is needed and cannot be had.
    """
    check_choice("on_bad", on_bad)
    if spec == "rendered":
        from alutils.data.rendering import rendered_dataset

        return rendered_dataset(RENDERED_N, seed, at_least=RENDERED_AT_LEAST)
    if spec == "az":
        return _az(on_bad)
    if spec in ("mnist", "mnist_article"):
        train, test = mnist() if spec == "mnist" else mnist_article()
        images = np.concatenate([train.images, test.images])
        labels = np.concatenate([train.labels, test.labels])
        return replace(train, images=images, labels=labels, name=spec)
    return _load_path(spec, on_bad)


def _az(on_bad: str) -> Dataset:
    from alutils.data import csv_letters, npz

    kept = az_path()
    if kept.is_file():
        try:
            return npz.read_npz(kept)
        except BadInput as error:
            _log.warning("%s in the cache is not used and made again: %s", kept.name, error)
    table = artefacts.az_kaggle()
    skips = Skips()
    letters = csv_letters.read_csv(table, on_bad, provenance="kaggle", progress=True, report=skips)
    letters = replace(letters, name="az")
    if skips.total or len(letters) not in AZ_ROWS:
        _log.warning("az: %d letters instead of %d; not kept", len(letters), AZ_ROWS[0])
        return letters
    try:
        npz.write_npz(letters, kept)
    except OSError as error:  # the letters are good all the same
        _log.warning("%s could not be kept for the next time: %s", kept.name, error)
    return letters


def az_path() -> Path:
    """Where Kaggle's letters are kept once they are read."""
    return artefacts.cache_folder() / "az.npz"


def _load_path(spec: str | Path, on_bad: str) -> Dataset:
    from alutils.data import csv_letters, folders, npz

    path = _find(spec)
    if path.is_dir():
        return folders.read_folder(path, on_bad, progress=True)
    if path.suffix.lower() == ".csv":
        return csv_letters.read_csv(path, on_bad, progress=True)
    if path.suffix.lower() == ".npz":
        return npz.read_npz(path)
    raise BadInput(
        f"{spec}: a {path.suffix or 'file without suffix'} is not read; expected .csv, .npz or a "
        "folder of class folders (unpack an archive first)"
    )


def _find(spec: str | Path) -> Path:
    """Return the path that is meant, or raise an error that says where it was looked for."""
    if not isinstance(spec, str | Path) or not str(spec).strip():
        raise BadInput(f"data={spec!r}: expected {', '.join(NAMES)} or a path")
    path = Path(spec).expanduser()
    places = list(dict.fromkeys((Path.cwd() / path, repository_root() / path)))
    for place in places:
        if place.exists():
            return place
    near = difflib.get_close_matches(str(spec).lower(), NAMES, 1)
    raise BadInput(
        f"data={str(spec)!r}: no such name ({', '.join(NAMES)}) and no such file or folder; looked "
        f"for {' and '.join(map(str, places))}"
        + (f"; did you mean {near[0]}?" if near else "; check the spelling, or give a whole path")
    )


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
    alutils.base.artefacts.ArtefactError
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
        All of MNIST, as `alutils.base.artefacts.mnist` gives it, which is the default.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    alutils.base.artefacts.ArtefactError
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
