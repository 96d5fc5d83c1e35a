"""What notebook 00 does, a function for each step: learn, measure, promise, write."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alutils.active.loops.pool import PoolState, Round
from alutils.active.oracles import ABSTAINED, Oracle, Perfect
from alutils.base.content import content_digest
from alutils.base.files import display_path, repository_root, write_atomically
from alutils.data.dataset import Dataset
from alutils.data.npz import write_npz
from alutils.experiments.base import Answer, Finding
from alutils.experiments.start.person import Person
from alutils.experiments.start.pictures import Pictures
from alutils.guarantee.certificates import Certificate
from alutils.guarantee.pool import attempt_level
from alutils.guarantee.thresholds import certify_pool
from alutils.models.classifier import Classifier
from alutils.models.estimator import Estimator
from alutils.plots import start as plots

LARGEST = 48
"""Pixels a side up to which the small network learns from the pictures themselves."""
PROMISES = (0.9, 0.95, 0.98, 0.99)
"""Shares of right labels that are looked at, beside the one that is asked for."""
LEVEL = 0.95
"""The chance, at least, that no promise about these pictures is given where it is false."""
JOURNAL = "answers.jsonl"
TRIES = "audits.txt"


def answer() -> Answer:
    """Return what labelling by a model's questions came to in the reference results."""
    findings = pd.read_json(repository_root() / "results" / "findings.json", orient="index")
    return Answer(
        (
            "A model that chooses which pictures a person labels needs fewer labels; it labels the "
            "others itself.",
            "How many of its labels are right, an audit says: a random sample, labelled by a "
            "person who does not see what the model says.",
            f"All 60,000 digits of MNIST: {findings.loc['label_costs_cost', 'finding']}",
        ),
        "label_costs_cost",
    )


def learner(pictures: Pictures, steps: int, seed: int) -> tuple[np.ndarray, Classifier]:
    """Return what is learned from, (n, ...), and a classifier that has learned nothing yet.

    Small grey pictures: a small network, which learns from the unlabelled ones, too (``steps``
    steps of training a round). Others: softmax regression on what VGG16 sees in them.
    """
    images, n_classes = pictures.images, len(pictures.classes)
    if images.ndim == 3 and max(images.shape[1:]) <= LARGEST:
        from alutils.models.convnet import ConvNet

        return images, ConvNet(n_classes, images, steps=steps, seed=seed, progress=True)
    from alutils.models import embeddings

    return np.asarray(embeddings.features(images)), Estimator(n_classes, seed=seed)


def oracle(pictures: Pictures, out: str) -> Oracle:
    """Return who answers: the known labels, or the person before the notebook."""
    if pictures.labels is not None:
        return Perfect(pictures.labels)
    return Person(pictures, folder(out) / JOURNAL)


def folder(out: str | Path) -> Path:
    """Return where results go: beside a headless run's others, else where the notebook stands."""
    return Path(os.environ.get("ALUTILS_RUN_DIR", ".")) / Path(out).expanduser()


