"""The command ``python -m alutils data``: fetch, make or convert data sets."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alutils.base import surfaces
from alutils.base.errors import ParameterError
from alutils.base.files import display_path, path_argument
from alutils.base.names import printable


def add_data(commands: Any) -> None:
    text = "fetch, make or convert a data set"
    parser = commands.add_parser(
        "data", help=text, description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="names:\n" + "".join(f"  {n:14} {f.__doc__}\n" for n, f in DATA.items()),
    )  # fmt: skip
    parser.add_argument("name", choices=DATA, metavar="NAME", help=", ".join(DATA))
    parser.add_argument(
        "paths",
        nargs="*",
        type=path_argument,
        metavar="PATH",
        help="file or folder to write, where one is",
    )
    parser.add_argument(
        "--from", type=path_argument, dest="table", metavar="CSV", help="for az_png"
    )
    parser.add_argument(
        "--on-bad", choices=("error", "skip"), default="error",
        help="what to do with rows and files that cannot be used: stop (the default), or leave "
        "them out and say how many",
    )  # fmt: skip
    parser.add_argument(
        "--colour", choices=("auto", "grey", "rgb"),
        help="for folder: make all pictures grey or RGB; auto (the default) keeps what they are",
    )  # fmt: skip
    parser.add_argument(
        "--size", metavar="HxW", help="for folder: resize all pictures to this height and width"
    )
    parser.add_argument("--seed", type=int, default=0, help="of rendered letters (0)")
    hint = "; the same command goes on where this one ended"
    surface = surfaces.command(surfaces.PREPARING)
    parser.set_defaults(call=data, hint=hint, surface=surface)


def data(options: argparse.Namespace) -> int:
    """Fetch, make or convert a data set; the last line of stdout is where it is."""
    if options.table is not None and options.name != "az_png":
        raise ParameterError("--from", options.table, f"{options.name} is not made from a table")
    for flag in ("colour", "size"):
        if getattr(options, flag) is not None and options.name != "folder":
            only = "expected only with folder: other data sets have one size and one colour"
            raise ParameterError(f"--{flag}", getattr(options, flag), only)
    options.out = options.paths[-1] if options.paths else None
    if len(options.paths) > (2 if options.name == "folder" else 1):
        many = " ".join(map(str, options.paths))
        raise ParameterError("PATH", many, f"{options.name} does not take so many paths")
    print(display_path(DATA[options.name](options)))
    return 0


def _folder(options: argparse.Namespace) -> Path:
    """IN OUT.npz: a folder of class folders, a CSV or idx files, made into one npz file."""
    from alutils.data import csv_letters, folders, idx, npz

    if len(options.paths) != 2 or options.out.suffix != ".npz":
        given = " ".join(map(str, options.paths))
        expected = "expected a folder of class folders, a CSV or an idx file, and the file to write"
        raise ParameterError("PATH", given, expected, "python -m alutils data folder IN OUT.npz")
    given, size = options.paths[0], size_of(options.size)
    if not given.exists():
        raise ParameterError("IN", given, "there is no such file or folder", "check the spelling")
    if given.is_dir():
        pictures = folders.read_folder(
            given, options.on_bad, colour=options.colour or "auto", size=size, progress=True
        )
    elif options.colour or size:
        only = "for folders only: other files hold pictures of one size and colour"
        raise ParameterError("--colour" if options.colour else "--size", options.colour or
                             options.size, only)  # fmt: skip
    elif given.suffix.lower() == ".csv":
        pictures = csv_letters.read_csv(given, options.on_bad, progress=True)
    elif idx.is_idx(given):
        pictures = idx.read_idx_pair(given)
    else:
        expected = "expected a folder of class folders, a .csv or an idx file (-ubyte, -ubyte.gz)"
        raise ParameterError("IN", given, expected, "put pictures into a folder for each class")
    _print_counts(pictures.class_counts())
    return npz.write_npz(pictures, options.out)


def size_of(text: str | None) -> tuple[int, int] | None:
    """Read ``28x28``, or ``28`` for a square."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,4})(?:[x×,](\d{1,4}))?", text)
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if min(sides) < 1:
        expected = "expected height x width in pixels, 1 to 9999 each"
        raise ParameterError("--size", text, expected, "such as --size 28x28")
    return sides


def _az(options: argparse.Namespace) -> Path:
    """Kaggle's handwritten letters, downloaded and kept in the cache."""
    from alutils.base import artefacts
    from alutils.data import loading

    _refuse_out(options)
    _print_counts(loading.load("az", on_bad=options.on_bad).class_counts())
    return loading.az_path() if loading.az_path().is_file() else artefacts.az_kaggle()


def _az_png(options: argparse.Namespace) -> Path:
    """OUT/A ... OUT/Z: a PNG file a letter, from Kaggle's table or another (--from)."""
    from alutils.base import artefacts
    from alutils.data.png import csv_to_png

    if options.out is None:
        expected = "expected a folder to be made"
        raise ParameterError("out", "", expected, "python -m alutils data az_png FOLDER")
    table = options.table or artefacts.az_kaggle()
    provenance = None if options.table else "kaggle"
    _print_counts(csv_to_png(table, options.out, options.on_bad, provenance=provenance))
    return options.out


def _mnist(options: argparse.Namespace) -> Path:
    """All 70,000 digits, downloaded and kept in the cache."""
    from alutils.base import artefacts

    _refuse_out(options)
    artefacts.mnist()
    return artefacts.cache_folder()


def _fashion(options: argparse.Namespace) -> Path:
    """Fashion-MNIST: 70,000 clothes, downloaded and kept in the cache."""
    from alutils.base import artefacts

    _refuse_out(options)
    artefacts.fashion()
    return artefacts.cache_folder()


def _mnist_article(options: argparse.Namespace) -> Path:
    """Make the article's 4,000 + 400 digits again: the repository's file, or OUT.npz."""
    from alutils.data import mnist

    _check_npz(options.out)
    return mnist.make_mnist_article(options.out)


def _rendered(options: argparse.Namespace) -> Path:
    """Letters rendered from handwriting fonts, kept in the cache or in OUT.npz."""
    from alutils.base import artefacts
    from alutils.data import loading, npz

    if options.seed < 0:
        raise ParameterError("--seed", options.seed, "expected 0 or more")
    _check_npz(options.out)
    letters = loading.load("rendered", seed=options.seed)
    _print_counts(letters.class_counts())
    return npz.write_npz(letters, options.out) if options.out else artefacts.cache_folder()


def _check_npz(path: Path | None) -> None:
    """Say before the work, and not after it, that the file would not be found again."""
    if path is not None and path.suffix != ".npz":
        raise ParameterError("out", path, "expected the name of a file that ends in .npz")


def _refuse_out(options: argparse.Namespace) -> None:
    if options.out is not None:
        expected = f"{options.name} is kept in the cache and takes no file"
        raise ParameterError(
            "out", options.out, expected, "ALUTILS_CACHE names another folder for it"
        )


def _print_counts(counts: dict[str, int]) -> None:
    for name, n in [*counts.items(), ("all", sum(counts.values()))]:
        print(f"{printable(name):>4} {n:>8,}")


DATA: dict[str, Callable[[argparse.Namespace], Path]] = {
    "az": _az,
    "az_png": _az_png,
    "fashion": _fashion,
    "folder": _folder,
    "mnist": _mnist,
    "mnist_article": _mnist_article,
    "rendered": _rendered,
}
