"""Images in class folders, a folder a class: picture files read into one array."""

import logging
import os
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from alutils.base.errors import BadInput
from alutils.base.manifest import read_json
from alutils.base.surfaces import Remedy
from alutils.data.dataset import Dataset
from alutils.data.decoding import BadPicture, Picture, decode
from alutils.data.png import NOTE
from alutils.data.skips import Skips, check_choice

_log = logging.getLogger("alutils")
_BATCH = 64  # files that a thread reads at a time


class _Taken(NamedTuple):
    """A picture that can be used."""

    image: np.ndarray
    file: str
    class_name: str


def read_folder(
    path: str | Path,
    on_bad: str = "error",
    *,
    colour: str = "auto",
    size: tuple[int, int] | None = None,
    classes: Sequence[str] | None = None,
    at_least: int = 2,
    provenance: str | None = None,
    progress: bool = False,
    report: Skips | None = None,
) -> Dataset:
    """Read images from class folders: ``PATH/CLASS/FILE``.

    `alutils.data.decoding` says what is read and what becomes of it; what is changed is logged.
    Hidden files are ignored. The images are sorted by the names of the classes, then by their own.

    Parameters
    ----------
    path : folder that holds a folder for each class, and nothing else
    on_bad : ``error`` stops at the first file or class that cannot be used; ``skip`` leaves it out,
        counts it and logs the counts
    colour : ``grey``, ``rgb``, or ``auto`` to keep what the files have, which must be one of these
    size : height and width in pixels that all images are resized to; without it they must agree
    classes : names that are expected, in the order of their labels; by default those of the
        folders, sorted. Expected classes stay, with no image perhaps, if they are skipped
    at_least : a class with fewer images is bad: one cannot be divided into training and test
    provenance : of the data set; by default what `alutils.data.png.csv_to_png` noted, else
        ``local``
    progress : whether to show a bar
    report : is filled with what was seen and skipped

    Returns
    -------
    Dataset, images (n, height, width) if grey, (n, height, width, 3) if not

    Raises
    ------
    BadInput
        If something is bad and is not to be skipped, nothing good is left, the files are partly
        grey and partly colour with ``colour="auto"``, or an option has no such value.
    OSError
        If a file cannot be read.
    """
    path, report = _begun(path, on_bad, colour, size, report, "that holds a folder for each class")
    found = _find(path, classes, on_bad, report)
    names = tuple(found) if classes is None else tuple(classes)
    files = [(file, name) for name in names for file in found.get(name, ())]
    _check_classes(path, {name: len(found.get(name, ())) for name in names}, at_least, on_bad, None)
    taken = _take(path, files, on_bad, colour, size, report, progress)
    counts = {name: 0 for name in names} | Counter(each.class_name for each in taken)
    too_small = _check_classes(path, counts, at_least, on_bad, report)
    good = [each for each in taken if each.class_name not in too_small]
    report.log(path)
    if not good:
        raise BadInput(f"{path}: no image can be used; expected pictures, CLASS/FILE")
    if classes is None:
        names = tuple(name for name in names if counts[name] and name not in too_small)
    images = np.stack([each.image for each in good])
    labels = np.array([names.index(each.class_name) for each in good], np.int64)
    provenance = provenance or read_json(path / NOTE).get("provenance", "local")
    return Dataset(images, labels, names, provenance, path.resolve().name)


