"""The best model for labelled pictures: candidates compared out of fold, the best trained on all.

Every candidate answers for the same pictures in the same folds, by models that have not seen them.
First short trainings choose how the network's pictures are distorted; where several ways are as
good, the widest is taken, because pictures of another origin differ more than these do. Then the
candidates are trained in full. An average of two is taken only if it is better than the better of
them by more than chance: it costs twice as much to apply.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from alutils.base.checks import check_known
from alutils.base.errors import ParameterError
from alutils.data.pixels import Images
from alutils.models import candidates
from alutils.models.backbones.choice import FOR_PHOTOGRAPHS, FOR_SMALL_PHOTOGRAPHS, first_choice
from alutils.models.backbones.names import Backbone
from alutils.models.candidates import KINDS, SHORT, Candidate, Material
from alutils.models.out_of_fold import dealt
from alutils.models.picture_models import AverageModel, PictureModel
from alutils.models.seen import Seen
from alutils.stats.intervals import clearly_better

FOLDS = 3
FEWEST = 10
"""Labels, at least: with fewer, what is right out of fold says nothing."""
HELD_OUT = 300
"""Pictures by which distortions are compared, at least, where there are as many; so that with many
labels one short training for each is enough."""
CLEARLY = 2.0
"""Standard errors of a paired difference that an average has to be better by."""
RESOLUTIONS: tuple[Backbone, ...] = (FOR_SMALL_PHOTOGRAPHS, FOR_PHOTOGRAPHS)
"""What large photographs are tried at; where both are as good, the first, three times as fast."""


class Trained(NamedTuple):
    """A model, how it was found, and why it is this one.

    Attributes
    ----------
    model : trained on all labels
    table : a row for each candidate, the best first: candidate, accuracy out of fold, n_eval (the
        pictures that it was asked about), seconds, training (``full``, or ``short`` where only
        distortions were compared), and whether it was taken
    why : one sentence
    """

    model: PictureModel
    table: pd.DataFrame
    why: str


class _Result(NamedTuple):
    candidate: Candidate
    p: np.ndarray  # (n, n_classes), out of fold; rows of zeros where it was not asked
    right: np.ndarray  # (n_eval,) bool
    seconds: float

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def train_best(
    images: Images,
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    unlabelled: Images | None = None,
    prior: tuple[Images, np.ndarray] | None = None,
    backbones: Sequence[Any] | None = None,
    only: str | None = None,
    quick: bool = False,
    rng: int = 0,
    progress: bool = True,
) -> Trained:
    """Train what learns best from labelled pictures.

    Parameters
    ----------
    images : (n, h, w) or (n, h, w, 3) uint8 array, or a list of arrays of any sizes
    labels : (n,) int, positions in ``classes``
    classes : names; those without a picture are left out
    unlabelled : more pictures, which a network and label spreading may learn from
    prior : pictures of another origin and their labels, such as rendered letters, which a network
        may learn from; it is taken with them unless it is clearly worse
    backbones : whose features are tried, as `alutils.models.backbones.extractor` takes them; None
        for the one that fits the pictures' size and colour; large photographs are tried at two
        resolutions
    only : of `candidates.KINDS` but the average; None tries all
    quick : whether the network's distortion is the widest, and photographs are read at 224 pixels,
        without a comparison
    rng : seed of everything random
    progress : whether to show bars

    Raises
    ------
    ParameterError
        For fewer than `FEWEST` labels or two classes, labels that are no classes, and a kind that
        does not exist or does not suit the pictures.
    """
    if only is not None:
        check_known("only", only, KINDS[:-1])
    material = _material(images, labels, classes, unlabelled, prior, rng, progress)
    fold = dealt(material.labels, FOLDS, np.random.default_rng(rng))
    found = _Found(material, fold, progress)
    if only in (None, "softmax", "spreading"):
        _try_features(found, backbones, only, quick)
    if only in (None, "network"):
        _try_networks(found, only, quick)
    best = max(found.full, key=lambda result: result.accuracy)  # the first of equal ones
    average = _average(found) if only is None else None
    if average is not None:
        found.full.append(average)
        if clearly_better(average.right, best.right, errors=CLEARLY):
            best = average
    model = best.candidate.finish()
    return Trained(model, _table(found, best), _why(best, found.full))


class _Found:
    """What was tried, on which folds."""

    def __init__(self, material: Material, fold: np.ndarray, progress: bool) -> None:
        self.material, self.fold = material, fold
        self.full: list[_Result] = []
        self.short: list[_Result] = []
        self.bar = progress

    def ask(self, candidate: Candidate, folds: int = FOLDS) -> _Result:
        """Ask a candidate about the pictures of so many folds."""
        labels, began = self.material.labels, time.perf_counter()
        p = np.zeros((len(labels), len(self.material.classes)), np.float32)
        asked = np.flatnonzero(self.fold < folds)
        for number in tqdm(
            range(folds), desc=candidate.name, unit="fold", disable=not self.bar, leave=False
        ):
            held_out = np.flatnonzero(self.fold == number)
            p[held_out] = candidate.ask(np.flatnonzero(self.fold != number), held_out)
        right = p[asked].argmax(axis=1) == labels[asked]
        return _Result(candidate, p, right, time.perf_counter() - began)


def _material(
    images: Images, labels: np.ndarray, classes: Sequence[str], unlabelled: Images | None,
    prior: tuple[Images, np.ndarray] | None, seed: int, progress: bool,
) -> Material:  # fmt: skip
    """Check what was given, and leave out classes without a picture."""
    labels = np.asarray(labels)
    if labels.shape != (len(images),) or len(labels) < FEWEST:
        raise ParameterError(
            "labels", f"{labels.shape} for {len(images)} pictures",
            f"expected one for each, and {FEWEST} or more", "label more pictures",
        )  # fmt: skip
    if not np.issubdtype(labels.dtype, np.integer) or not 0 <= labels.min() <= labels.max() < len(
        classes
    ):
        raise ParameterError(
            "labels", labels.max(), f"expected positions in {len(classes)} classes"
        )
    there = np.unique(labels)
    if len(there) < 2:
        raise ParameterError(
            "labels", f"all {classes[there[0]]}", "expected pictures of two classes or more"
        )
    place = np.full(len(classes), -1)
    place[there] = np.arange(len(there))
    if prior is not None:
        kept = np.flatnonzero(place[prior[1]] >= 0)
        known = place[prior[1]][kept]
        prior = (candidates.taken(prior[0], kept), known) if len(kept) else None
    names = tuple(str(classes[i]) for i in there)
    return Material(
        images, place[labels].astype(np.int64), names, Seen.of(images), unlabelled, prior, seed,
        progress,
    )  # fmt: skip


def _try_features(
    found: _Found, backbones: Sequence[Any] | None, only: str | None, quick: bool
) -> None:
    material = found.material
    if backbones is None:
        sizes = [(int(s[0]), int(s[1])) for s in (np.shape(image)[:2] for image in material.images)]
        fits = first_choice(sizes, material.colour)[0]
        backbones = RESOLUTIONS if fits == FOR_PHOTOGRAPHS and not quick else [fits]
    for backbone in backbones:
        if only != "spreading":
            found.full.append(found.ask(candidates.on_features(material, backbone)))
        if material.unlabelled is not None:
            found.full.append(found.ask(candidates.on_features(material, backbone, True)))
    if only == "spreading" and material.unlabelled is None:
        raise ParameterError(
            "only", only, "label spreading learns from pictures without labels, and none are given",
            "give some as unlabelled",
        )  # fmt: skip


def _try_networks(found: _Found, only: str | None, quick: bool) -> None:
    material = found.material
    if material.size is None:
        if only == "network":
            large = material.seen.largest
            raise ParameterError(
                "only", only, f"the pictures have up to {large[0]} x {large[1]} pixels, the small "
                f"network takes {candidates.LARGEST} a side", "leave it out, or make them smaller",
            )  # fmt: skip
        return
    names = candidates.distortions(material)
    name, prior = names[0], material.prior is not None
    if not quick:
        name = _widest(found, {n: {"distortion": n} for n in names})
        if prior:
            how: dict[str, dict[str, Any]] = {
                "with": {"distortion": name, "prior": True},
                "without": {"distortion": name},
            }
            prior = _widest(found, how) == "with"
    found.full.append(found.ask(candidates.network(material, name, prior=prior)))
    if material.unlabelled is not None:
        more = candidates.network(material, name, prior=prior, unlabelled=True)
        found.full.append(found.ask(more))


def _widest(found: _Found, ways: Mapping[Any, dict[str, Any]]) -> Any:
    """Return the first of the ways that is not worse than the best by more than chance."""
    n = len(found.material.labels)
    folds = min(FOLDS, -(-HELD_OUT * FOLDS // n))
    results = {
        key: found.ask(candidates.network(found.material, steps=SHORT, **how), folds)
        for key, how in ways.items()
    }
    known = {result.candidate.name for result in found.short}
    found.short += [each for each in results.values() if each.candidate.name not in known]
    best = max(results.values(), key=lambda result: result.accuracy)
    return next(
        key
        for key, each in results.items()
        if not clearly_better(best.right, each.right, errors=CLEARLY)
    )


def _average(found: _Found) -> _Result | None:
    """Average the best network and the best of the others; None if there are not both."""
    networks = [each for each in found.full if each.candidate.kind == "network"]
    others = [each for each in found.full if each.candidate.kind != "network"]
    if not networks or not others:
        return None
    pair = [max(kind, key=lambda result: result.accuracy) for kind in (networks, others)]
    p = np.mean([each.p for each in pair], axis=0)

    def finish() -> PictureModel:
        return AverageModel([each.candidate.finish() for each in pair])

    name = "average of " + " and ".join(each.candidate.name for each in pair)
    candidate = Candidate(name, "average", lambda items, held_out: p[held_out], finish)
    right = p.argmax(axis=1) == found.material.labels
    return _Result(candidate, p, right, sum(each.seconds for each in pair))


def _table(found: _Found, taken: _Result) -> pd.DataFrame:
    """Return a row for each candidate: full trainings first, and of each the best first."""
    rows = [
        {
            "candidate": each.candidate.name,
            "accuracy": each.accuracy,
            "n_eval": len(each.right),
            "seconds": round(each.seconds, 1),
            "training": training,
            "taken": each is taken,
        }
        for training, results in (("full", found.full), ("short", found.short))
        for each in sorted(results, key=lambda result: -result.accuracy)
    ]
    return pd.DataFrame(rows)


def _why(best: _Result, full: Sequence[_Result]) -> str:
    """Say in a sentence what was taken and why."""
    n, others = len(best.right), [each for each in full if each is not best]
    text = f"{best.candidate.name} has {best.accuracy:.1%} of {n:,} pictures right out of fold"
    if not others:
        return f"{text}; nothing else was tried."
    second = max(others, key=lambda result: result.accuracy)
    if second.accuracy > best.accuracy:
        return (
            f"{text}; {second.candidate.name} has {second.accuracy:.1%}, which chance can do, and "
            "takes longer to apply."
        )
    return f"{text}; next comes {second.candidate.name} with {second.accuracy:.1%}."
