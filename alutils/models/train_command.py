"""The command ``python -m alutils train``: the best model for labelled pictures, saved."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alutils.base import surfaces
from alutils.base.errors import ParameterError
from alutils.base.files import display_path, path_argument

if TYPE_CHECKING:
    import numpy as np

    from alutils.data.dataset import Dataset

_WHAT = """Train what learns best from labelled pictures, and save it.

Softmax regression on the features of a large network, a small network of its own (pictures up to
64 pixels), label spreading (with --unlabelled) and an average are compared on pictures that they
have not seen. The best is trained on all and saved. `python -m alutils predict` applies it."""

_AFTER = """examples:
  python -m alutils train letters.npz --out model
  python -m alutils train photographs --out model --size 224
  python -m alutils train rendered --letters 20000 --only network --out model"""


def add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train", help="train the best model for labelled pictures, and save it",
        description=_WHAT, epilog=_AFTER, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "data", metavar="DATA",
        help="mnist, mnist_article, fashion, az, rendered; a folder of class folders; two idx "
        "files; an npz file with images and labels; a CSV of letters",
    )  # fmt: skip
    parser.add_argument(
        "--out",
        type=path_argument,
        required=True,
        metavar="FOLDER",
        help="where the model is saved",
    )
    parser.add_argument("--classes", metavar="A,B,C", help="learn only these classes of DATA")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    parser.add_argument(
        "--quick", action="store_true",
        help="compare no distortions and no resolutions: a third of the time, for letters as good; "
        "all comparisons take minutes even for a few hundred pictures",
    )  # fmt: skip
    parser.add_argument(
        "--only", choices=("softmax", "spreading", "network"), help="try one kind of model only"
    )
    parser.add_argument(
        "--features", action="append", metavar="NAME",
        help="backbone for softmax regression and label spreading, such as lite0 or vgg16-block4; "
        "may be given several times. Without it, one that suits the pictures",
    )  # fmt: skip
    parser.add_argument(
        "--unlabelled", type=path_argument, metavar="PICTURES",
        help="a folder of pictures without labels (or an npz or CSV) that may be learned from, too",
    )  # fmt: skip
    parser.add_argument(
        "--prior", choices=("auto", "rendered", "none"), default="auto",
        help="letters rendered from fonts that a network may learn from, too: auto takes them "
        "where the classes are letters from A to Z",
    )  # fmt: skip
    parser.add_argument(
        "--letters", type=int, metavar="N", help="rendered letters, where some are used (41600)"
    )
    parser.add_argument(
        "--on-bad", choices=("error", "skip"), default="error",
        help="what to do with rows and files that cannot be used",
    )  # fmt: skip
    parser.add_argument("--colour", choices=("auto", "grey", "rgb"), help="make all pictures so")
    parser.add_argument("--size", metavar="HxW", help="resize all pictures to this size")
    surface = surfaces.command(surfaces.PREPARING)
    parser.set_defaults(call=train, hint="; nothing was saved", surface=surface)


def train(options: argparse.Namespace) -> int:
    """Train and save a model; the last line of stdout is its folder."""
    from alutils.models.training import train_best

    if options.seed < 0:
        raise ParameterError("--seed", options.seed, "expected 0 or more")
    _check_out(options.out)
    data = _chosen(_data(options), options.classes)
    prior = _prior(options, data)
    unlabelled = None
    if options.unlabelled is not None:
        unlabelled = _pictures(options.unlabelled, data.images.shape[1:3])
    _say(f"{len(data):,} pictures of {len(data.classes)} classes")
    found = train_best(
        data.images, data.labels, data.classes, unlabelled=unlabelled, prior=prior,
        backbones=options.features, only=options.only, quick=options.quick, rng=options.seed,
    )  # fmt: skip
    found.model.save(options.out)
    shown = found.table.assign(
        accuracy=[f"{accuracy:.1%}" for accuracy in found.table["accuracy"]],
        taken=["<" if taken else "" for taken in found.table["taken"]],
    )
    print(shown.to_string(index=False, justify="left"))
    print(f"Taken: {found.why}")
    folder = display_path(options.out)
    print(f"Next: python -m alutils predict PICTURES --model {folder} --out labels.csv")
    print(folder)
    return 0


def _check_out(folder: Path) -> None:
    """Say now, and not after the training, that nothing can be saved in a folder."""
    if folder.exists() and not folder.is_dir():
        raise ParameterError("--out", folder, "is a file; expected a folder")
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ParameterError("--out", folder, f"nothing can be written in {there}", "name another")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _data(options: argparse.Namespace) -> Dataset:
    from alutils.data import loading
    from alutils.data.commands import size_of

    if options.data == "rendered" and options.letters is not None:
        return _rendered(options)
    return loading.load(
        options.data, seed=options.seed, on_bad=options.on_bad, colour=options.colour,
        size=size_of(options.size),
    )  # fmt: skip


def _rendered(options: argparse.Namespace) -> Dataset:
    from alutils.data.loading import RENDERED_AT_LEAST, RENDERED_N
    from alutils.data.rendering import rendered_dataset

    n = RENDERED_N if options.letters is None else options.letters
    if n < 26:
        raise ParameterError("--letters", n, "expected 26 or more, one of each letter")
    return rendered_dataset(n, options.seed, at_least=max(1, n * RENDERED_AT_LEAST // RENDERED_N))


def _chosen(data: Dataset, names: str | None) -> Dataset:
    """Return the pictures of the classes that were asked for."""
    import numpy as np

    if names is None:
        return data
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in data.classes:
            raise ParameterError("--classes", name, f"expected some of {', '.join(data.classes)}")
    kept = np.isin(data.labels, [data.classes.index(name) for name in wanted])
    return data.take(np.flatnonzero(kept))


def _prior(options: argparse.Namespace, data: Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """Return rendered letters with positions in the data's classes, where they suit it."""
    import numpy as np

    from alutils.data.dataset import LETTERS
    from alutils.models.convnet import LARGEST
    from alutils.models.seen import Seen

    known = [name for name in data.classes if name in LETTERS]
    letters = len(known) == len(data.classes)
    if options.prior == "rendered" and not known:
        raise ParameterError(
            "--prior", "rendered", f"the classes are {', '.join(data.classes)}, none of them a "
            "letter from A to Z",
            "leave it out",
        )  # fmt: skip
    wanted = options.prior == "rendered" or (options.prior == "auto" and letters)
    no_network = options.only in ("softmax", "spreading") or max(data.images.shape[1:3]) > LARGEST
    if not wanted or data.provenance == "rendered" or no_network:
        return None
    rendered = _rendered(options)
    place = np.array([data.classes.index(n) if n in known else -1 for n in rendered.classes])
    kept = np.flatnonzero(place[rendered.labels] >= 0)
    images = rendered.images[kept]
    seen = Seen.of(data.images)
    if seen.light > seen.dark:  # dark letters on a light background
        images = 255 - images
    return images, place[rendered.labels[kept]]


def _pictures(path: Path, size: tuple[int, ...]) -> list[np.ndarray]:
    """Read pictures without labels, at once in the size of those that have some.

    Those that cannot be read are counted and left out.
    """
    from alutils.data.one_size import to_one_size
    from alutils.data.streams import open_stream

    stream, pictures = open_stream(path), []
    for entry in stream.read():
        if entry.pixels is not None:
            colour = entry.pixels.ndim == 3
            pictures.append(to_one_size([entry.pixels], (size[0], size[1]), colour)[0])
    if len(pictures) < len(stream):
        _say(f"{path}: {len(stream) - len(pictures):,} pictures cannot be read; left out")
    if not pictures:
        raise ParameterError("--unlabelled", path, "holds no picture that can be read")
    return pictures
