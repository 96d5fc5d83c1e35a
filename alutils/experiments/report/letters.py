"""The letters that the report's experiments work on, and what VGG16 sees of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from alutils.base.content import content_digest
from alutils.base.errors import ParameterError
from alutils.data import loading
from alutils.data.dataset import Dataset
from alutils.experiments.report.splits import stratified
from alutils.models import embeddings

_log = logging.getLogger("alutils")

LEAST = 10
"""Letters of a class, at least: three of ten test, and the others have to fill a first training
set, a pool, and the neighbourhoods in which a classifier looks."""


@dataclass(frozen=True, eq=False)
class Letters:
    """Letters and their features, row by row.

    Attributes
    ----------
    data : images and labels
    features : (n, 512) float32; may be a memory-map
    plan : how the features were computed
    """

    data: Dataset
    features: np.ndarray
    plan: embeddings.FeaturePlan

    def __len__(self) -> int:
        return len(self.data)

    @property
    def images(self) -> np.ndarray:
        """(n, height, width[, 3]) uint8."""
        return self.data.images

    @property
    def labels(self) -> np.ndarray:
        """(n,) int64, positions in `classes`."""
        return self.data.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.data.classes

    @cached_property
    def _digest(self) -> str:
        return content_digest(self.data, self.plan.origin())

    def content_hash(self) -> str:
        """Hexadecimal SHA-256 of images, labels, and what the features depend on."""
        return self._digest

    def title(self, text: str) -> str:
        """Return a title, which says so if these letters are not real ones."""
        return self.data.title(text)


def load_letters(
    data: str,
    n: int = 0,
    seed: int = 0,
    *,
    on_bad: str = "error",
    colour: str = "auto",
    size: int = 0,
) -> Dataset:
    """Load letters for the report's experiments; classes without a letter are left out.

    Parameters
    ----------
    data, on_bad, colour : as `alutils.data.loading.load` takes them
    n : letters that are used, each class in proportion but for `LEAST` of each; 0 takes all
    seed : of their draw
    size : side in pixels that all images are resized to; 0 keeps them as they are

    Raises
    ------
    ParameterError
        For fewer than two classes, a class with fewer than `LEAST` letters (all such classes are
        named), or an ``n`` with which no class could have as many.
    """
    letters = loading.load(data, on_bad=on_bad, colour=colour, size=size or None)
    letters, absent = without_empty_classes(letters)
    if absent:
        _log.warning("%s: no picture of class %s; it is left out", data, ", ".join(absent))
    counts = letters.class_counts()
    if len(counts) < 2:
        found = ", ".join(counts) or "none"
        raise ParameterError(
            "data", data, f"holds pictures of one class ({found}), expected two classes or more",
            "add pictures of another class",
        )  # fmt: skip
    small = {name: number for name, number in counts.items() if number < LEAST}
    if small:
        found = ", ".join(f"class {name} has {number}" for name, number in small.items())
        raise ParameterError(
            "data", data, f"{found}: expected {LEAST} pictures or more of each class, to train, to "
            "wait in the pool and to test",
            "add pictures of these classes, or take the classes out of the data",
        )  # fmt: skip
    least = LEAST * len(counts)
    if 0 < n < least:
        raise ParameterError(
            "letters", n, f"expected {least} or more ({LEAST} of each of {len(counts)} classes)",
            "ask for more, or for 0, which takes all",
        )  # fmt: skip
    return drawn(letters, n, seed) if 0 < n < len(letters) else letters


def drawn(letters: Dataset, n: int, seed: int) -> Dataset:
    """Draw ``n`` letters, each class in proportion, a few more where one has fewer than `LEAST`."""
    rng = np.random.default_rng(seed)
    chosen = stratified(letters.labels, n, rng)
    counts = np.bincount(letters.labels[chosen], minlength=len(letters.classes))
    added = [
        rng.choice(
            np.setdiff1d(np.flatnonzero(letters.labels == label), chosen),
            LEAST - counts[label],
            replace=False,
        )
        for label in np.flatnonzero(counts < LEAST)
    ]
    return letters.take(np.sort(np.concatenate([chosen, *added])))


def see(letters: Dataset, preprocessing: str = "raw") -> Letters:
    """Let VGG16 look at letters, once ever: the features are kept on disk.

    ``preprocessing``: pixels from 0 to 255 as they are (``raw``), or VGG's own (``vgg``).
    """
    # In float32 also where bfloat16 is faster: the same numbers on every machine, and the saved
    # network, which computes in float32, gives the probabilities that the notebook saw.
    plan = embeddings.plan(preprocessing=preprocessing, precision="float32")
    features = embeddings.features(letters.images, preprocessing=preprocessing, precision="float32")
    return Letters(letters, features, plan)


def without_empty_classes(data: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """Leave out classes without items (a CSV names all 26 letters); return their names, too."""
    counts = np.bincount(data.labels, minlength=len(data.classes))
    if counts.all():
        return data, ()
    kept = tuple(name for name, count in zip(data.classes, counts, strict=True) if count)
    labels = (np.cumsum(counts > 0) - 1)[data.labels]
    absent = tuple(name for name in data.classes if name not in kept)
    return replace(data, labels=labels, classes=kept), absent