def read_pictures(
    path: str | Path,
    on_bad: str = "error",
    *,
    colour: str = "auto",
    size: tuple[int, int] | None = None,
    progress: bool = False,
    report: Skips | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a folder of pictures that have no classes yet, with the folders inside it.

    Parameters
    ----------
    path : folder of picture files; hidden ones are ignored
    on_bad, colour, size, progress, report : as in `read_folder`

    Returns
    -------
    images, uint8 (n, height, width) if grey, (n, height, width, 3) if not, sorted by file; and
    their files, relative to ``path``

    Raises
    ------
    BadInput, OSError
        As `read_folder` does.
    """
    path, report = _begun(path, on_bad, colour, size, report, "of pictures")
    files = sorted(
        str(file)
        for file in path.rglob("*")
        if file.is_file() and not any(p.startswith(".") for p in file.relative_to(path).parts)
    )
    no_class = [(file, "") for file in files]
    taken = _take(path, no_class, on_bad, colour, size, report, progress)
    report.log(path)
    if not taken:
        raise BadInput(f"{path}: no image can be used; expected pictures in it")
    names = tuple(Path(each.file).relative_to(path).as_posix() for each in taken)
    return np.stack([each.image for each in taken]), names


def _begun(
    path: str | Path, on_bad: str, colour: str, size: object, report: Skips | None, expected: str
) -> tuple[Path, Skips]:
    """Check the options of reading and that there is a folder; return it and what is reported."""
    path = Path(path)
    check_choice("on_bad", on_bad)
    check_choice("colour", colour, ("auto", "grey", "rgb"))
    check_size(size)
    report = Skips() if report is None else report
    report.what = "files"
    if not path.is_dir():
        raise BadInput(f"{path}: expected a folder {expected}")
    return path, report


def _take(
    path: Path,
    files: Sequence[tuple[str, str]],
    on_bad: str,
    colour: str,
    size: tuple[int, int] | None,
    report: Skips,
    progress: bool,
) -> list[_Taken]:
    """Read files, each with the name of its class; return the good ones, which are all alike."""
    taken: list[_Taken] = []
    changed: Counter[str] = Counter()
    # closing: when the first bad file ends it, the rest need not be read
    with closing(_read_all([file for file, _ in files], colour, size)) as results:
        bar = tqdm(results, path.name, len(files), unit=" images", disable=not progress)
        for (file, name), result in zip(files, bar, strict=True):
            report.seen += 1
            if isinstance(result, BadPicture):
                report.bad(result.reason, f"{file} {result.problem}", on_bad, result.hint)
            else:
                taken.append(_Taken(result.pixels, file, name))
                changed.update(result.notes)
    for note, n in changed.items():
        _log.warning("%s: %s in %d of %d files", path, note, n, len(files))
    return _alike(taken, on_bad, report)


def check_size(size: object) -> None:
    """Raise BadInput unless it is None or a height and a width in pixels."""
    sides = size if isinstance(size, tuple | list) else ()
    good = len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides)
    if size is not None and not good:
        raise BadInput(f"size={size!r}: expected a height and a width in pixels, as (28, 28)")


def _find(
    path: Path, classes: Sequence[str] | None, on_bad: str, report: Skips
) -> dict[str, list[str]]:
    """Paths of each class' files, sorted; what is in the wrong place is bad."""
    found: dict[str, list[str]] = {}
    entries = _visible(path)
    if entries and not any(entry.is_dir() for entry in entries):
        raise BadInput(
            f"{path} holds no folder for each class, only files such as {entries[0].name}; sort "
            "pictures that have labels into folders named after their classes; for pictures "
            "without labels use notebook 00, or `python -m alutils label FOLDER`"
        )
    for entry in entries:
        if not entry.is_dir():
            report.seen += 1
            problem = f"{entry.path} lies outside the class folders"
            report.bad("outside class folders", problem, on_bad, "move it away")
            continue
        inside = _visible(entry.path)
        if classes is not None and entry.name not in classes:
            report.seen += len(inside)
            problem = f"{entry.path}: no such class is expected, only {', '.join(classes)}"
            for _ in inside or [entry]:
                report.bad("unexpected class", problem, on_bad, "rename it")
            continue
        for nested in (each for each in inside if each.is_dir()):
            report.seen += 1
            problem = f"{nested.path} is a folder inside a class folder, expected images only"
            report.bad("nested folder", problem, on_bad, "move it away")
        found[entry.name] = [each.path for each in inside if not each.is_dir()]
    return found


def _visible(folder: Path | str) -> list[os.DirEntry]:
    # not Path.iterdir: hundreds of thousands of Paths cost as much memory as small images
    with os.scandir(folder) as entries:
        visible = [each for each in entries if not each.name.startswith(".")]
    return sorted(visible, key=lambda each: each.name)


def _check_classes(
    path: Path, counts: dict[str, int], at_least: int, on_bad: str, report: Skips | None
) -> set[str]:
    """Return the classes with too few images; they are bad."""
    too_small = {name for name, n in counts.items() if n < at_least}
    if report is None and on_bad == "skip":
        return too_small  # they are counted in the end, when it is known which files are good
    for name in sorted(too_small):
        n = counts[name]
        what = ("no image", "one image")[n] if n < 2 else f"{n} images"
        reason = ("empty class", "class of one image")[n] if n < 2 else "class too small"
        message = f"{path}: class {name!r} has {what}, expected {at_least} or more"
        ways = "add some", Remedy("take smaller classes, too,", "at_least", n)
        for _ in range(max(n, 1)):  # each of its images is skipped; an empty class counts as one
            (report or Skips("files")).bad(reason, message, on_bad, *ways)
    return too_small


def _alike(taken: list[_Taken], on_bad: str, report: Skips) -> list[_Taken]:
    """Keep the images that have the size of most, after a check that all are grey or none."""
    grey = [each.file for each in taken if each.image.ndim == 2]
    rgb = [each.file for each in taken if each.image.ndim == 3]
    if grey and rgb:
        raise BadInput(
            f"{len(grey):,} images are grey ({grey[0]} is the first) and {len(rgb):,} are in "
            f"colour ({rgb[0]}), expected one or the other",
            Remedy("make all of them grey", "colour", "grey"),
            Remedy("make all of them RGB", "colour", "rgb"),
        )
    sizes = Counter(each.image.shape[:2] for each in taken)
    for usual, n_usual in sizes.most_common(1):
        for image, file, _ in taken:
            if image.shape[:2] != usual:
                problem = (
                    f"{file} is {_shown(image.shape)} pixels high and wide, {n_usual:,} others are "
                    f"{_shown(usual)}"
                )
                report.bad("other size", problem, on_bad, Remedy("resize all", "size", usual))
        return [each for each in taken if each.image.shape[:2] == usual]
    return taken


def _shown(size: tuple[int, ...]) -> str:
    return f"{size[0]}×{size[1]}"


# --- one file -------------------------------------------------------------------------------------


def _read_all(
    files: list[str], colour: str, size: tuple[int, int] | None
) -> Generator[Picture | BadPicture]:
    """Images in the order of the files, or what is wrong with them."""

    def batch(start: int) -> list[Picture | BadPicture]:
        return [_read(file, colour, size) for file in files[start : start + _BATCH]]

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            for results in pool.map(batch, range(0, len(files), _BATCH)):
                yield from results
        finally:
            pool.shutdown(cancel_futures=True)


def _read(file: str, colour: str, size: tuple[int, int] | None) -> Picture | BadPicture:
    try:
        picture = decode(Path(file).read_bytes(), file)
    except BadPicture as bad:
        return bad
    if colour == "auto" and size is None:
        return picture
    return Picture(as_asked(Image.fromarray(picture.pixels), colour, size), picture.notes)


def as_asked(image: Image.Image, colour: str, size: tuple[int, int] | None) -> np.ndarray:
    """Return a picture's pixels, uint8, in the colour and size that `read_folder` is asked for."""
    image = image.convert({"auto": image.mode, "grey": "L", "rgb": "RGB"}[colour])
    if size is not None:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.array(image)
