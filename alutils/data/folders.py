"""Images in class folders, a folder a class: picture files read into one array."""

import logging
import math
import os
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from alutils.base.errors import BadInput
from alutils.base.manifest import read_json
from alutils.base.names import seen_as
from alutils.base.project_folder import is_project
from alutils.base.surfaces import Remedy
from alutils.data.class_names import NAMES, read_names
from alutils.data.dataset import Dataset
from alutils.data.decoding import MOST_PIXELS, MOST_SIDE, BadPicture, Picture, decode, read_bytes
from alutils.data.png import NOTE
from alutils.data.skips import Skips, check_choice
from alutils.data.soundness import copies, dark
from alutils.data.streams.files import is_folder, walk

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
    Hidden files are ignored, and so is a project of the labelling tool. The images are sorted by
    the names of the classes, then by their own. A class is called as its folder, unless
    `alutils.data.class_names` has kept another name of it.

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
        If the folder cannot be listed.
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
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers[each.class_name] for each in good], np.int64)
    provenance = provenance or _provenance(path)
    report.note(path, dark(int(images.max()), path))
    report.note(path, copies(images, labels, lambda place: _below(path, good[place].file)))
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
    path : folder of picture files; hidden ones are ignored, and the labelling tool's own
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
    files = sorted(str(path / file.name) for file in walk(path))
    no_class = [(file, "") for file in files]
    taken = _take(path, no_class, on_bad, colour, size, report, progress)
    report.log(path)
    if not taken:
        raise BadInput(f"{path}: no image can be used; expected pictures in it")
    names = tuple(_below(path, each.file) for each in taken)
    return np.stack([each.image for each in taken]), names


def _provenance(path: Path) -> str:
    """Return what is noted in a folder; whatever else may be called like the note says nothing."""
    noted = read_json(path / NOTE).get("provenance") if (path / NOTE).is_file() else None
    return noted if isinstance(noted, str) and noted else "local"


def _below(path: Path, file: str) -> str:
    return Path(file).relative_to(path).as_posix()


def _begun(
    path: str | Path, on_bad: str, colour: str, size: object, report: Skips | None, expected: str
) -> tuple[Path, Skips]:
    """Check the options of reading and that there is a folder; return it and what is reported."""
    path = Path(path)
    check_choice("on_bad", on_bad)
    check_choice("colour", colour, ("auto", "grey", "rgb"))
    sides(size)
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
    if size is not None:
        check_room(len(files), size)
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


def sides(size: object) -> tuple[int, int] | None:
    """Return a height and a width in pixels; None for None.

    BadInput for what is none, or is larger than a picture may be.
    """
    if size is None:
        return None
    given = tuple(size) if isinstance(size, tuple | list) else ()
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in given)
    if len(given) != 2 or not whole or min(given) < 1:
        raise BadInput(f"size={size!r}: expected a height and a width in pixels, as (28, 28)")
    height, width = map(int, given)
    if max(height, width) > MOST_SIDE or height * width > MOST_PIXELS:
        most = f"{MOST_SIDE:,} pixels a side and {MOST_PIXELS:,} in all"
        raise BadInput(f"size={size!r}: expected at most {most}")
    return height, width


def check_room(n: int, shape: tuple[int, ...]) -> None:
    """Raise BadInput if so many pictures of this shape are more than the machine's memory holds."""
    if not hasattr(os, "sysconf"):  # Windows does not tell
        return
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = n * math.prod(shape)
    if needed > there:
        raise BadInput(
            f"{n:,} pictures of {_shown(shape[:2])} pixels take {needed / 2**30:,.0f} GiB, the "
            f"memory of this machine is {there / 2**30:,.0f} GiB",
            Remedy("make them smaller", "size", (28, 28)),
        )


def _find(
    path: Path, classes: Sequence[str] | None, on_bad: str, report: Skips
) -> dict[str, list[str]]:
    """Paths of each class' files, sorted; what is in the wrong place is bad."""
    found: dict[str, list[str]] = {}
    true = read_names(path)
    # A project of the labelling tool that lies among the pictures is no class.
    entries = [each for each in _visible(path) if not (is_folder(each) and is_project(each.path))]
    if entries and not any(is_folder(entry) for entry in entries):
        raise BadInput(
            f"{path} holds no folder for each class, only files such as {entries[0].name}; sort "
            "pictures that have labels into folders named after their classes; for pictures "
            "without labels use notebook 00, or `python -m alutils label FOLDER`"
        )
    for entry in entries:
        if not is_folder(entry):
            report.seen += 1
            problem = f"{entry.path} lies outside the class folders"
            report.bad("outside class folders", problem, on_bad, "move it away")
            continue
        # Bytes that are no UTF-8 could not be printed later on.
        plain = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
        name = true.get(entry.name, plain)
        if name in found:
            problem = f"{entry.path} and another folder are both the class {name!r}"
            raise BadInput(f"{problem}, expected one", f"put {NAMES} right")
        try:
            inside = _visible(entry.path)
        except OSError as error:
            report.seen += 1
            problem = f"{entry.path} is a folder that cannot be opened ({error.strerror})"
            report.bad("cannot be opened", problem, on_bad, "check that it may be read")
            continue
        if classes is not None and name not in classes:
            report.seen += len(inside)
            problem = f"{entry.path}: no such class is expected, only {', '.join(classes)}"
            for _ in inside or [entry]:
                report.bad("unexpected class", problem, on_bad, "rename it")
            continue
        for nested in (each for each in inside if is_folder(each)):
            report.seen += 1
            problem = f"{nested.path} is a folder inside a class folder, expected images only"
            report.bad("nested folder", problem, on_bad, "move it away")
        found[name] = [each.path for each in inside if not is_folder(each)]
    alike: dict[str, str] = {}
    for name in found:
        other = alike.setdefault(seen_as(name), name)
        if other != name:
            raise BadInput(
                f"{path}: the classes {other!a} and {name!a} look the same, expected one",
                "rename one of them, or put their pictures together",
            )
    return dict(sorted(found.items()))


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
        smaller = "take smaller classes, too, by alutils.data.folders.read_folder"
        ways = "add some", Remedy(smaller, "at_least", n)
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
        picture = decode(read_bytes(file), file)
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
