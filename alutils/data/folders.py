"""Images in class folders, a folder a class: picture files read into one array."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from alutils.base.errors import BadInput
from alutils.base.manifest import read_json
from alutils.data.dataset import Dataset
from alutils.data.pictures import BadPicture, Picture, decode
from alutils.data.png import NOTE
from alutils.data.skips import Skips, check_choice

_log = logging.getLogger("alutils")
_BATCH = 64  # files that a thread reads at a time


@dataclass(frozen=True)
class _Wanted:
    """What images are turned into; see `read_folder`."""

    colour: str
    size: tuple[int, int] | None


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

    `alutils.data.pictures` says what is read and what becomes of it; what is changed is logged.
    Hidden files are ignored. The images are sorted by the names of the classes, then by their own.

    Parameters
    ----------
    path
        Folder that holds a folder for each class, and nothing else.
    on_bad
        ``error`` stops at the first file or class that cannot be used; ``skip`` leaves it out,
        counts it and logs the counts.
    colour
        ``grey``, ``rgb``, or ``auto`` to keep what the files have, which must be one of the two.
    size
        Height and width in pixels that all images are resized to; without it they must agree.
    classes
        Names that are expected, in the order of their labels; by default those of the folders,
        sorted. Expected classes stay, with no image perhaps, if they are skipped.
    at_least
        A class with fewer images is bad: one cannot be divided into training and test.
    provenance
        Of the data set; by default what `alutils.data.png.csv_to_png` noted, else ``local``.
    progress
        Show a progress bar.
    report
        Is filled with what was seen and skipped.

    Returns
    -------
    Dataset
        Images (n, height, width) if grey, (n, height, width, 3) if not.

    Raises
    ------
    BadInput
        If something is bad and is not to be skipped, nothing good is left, the files are partly
        grey and partly colour with ``colour="auto"``, or an option has no such value.
    OSError
        If a file cannot be read.
    """
    path = Path(path)
    check_choice("on_bad", on_bad)
    check_choice("colour", colour, ("auto", "grey", "rgb"))
    _check_size(size)
    report = Skips() if report is None else report
    report.what = "files"
    if not path.is_dir():
        raise BadInput(f"{path}: expected a folder that holds a folder for each class")

    found = _find(path, classes, on_bad, report)
    names = tuple(found) if classes is None else tuple(classes)
    files = [(file, name) for name in names for file in found.get(name, ())]
    _check_classes(path, {name: len(found.get(name, ())) for name in names}, at_least, on_bad, None)
    images: list[np.ndarray] = []
    kept: list[tuple[str, str]] = []
    changed: Counter[str] = Counter()
    wanted = _Wanted(colour, size)
    # closing: when the first bad file ends it, the rest need not be read
    with closing(_read_all([file for file, _ in files], wanted)) as results:
        bar = tqdm(results, path.name, len(files), unit=" images", disable=not progress)
        for file, result in zip(files, bar, strict=True):
            report.seen += 1
            if isinstance(result, BadPicture):
                report.bad(result.reason, f"{file[0]} {result.problem}", on_bad, result.hint)
            else:
                images.append(result.pixels)
                kept.append(file)
                changed.update(result.notes)
    images, kept = _alike(images, kept, colour, on_bad, report)
    counts = {name: 0 for name in names} | Counter(name for _, name in kept)
    too_small = _check_classes(path, counts, at_least, on_bad, report)
    good = [i for i, (_, name) in enumerate(kept) if name not in too_small]
    report.log(path)
    for note, n in changed.items():
        _log.warning("%s: %s in %d of %d files", path, note, n, len(files))
    if not good:
        raise BadInput(f"{path}: no image can be used; expected pictures, CLASS/FILE")
    if classes is None:
        names = tuple(name for name in names if counts[name] and name not in too_small)
    labels = np.array([names.index(kept[i][1]) for i in good], np.int64)
    provenance = provenance or read_json(path / NOTE).get("provenance", "local")
    return Dataset(
        np.stack([images[i] for i in good]), labels, names, provenance, path.resolve().name
    )


def _check_size(size: object) -> None:
    if size is None:
        return
    is_pair = isinstance(size, tuple | list) and len(size) == 2
    if not is_pair or not all(isinstance(side, int) and side > 0 for side in size):
        raise BadInput(f"size={size!r}: expected a height and a width in pixels, as (28, 28)")


def _find(
    path: Path, classes: Sequence[str] | None, on_bad: str, report: Skips
) -> dict[str, list[str]]:
    """Paths of each class' files, sorted; what is in the wrong place is bad."""
    found: dict[str, list[str]] = {}
    for entry in _visible(path):
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
        otherwise = "add some, or lower at_least"
        for _ in range(max(n, 1)):  # each of its images is skipped; an empty class counts as one
            (report or Skips("files")).bad(reason, message, on_bad, otherwise)
    return too_small


def _alike(
    images: list[np.ndarray], files: list[tuple[str, str]], colour: str, on_bad: str, report: Skips
) -> tuple[list[np.ndarray], list[tuple[str, str]]]:
    """Keep the images that have the size of most, after a check that all are grey or none."""
    if len({image.ndim for image in images}) > 1:
        grey = [file for image, (file, _) in zip(images, files, strict=True) if image.ndim == 2]
        rgb = [file for image, (file, _) in zip(images, files, strict=True) if image.ndim == 3]
        raise BadInput(
            f"colour={colour!r}: {len(grey):,} images are grey ({grey[0]} is the first) and "
            f"{len(rgb):,} are in colour ({rgb[0]}); expected one or the other: choose "
            "colour='grey' or colour='rgb' to convert them"
        )
    sizes = Counter(image.shape[:2] for image in images)
    if len(sizes) < 2:
        return images, files
    (usual, n_usual), *_ = sizes.most_common(1)
    good = []
    for i, (image, (file, _)) in enumerate(zip(images, files, strict=True)):
        if image.shape[:2] == usual:
            good.append(i)
            continue
        report.bad(
            "other size",
            f"{file} is {_shown(image.shape)} pixels high and wide, {n_usual:,} others are "
            f"{_shown(usual)}",
            on_bad,
            f"resize all with size={usual}",
        )
    return [images[i] for i in good], [files[i] for i in good]


def _shown(size: tuple[int, ...]) -> str:
    return f"{size[0]}×{size[1]}"


# --- one file -------------------------------------------------------------------------------------


def _read_all(files: list[str], wanted: _Wanted) -> Iterator[Picture | BadPicture]:
    """Images in the order of the files, or what is wrong with them."""

    def batch(start: int) -> list[Picture | BadPicture]:
        return [_read(file, wanted) for file in files[start : start + _BATCH]]

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            for results in pool.map(batch, range(0, len(files), _BATCH)):
                yield from results
        finally:
            pool.shutdown(cancel_futures=True)


def _read(file: str, wanted: _Wanted) -> Picture | BadPicture:
    try:
        picture = decode(Path(file).read_bytes(), file)
    except BadPicture as bad:
        return bad
    if wanted.colour == "auto" and wanted.size is None:
        return picture
    image = Image.fromarray(picture.pixels)
    image = image.convert({"auto": image.mode, "grey": "L", "rgb": "RGB"}[wanted.colour])
    if wanted.size is not None:
        image = image.resize(wanted.size[::-1], Image.Resampling.BILINEAR)
    return Picture(np.array(image), picture.notes)
