"""The pools and trained networks behind `benchmarks.fair_costs`: made once each, and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alutils.active.strategies import typicality, uncertainty
from alutils.base import artefacts, files
from alutils.data import fashion, mnist
from alutils.data.augmentation import DISTORTIONS
from alutils.data.dataset import Dataset
from alutils.data.rendering import rendered_dataset
from alutils.experiments.label_costs.fewest_labels import ARMS, Arm
from alutils.labelling.model.first_pictures import AMONG, TYPICAL
from alutils.models import features
from alutils.models.convnet import WIDTH, ConvNet
from benchmarks.real_letters import capitals, small_letters

LADDER = (100, 200, 300, 400, 550, 750, 1000, 1500, 2000, 3000, 4500, 7000)
"""Labels after which a way that asks trains, and asks for the difference to the next."""
RUNGS = LADDER[1::2]
"""Of these, the numbers to train on that the trials try."""
BACKBONE = "vgg16-block3"
"""Ways that ask begin with typical pictures, as the tool does, chosen by these features; the others
begin at random."""


@dataclass(frozen=True)
class Networks:
    """The networks of a run: one that asks on each step but the last, and those that finish.

    One network finishes: on a trial pool the mean of two had no fewer wrong than the better one.
    """

    steps: int = 2000
    last_members: int = 1
    last_steps: int = 8000
    last_width: int = WIDTH
    last_views: int = 8
    distortion: str = "letters"


@dataclass(frozen=True)
class Pools:
    """Pictures of a kind: where trials are made, where results are published.

    Both are functions, which return None where the pictures are not here. A certificate is asked
    for each of the targets. The distortion is what suits the kind: a mirrored shoe is a shoe, a
    mirrored letter is not.
    """

    targets: tuple[float, ...]
    trials: Callable[[], Dataset | None]
    published: Callable[[], Dataset | None]
    distortion: str = "letters"


def _half(make: Callable[[], Dataset | None], second: bool) -> Callable[[], Dataset | None]:
    def half() -> Dataset | None:
        data = make()
        if data is None:
            return None
        middle = len(data) // 2
        return data.take(np.arange(middle, len(data)) if second else np.arange(middle))

    return half


def kept_in(name: str) -> Path:
    """Where the networks' answers of a set are kept."""
    return artefacts.cache_folder() / "fair_costs" / name


SETS = {
    "digits": Pools((0.99,), _half(lambda: mnist.mnist()[0], True),
                    _half(lambda: mnist.mnist()[0], False)),
    "letters": Pools((0.95, 0.98), lambda: rendered_dataset(5284, 1), capitals),
    "clothes": Pools((0.85, 0.90, 0.95), _half(lambda: fashion.fashion()[0], True),
                     _half(lambda: fashion.fashion()[0], False), "mirrored"),
    "lower": Pools((0.90, 0.95), _half(small_letters, True), _half(small_letters, False)),
}  # fmt: skip
"""Digits and clothes: the second half of the training images for trials, the first is published.
Letters: rendered ones for trials, the real sample is published. Small letters: random halves."""


@dataclass(frozen=True)
class State:
    """What the finishing networks say of a pool after one number of labels to train on.

    Attributes
    ----------
    labels : (n,) int, the truth
    order : (n_trained,) int, places of those trained on
    p : (n_waiting, n_classes) float32, of the others, in the order of their places
    seconds : that the training and its questions took
    """

    labels: np.ndarray
    order: np.ndarray
    p: np.ndarray
    seconds: float

    @property
    def waiting(self) -> np.ndarray:
        """Places of the pictures that wait."""
        waits = np.ones(len(self.labels), bool)
        waits[self.order] = False
        return np.flatnonzero(waits)

    @property
    def wrong(self) -> np.ndarray:
        """(n_waiting,) bool, which of them the networks have wrong."""
        return self.p.argmax(axis=1) != self.labels[self.waiting]


def states(
    data: Dataset, way: str, seed: int, rungs: Sequence[int], nets: Networks, kept: Path
) -> Iterator[State]:
    """Train along the ladder; yield the state at each of the rungs.

    What is ``kept``, in a folder for these pictures and networks, is not made again.
    """
    how, total, folder = ARMS[way], rungs[-1], kept / f"{way}-{seed}"
    steps = [n for n in LADDER if n < total] + [total]
    order = np.random.default_rng([seed, 0]).permutation(len(data))
    asked = _typical(data, order, min(TYPICAL, total), seed, folder) if how.margin else order[:0]
    for n in steps:
        asked = _ask(data, how, asked, order, n, seed, nets, folder)
        if n in rungs:
            yield _finishing(data, how, asked, seed, nets, folder)


def _typical(data: Dataset, order: np.ndarray, n: int, seed: int, folder: Path) -> np.ndarray:
    """Return the places of the n first labels: typical pictures of many kinds."""

    def chosen() -> np.ndarray:
        among = np.sort(order[:AMONG])
        x = features(data.images[among], backbone=BACKBONE, cache=False)
        nobody, rng = np.empty(0, np.int64), np.random.default_rng([seed, 1])
        return among[typicality.typiclust(x, nobody, np.arange(len(among)), n, rng)]

    return _made_once(folder / "asked-first.npy", chosen)


def _made_once(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array in a file, which is made where it is not there."""
    if path.is_file():
        return np.load(path)
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic_file(path) as file:
        np.save(file, made)
    return made


def _ask(
    data: Dataset, how: Arm, asked: np.ndarray, order: np.ndarray, n: int, seed: int,
    nets: Networks, folder: Path,
) -> np.ndarray:  # fmt: skip
    """Return the places of n labels: those that there are, and those asked for next."""
    if not how.margin:
        return order[:n]
    if n <= len(asked):
        return asked[:n]

    def more() -> np.ndarray:
        model = _network(data, how, seed, nets, 1, nets.steps)
        model.fit(data.images[asked], data.labels[asked])
        rest = np.setdiff1d(order, asked, assume_unique=True)
        margin = uncertainty.margin(model.predict_proba(data.images[rest]))
        chosen = rest[np.argsort(-margin, kind="stable")[: n - len(asked)]]
        return np.concatenate([asked, chosen])

    return _made_once(folder / f"asked-{n}.npy", more)


def _network(
    data: Dataset, how: Arm, seed: int, nets: Networks, members: int, steps: int, views: int = 0,
    width: int = WIDTH,
) -> ConvNet:  # fmt: skip
    return ConvNet(
        len(data.classes), data.images if how.unlabelled else None, seed=seed, members=members,
        steps=steps, views=views, width=width, distortion=DISTORTIONS[nets.distortion],
    )  # fmt: skip


def _finishing(
    data: Dataset, how: Arm, asked: np.ndarray, seed: int, nets: Networks, folder: Path
) -> State:
    """Train the networks that finish on these labels, unless what they said is kept."""
    path = folder / f"said-{len(asked)}.npz"
    if not path.is_file():
        began = time.perf_counter()
        model = _network(
            data, how, seed, nets, nets.last_members, nets.last_steps, nets.last_views,
            nets.last_width,
        )  # fmt: skip
        model.fit(data.images[asked], data.labels[asked])
        waits = np.setdiff1d(np.arange(len(data)), asked)
        p = model.predict_proba(data.images[waits]).astype(np.float32)
        folder.mkdir(parents=True, exist_ok=True)
        with files.atomic_file(path) as file:
            np.savez(file, order=asked, p=p, seconds=time.perf_counter() - began)
    with np.load(path) as kept:
        return State(data.labels, kept["order"], kept["p"], float(kept["seconds"]))
