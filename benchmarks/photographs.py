"""How well labels are learned on the features of each backbone, on pictures of your own.

``python -m benchmarks.photographs DATA`` takes a folder of class folders with pictures of any
sizes, ``cifar10`` (which Keras downloads, where the network allows), or whatever `alutils.load`
takes. It draws labels at random, trains the quick learner on them, tests it on other pictures, and
writes the table and its manifest.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from alutils.base import files, manifest
from alutils.base.errors import BadInput, ParameterError
from alutils.data import decoding, loading
from alutils.models import embeddings
from alutils.models.backbones import Extractor, extractor
from alutils.models.softmax_penalised import PenalisedSoftmax
from benchmarks.timing import Began

BACKBONES = ("vgg16-block5", "vgg16-block3+4", "vgg16-block4@96", "lite0@128", "lite0")
LABELS, DRAWS, MOST_TEST = (50, 100, 200, 400), 5, 2000
CIFAR = "cifar10"
_AT_ONCE = 64


@dataclass(frozen=True)
class Pictures:
    """Pictures of any sizes with their classes.

    Attributes
    ----------
    items : paths of files, or an array of images
    labels : (n,) int
    classes : their names
    about : what the manifest says of the data
    """

    items: Sequence[Any]
    labels: np.ndarray
    classes: tuple[str, ...]
    about: dict[str, Any]

    def features(self, run: Extractor) -> np.ndarray:
        """Return (n, n_features) float32; of files prepared and computed bit by bit."""
        if not isinstance(self.items[0], Path):
            return np.asarray(
                embeddings.features(self.items, backbone=run.backbone, progress=False)
            )
        starts = tqdm(range(0, len(self.items), _AT_ONCE), desc=str(run.backbone), leave=False)
        return np.concatenate([run(np.stack(list(self._prepared(run, i)))) for i in starts])

    def _prepared(self, run: Extractor, start: int) -> Iterator[np.ndarray]:
        for item in self.items[start : start + _AT_ONCE]:
            yield run.prepare(decoding.decode(decoding.read_bytes(item), str(item)).pixels)


def load(data: str) -> Pictures:
    """Find the pictures; `BadInput` or `ParameterError` if there are none."""
    if data == CIFAR:
        return _cifar()
    folder = Path(data)
    if not folder.is_dir():
        found = loading.load(data)
        about = {"data": Path(data).name, "provenance": found.provenance}
        return Pictures(found.images, found.labels, tuple(found.classes), about)
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    paths = [
        (path, number)
        for number, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]
    if len(classes) < 2 or not paths:
        raise BadInput(f"{folder}: holds {len(classes)} class folders, expected two or more")
    digest = hashlib.sha256()
    for path, _ in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    about = {"data": folder.name, "sha256_of_the_pictures": digest.hexdigest()}
    labels = np.array([number for _, number in paths])
    return Pictures([path for path, _ in paths], labels, tuple(classes), about)


def _cifar() -> Pictures:
    from alutils.base.tensorflow import import_tensorflow

    import_tensorflow()
    import keras

    try:
        (_, _), (images, labels) = keras.datasets.cifar10.load_data()
    except Exception as error:  # Keras passes on whatever its download raises
        said = " ".join(str(error).split())
        problem = f"{CIFAR}: Keras could not download it ({said})"
        raise BadInput(problem, "give a folder of class folders") from error
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    about = {"data": "CIFAR-10, the 10,000 test images"}
    return Pictures(images, labels.ravel().astype(int), tuple(names.split()), about)


def accuracies(
    pictures: Pictures, backbones: Sequence[str], labels: Sequence[int], draws: int
) -> pd.DataFrame:
    """Train on random labels and test on other pictures, the same ones for all backbones.

    Parameters
    ----------
    pictures : all of them
    backbones : names, as `Backbone.parse` reads them
    labels : numbers of labels; one draw's smaller numbers are part of its larger ones
    draws : how often they are drawn

    Returns
    -------
    DataFrame with a row for each backbone, number of labels and draw: ``backbone``, ``n_human``,
    ``seed``, ``value`` (accuracy) and ``n_eval``

    Raises
    ------
    ParameterError
        If there are not more pictures than labels.
    """
    n = len(pictures.labels)
    if max(labels) >= n:
        raise ParameterError("labels", max(labels), f"expected fewer than the {n} pictures")
    rows = []
    for name in backbones:
        x = pictures.features(extractor(name))
        for seed in range(draws):
            order = np.random.default_rng(seed).permutation(n)
            test = order[max(labels) :][:MOST_TEST]
            for n_human in labels:
                train = order[:n_human]
                model = PenalisedSoftmax().fit(x[train], pictures.labels[train])
                guessed = model.classes_[model.predict_proba(x[test]).argmax(axis=1)]
                value = float((guessed == pictures.labels[test]).mean())
                rows.append((name, n_human, seed, value, len(test)))
    return pd.DataFrame(rows, columns=["backbone", "n_human", "seed", "value", "n_eval"])


def summary(table: pd.DataFrame) -> str:
    """Return mean accuracies as a Markdown table, a row for each backbone."""
    mean = table.pivot_table(
        index="backbone", columns="n_human", values="value", sort=False
    ).sort_index(axis=1)
    head = ["backbone", *(f"{n} labels" for n in mean.columns)]
    lines = [head, ["---"] * len(head)]
    lines += [[name, *(f"{100 * v:.1f}" for v in row)] for name, row in mean.iterrows()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute, print, write the table and its manifest."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES), metavar="NAME")
    parser.add_argument("--labels", nargs="+", type=int, default=list(LABELS), metavar="N")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--out", type=Path, help="results/photographs.csv if not given")
    options = parser.parse_args(arguments)
    if options.draws < 1 or min(options.labels) < 2:
        parser.error("--draws: expected 1 or more; --labels: expected numbers of 2 or more")
    began = Began.now()
    try:
        pictures = load(options.data)
        table = accuracies(pictures, options.backbones, sorted(options.labels), options.draws)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    print(summary(table))
    path = options.out or files.repository_root() / "results" / "photographs.csv"
    files.write_atomically(path, table.round(4).to_csv(index=False, lineterminator="\n"))
    described = {
        "status": "complete",
        "command": f"python -m benchmarks.photographs {pictures.about['data']}",
        "parameters": {
            "backbones": options.backbones, "labels": options.labels, "draws": options.draws
        },
        "n_pictures": len(pictures.labels),
        "classes": list(pictures.classes),
        **pictures.about,
        **began.about(),
    }  # fmt: skip
    manifest.write_json(path.with_suffix(".manifest.json"), described)
    return 0


if __name__ == "__main__":
    sys.exit(main())
