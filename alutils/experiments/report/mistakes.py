"""What the report's first model takes for what, in the pool."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alutils.experiments.base import Finding
from alutils.experiments.report.study import First, Study
from alutils.plots import report as plots
from alutils.stats.metrics import confusion

MOST_PAIRS, EXAMPLES = 6, 8


def _counts(study: Study, first: First) -> np.ndarray:
    """(n_classes, n_classes) letters of the pool: true class, class that they were taken for."""
    return confusion(first.pool_labels, first.predicted, len(study.letters.classes))


def _right(counts: np.ndarray) -> np.ndarray:
    """(n_classes,) share of each class that is read rightly; NaN for a class without letters."""
    n = counts.sum(axis=1)
    return np.divide(np.diag(counts), n, out=np.full(len(n), np.nan), where=n > 0)


def confusion_matrix(study: Study, first: First) -> Finding:
    """Show what each letter of the pool was taken for."""
    classes, counts = study.letters.classes, _counts(study, first)
    right = _right(counts)
    order = [c for c in np.argsort(right) if np.isfinite(right[c])]

    def named(some: list[int]) -> str:
        return ", ".join(f"{classes[c]} ({right[c]:.0%})" for c in some)

    n = len(first.predicted)
    return Finding(
        f"Read best: {named(order[::-1][:3])}; worst: {named(order[:3])}.",
        figure=plots.confusion_matrix(
            counts, classes, study.title(f"{n:,} letters of the pool, {first.name}")
        ),
        name="confusion",
        alt=(
            "Matrix of true against predicted letters: mistakes coloured by their share, per cent "
            "right on the diagonal."
        ),
    )


def confused_pairs(study: Study, first: First) -> Finding:
    """Show letters of the pairs that are confused most often."""
    classes, counts = study.letters.classes, _counts(study, first)
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    places = [divmod(int(place), len(classes)) for place in order if wrong.ravel()[place]]
    if not places:
        return Finding("No letter of the pool was taken for another.", name="confused")
    pairs = pd.DataFrame(
        [{"true": classes[a], "predicted": classes[b], "n": wrong[a, b]} for a, b in places]
    )
    images = study.letters.images[first.parts.pool]
    examples = [
        images[(first.pool_labels == a) & (first.predicted == b)][:EXAMPLES] for a, b in places
    ]
    return Finding(
        f"The {len(pairs)} most frequent pairs make up {pairs['n'].sum() / wrong.sum():.0%} of all "
        f"mistakes; the most frequent is {pairs['true'][0]} taken for {pairs['predicted'][0]}.",
        figure=plots.confused_pairs(
            pairs, examples, study.title("Most confused pairs"), columns=EXAMPLES
        ),
        name="confused",
        alt=(
            "Rows of letters, one for each of the most confused pairs: what they are and what they "
            "were taken for."
        ),
    )


def per_class(study: Study, first: First) -> Finding:
    """Show precision and recall of every class."""
    classes, counts = study.letters.classes, _counts(study, first)
    predicted = counts.sum(axis=0)
    precision = np.divide(
        np.diag(counts), predicted, out=np.full(len(classes), np.nan), where=predicted > 0
    )
    recall = _right(counts)
    both = precision + recall
    table = pd.DataFrame(
        {
            "letter": classes, "n": counts.sum(axis=1), "precision": precision, "recall": recall,
            "F1": np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0),
        }
    )  # fmt: skip
    gap = (table["precision"] - table["recall"]).abs()
    text = "Precision and recall are the same for every letter."
    if gap.max() > 0:
        worst = table.loc[gap.idxmax()]
        text = (
            f"Precision and recall are furthest apart for {worst['letter']}: {worst['recall']:.0%} "
            f"of its letters are found, and {worst['precision']:.0%} of what is called "
            f"{worst['letter']} is one."
        )
    n = len(first.predicted)
    return Finding(
        text,
        figure=plots.per_class(
            table, study.title(f"{n:,} letters of the pool, {first.name}, class by class")
        ),
        name="per_class",
        alt="For each letter, in rising order of recall, its precision and its recall as markers.",
        tables={"az_per_class": table.round(6)},
    )