class Diary:
    """What each round of the loop came to: `note` it after the round, show it at the end."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self.rows: list[dict[str, Any]] = []
        self._predicted = np.full(len(pictures), -1, np.int64)

    def note(self, done: Round, probabilities: np.ndarray, state: PoolState) -> None:
        """Note a round; ``probabilities`` (n_left, n_classes) are of ``state.pool``, in its order.

        What a round asked for is an examination of the model before it, the hardest that there is:
        these are the pictures that it was least sure of.
        """
        told = state.book.label[done.items]
        asked = self._predicted[done.items]
        self._predicted[state.pool] = probabilities.argmax(axis=1)
        known = self.pictures.labels
        right = np.nan
        if known is not None and len(state.pool):
            right = float((self._predicted[state.pool] == known[state.pool]).mean())
        self.rows.append(
            {
                "labels": done.n_human,
                "sure of": float((probabilities.max(axis=1) >= 0.9).mean()),
                "asked_right": float((asked == told).mean()) if (asked >= 0).all() else np.nan,
                "right": right,
            }
        )

    def _ipython_display_(self) -> None:
        self.curve()._ipython_display_()

    def curve(self) -> Finding:
        """Return the learning curve."""
        rows = pd.DataFrame(self.rows)
        last = rows.iloc[-1]
        known = self.pictures.labels is not None
        if known:
            text = f"After {last['labels']:.0f} labels {last['right']:.1%} of the others are right."
        else:
            text = (
                f"After {last['labels']:.0f} labels the model is sure (90% and more) of "
                f"{last['sure of']:.0%} of the others. How many of these are right, the audit says."
            )
        figure = plots.curve(rows, self.pictures.title(self.pictures.name))
        alt = "Against the labels given: the share of the other pictures that the model is sure of"
        alt += " and that it has right." if known else ", and of the asked ones that it had right."
        return Finding(text, figure, "curve", alt)


@dataclass(frozen=True, eq=False)
class Audited:
    """A model, and what people said of a random sample of the pictures that it is to label.

    Attributes
    ----------
    state : after the last training; the audit came from its pool
    probabilities : (n_left, n_classes) of ``state.pool``, in its order
    places, told : (n_audit,) which rows were audited, a random sample, and what people said
    out : folder of the results, in which tries are counted
    """

    pictures: Pictures
    state: PoolState
    probabilities: np.ndarray
    places: np.ndarray
    told: np.ndarray
    out: str | Path

    @cached_property
    def confidence(self) -> np.ndarray:
        return self.probabilities.max(axis=1)

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(axis=1)

    @cached_property
    def right(self) -> np.ndarray:
        """(n_audit,) bool: what the model has right of what was audited."""
        return self.predicted[self.places] == self.told

    @cached_property
    def attempt(self) -> int:
        """Which try on these pictures this audit of this model is, from 1 on; a new one is noted.

        Each is held to a higher level than the one before, so that all of them together keep
        `LEVEL` (`alutils.guarantee.pool.attempt_level`).
        """
        same = content_digest(self.pictures.images)[:16]
        this = content_digest(self.state.pool[self.places], self.probabilities)[:16]
        path = folder(self.out) / TRIES
        noted = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        tries = [line.split()[1] for line in noted if line.startswith(f"{same} ")]
        if this not in tries:
            tries.append(this)
            write_atomically(path, "\n".join([*filter(None, noted), f"{same} {this}", ""]))
        return tries.index(this) + 1

    def labels(self, promise: float) -> tuple[Certificate, np.ndarray]:
        """Return the certificate of a promise, and (n_left,) bool: what the model may label.

        What was audited has its label already.
        """
        level = attempt_level(LEVEL, self.attempt)
        certificate = certify_pool(
            self.confidence, self.places, self.right, target=promise, level=level
        )
        chosen = certificate.covers(self.confidence)
        chosen[self.places] = False
        return certificate, chosen


def promises(audited: Audited, promise: float) -> Finding:
    """Return what the model may label by itself under several promises.

    ``promise``: share of the automatic labels that is to be right, looked at beside `PROMISES`.
    """
    pictures, state, attempt = audited.pictures, audited.state, audited.attempt
    rows = []
    for share in sorted({*PROMISES, promise}):
        certificate, chosen = audited.labels(share)
        truly = np.nan
        if pictures.labels is not None and chosen.any():
            true = pictures.labels[state.pool[chosen]]
            truly = float((audited.predicted[chosen] == true).mean())
        rows.append(
            {
                "promise": share, "from confidence": certificate.threshold,
                "labelled": int(chosen.sum()), "share": chosen.sum() / len(pictures),
                "in truth": truly,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    mine = table[table["promise"] == promise].iloc[0]
    wrong, n_audit = int((~audited.right).sum()), len(audited.places)
    text = (
        f"Audit: {wrong} of {n_audit} random pictures read wrongly. At least "
        f"{100 * promise:g}% right is promised for {mine['labelled']:,.0f} labels of the model "
        f"({mine['share']:.1%} of all pictures), at {LEVEL:.0%} confidence"
        f"{f' over all {attempt} tries' if attempt > 1 else ''}."
    )
    if not np.isnan(mine["in truth"]):
        text += f" In truth {mine['in truth']:.1%} of these are right."
    figure = plots.promises(
        table, state.book.n_human + n_audit, len(pictures), pictures.title(pictures.name)
    )
    alt = "For each promised share of right labels a bar: the share of the pictures labelled by "
    return Finding(text, figure, "promises", alt + "people, by the model, and not yet.")


def write(audited: Audited, promise: float) -> Finding:
    """Write the labelled pictures: ``labelled.npz``, which `alutils.load` reads, and labels.csv.

    The model's labels are those of which `promises` says that a share of ``promise`` is right; what
    it may not label stays without one, and is named in labels.csv.
    """
    pictures, state, places = audited.pictures, audited.state, audited.places
    _, chosen = audited.labels(promise)
    label = state.book.label.copy()
    who = np.where(label >= 0, "person", "").astype("<U7")
    who[state.declined] = "skipped"
    label[state.pool[places]] = audited.told
    who[state.pool[places]] = np.where(audited.told >= 0, "person", "skipped")
    label[state.pool[chosen]] = audited.predicted[chosen]
    who[state.pool[chosen]] = "model"
    sure = np.ones(len(pictures))
    sure[state.pool] = audited.confidence
    names = np.array([*pictures.classes, ""])
    table = pd.DataFrame(
        {"picture": pictures.names, "label": names[label], "by": who, "confidence": sure.round(4)}
    )
    target = folder(audited.out)
    done = label != ABSTAINED
    labelled = Dataset(
        pictures.images[done], label[done], pictures.classes, pictures.origin, pictures.name
    )
    path = write_npz(labelled, target / "labelled.npz")
    write_atomically(target / "labels.csv", table.to_csv(index=False, lineterminator="\n"))
    people, model, left = (int((who == by).sum()) for by in ("person", "model", ""))
    skipped = len(pictures) - people - model - left
    said = f", {skipped:,} that people skipped" if skipped else ""
    return Finding(
        f"{people:,} labels of people, {model:,} of the model{said}, {left:,} pictures without "
        f"one: `{display_path(path)}` and `labels.csv` beside it."
    )
