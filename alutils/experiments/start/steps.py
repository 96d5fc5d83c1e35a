"""What notebook 00 does, a function for each step: learn, forecast, finish, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alutils.active.loops.pool import PoolState, Round
from alutils.active.oracles import ABSTAINED, Oracle, Perfect
from alutils.base.files import display_path, write_atomically
from alutils.data.dataset import Dataset
from alutils.data.npz import write_npz
from alutils.experiments.base import Answer, Finding
from alutils.experiments.label_costs import fair
from alutils.experiments.start.attempts import LEVEL, Attempt, folder, n_attempts, proposed
from alutils.experiments.start.person import JOURNAL, Person
from alutils.experiments.start.pictures import Pictures
from alutils.guarantee.audit import CERTIFIED
from alutils.guarantee.error_chances import Judged, margin_of
from alutils.models.classifier import Classifier
from alutils.models.estimator import Estimator
from alutils.models.softmax_penalised import PenalisedSoftmax
from alutils.plots import start as plots

LARGEST = 48
"""Pixels a side up to which the small network learns from the pictures themselves."""
PROMISES = (0.9, 0.95, 0.98, 0.99)
"""Shares of right labels that are looked at, beside the one that is asked for."""


def answer() -> Answer:
    """Return what labelling by a model's questions came to in the reference results."""
    return Answer(
        (
            "A model that chooses which pictures a person labels needs fewer labels; it labels the "
            "others itself.",
            "How many of its labels are right, an audit says: a random sample, labelled by a "
            "person who does not see what the model says.",
            _fewest(),
        ),
        fair.FIGURE,
    )


def _fewest() -> str:
    """Return the fewest human labels that pools of the reference results took, in a sentence."""
    table = fair.published()
    if table is None:
        return "results/fair_costs.csv is not there: run `python -m benchmarks fair_costs`."
    said = []
    for pictures, target in (fair.FIRST, fair.HARDER):
        found = fair.costs(table, pictures, target)
        if not found:
            continue
        cost = next(iter(found.values()))
        said.append(
            f"{fair.title(table, pictures)} took {cost.mean:,.0f} human labels "
            f"({cost.share:.0%}) to be labelled, {target:.0%} right"
        )
    return f"Measured, on average: {'; '.join(said)}, with a certificate."


def learner(pictures: Pictures, steps: int, seed: int) -> tuple[np.ndarray, Classifier]:
    """Return what is learned from, (n, ...), and a classifier that has learned nothing yet.

    Small grey pictures: a small network, which learns from the unlabelled ones, too (``steps``
    steps of training a round). Others: softmax regression on what a network trained on photographs
    sees in them; `alutils.models.backbones.first_choice` chooses it.
    """
    images, n_classes = pictures.images, len(pictures.classes)
    if images.ndim == 3 and max(images.shape[1:]) <= LARGEST:
        from alutils.models.convnet import ConvNet

        return images, ConvNet(n_classes, images, steps=steps, seed=seed, progress=True)
    from alutils.models import embeddings
    from alutils.models.backbones import first_choice

    backbone, _ = first_choice([images.shape[1:3]], images.ndim == 4)
    features = np.asarray(embeddings.features(images, backbone=backbone))
    return features, Estimator(n_classes, lambda seed: PenalisedSoftmax(), seed)


def oracle(pictures: Pictures, out: str) -> Oracle:
    """Return who answers: the known labels, or the person before the notebook."""
    if pictures.labels is not None:
        return Perfect(pictures.labels)
    return Person(pictures, folder(out) / JOURNAL)


class Diary:
    """What each round of the loop came to: `note` it after the round, show it at the end."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self.rows: list[dict[str, Any]] = []
        self._predicted = np.full(len(pictures), -1, np.int64)
        self._margin = np.zeros(len(pictures))
        self._asked: list[tuple[np.ndarray, np.ndarray]] = []

    def note(self, done: Round, probabilities: np.ndarray, state: PoolState) -> None:
        """Note a round; ``probabilities`` (n_left, n_classes) are of ``state.pool``, in its order.

        What a round asked for is an examination of the model before it, the hardest that there is:
        these are the pictures that it was least sure of.
        """
        told = state.book.label[done.items]
        asked = self._predicted[done.items]
        there = (asked >= 0) & (told >= 0)
        self._asked.append((self._margin[done.items][there], (asked != told)[there]))
        self._predicted[state.pool] = probabilities.argmax(axis=1)
        self._margin[state.pool] = margin_of(probabilities)
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

    @property
    def judged(self) -> Judged:
        """How sure the models were of what they asked for, and whether they had it wrong."""
        margin, wrong = (np.concatenate(part) for part in zip(*self._asked, strict=True))
        return Judged(margin, wrong, np.zeros(len(margin), bool))

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
                f"{last['sure of']:.0%} of the others. How many of these are right, an audit says."
            )
        figure = plots.curve(rows, self.pictures.title(self.pictures.name))
        alt = "Against the labels given: the share of the other pictures that the model is sure of"
        alt += " and that it has right." if known else ", and of the asked ones that it had right."
        return Finding(text, figure, "curve", alt)


def forecast(
    pictures: Pictures,
    state: PoolState,
    probabilities: np.ndarray,
    judged: Judged,
    promise: float,
    *,
    out: str | Path,
) -> Finding:
    """Return what labelling everything is expected to take now, for several promises.

    ``promise``: share of all labels that is to be right, looked at beside `PROMISES`; the others
    are as in `alutils.experiments.start.attempts.attempt`.
    """
    number, n_human = n_attempts(pictures, out) + 1, state.book.n_human
    rows = []
    for share in sorted({*PROMISES, promise}):
        found = proposed(probabilities, judged, n_human, share, number)
        low, high = found.interval
        rows.append(
            {
                "promise": share, "expected": found.expected, "low": low, "high": high,
                "by_hand": found.by_hand, "audit": found.audit, "chance": found.chance,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    mine = table[table["promise"] == promise].iloc[0]
    text = (
        f"Until at least {100 * promise:g}% of all {len(pictures):,} labels are certified to be "
        f"right, about {mine['expected']:,.0f} more labels are expected, {mine['low']:,.0f} to "
        f"{mine['high']:,.0f}: {mine['by_hand']:,.0f} of the most unsure pictures, and about "
        f"{mine['audit']:,.0f} in an audit, which accepts with a chance of {mine['chance']:.0%}."
    )
    figure = plots.costs(table, n_human, len(pictures), pictures.title(pictures.name))
    alt = "For each promised share of right labels a bar: the share of the pictures labelled by "
    alt += "people so far, by people still, and by the model."
    return Finding(text, figure, "forecast", alt)


def finished(attempt: Attempt) -> Finding:
    """Return what an attempt came to, and what is true then, where the truth is known."""
    tried, pictures = attempt.finishing, attempt.pictures
    promise, asked = tried.terms.target, tried.n_answered
    spent = (
        f"{asked:,} answers, {len(tried.by_hand):,} of the most unsure pictures by hand and "
        f"{len(tried.audited):,} in the audit, where the model had {tried.errors} wrong"
    )
    over = f" over all {attempt.number} attempts" if attempt.number > 1 else ""
    if attempt.decision != CERTIFIED:
        share, low, high = tried.estimate()
        return Finding(
            f"Nothing is promised after {spent}. By the audit about {share:.1%} of the model's "
            f"labels are wrong ({low:.1%} to {high:.1%}). Raise `budget`, so that the model learns "
            "more, or promise less, and run the notebook again: your answers are kept. The next "
            "attempt is held to a stricter level."
        )
    items, label = attempt.by_model
    text = (
        f"At least {100 * promise:g}% of all {tried.n_items:,} labels are right, at {LEVEL:.0%} "
        f"confidence{over}. It took {spent}; the model labels {len(items):,} pictures."
    )
    if pictures.labels is not None and len(items):
        wrong = int((pictures.labels[items] != label).sum())
        text += f" In truth {1 - wrong / tried.n_items:.2%} of all labels are right."
    return Finding(text)


def write(attempt: Attempt) -> Finding:
    """Write the labelled pictures: ``labelled.npz``, which `alutils.load` reads, and labels.csv.

    ``labelled.npz`` also has ``paths``, the file each picture is from (its number where it is from
    one file), and ``source``, ``person`` or ``model``. Where the attempt was not certified, the
    model labels nothing; pictures without a label are named in labels.csv.
    """
    pictures = attempt.pictures
    label, asked = attempt.said
    who = np.where(asked, np.where(label >= 0, "person", "skipped"), "").astype("<U7")
    items, of_model = attempt.by_model
    label[items], who[items] = of_model, "model"
    sure = np.ones(len(pictures))
    sure[attempt.items] = attempt.finishing.said.confidence
    names = np.array([*pictures.classes, ""])
    table = pd.DataFrame(
        {"picture": pictures.names, "label": names[label], "by": who, "confidence": sure.round(4)}
    )
    target = folder(attempt.out)
    done = label != ABSTAINED
    labelled = Dataset(
        pictures.images[done], label[done], pictures.classes, pictures.origin, pictures.name
    )
    more = {"paths": np.array(pictures.names)[done], "source": who[done]}
    path = write_npz(labelled, target / "labelled.npz", **more)
    write_atomically(target / "labels.csv", table.to_csv(index=False, lineterminator="\n"))
    people, model, left = (int((who == by).sum()) for by in ("person", "model", ""))
    skipped = len(pictures) - people - model - left
    said = f", {skipped:,} that people skipped" if skipped else ""
    return Finding(
        f"{people:,} labels of people, {model:,} of the model{said}, {left:,} pictures without "
        f"one: `{display_path(path)}` and `labels.csv` beside it."
    )
