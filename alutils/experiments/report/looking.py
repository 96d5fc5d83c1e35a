"""Looking at letters as the report does: samples, the size of each class, undersampling."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
import pandas as pd

from alutils.base.errors import ParameterError
from alutils.data import rendering
from alutils.data.dataset import Dataset
from alutils.experiments.base import Finding
from alutils.experiments.report.exploration import classes_in_first
from alutils.experiments.report.splits import TEST_SHARE, undersample
from alutils.plots import letters as plots

N_LETTERS = 372_450  # of Kaggle's letters, which the report has
N_MAPPED = 40_000  # rows that the report maps
PER_CLASS = 784  # letters of each class after the report's undersampling
N_REAL_TRAIN = round((1 - TEST_SHARE) * N_LETTERS)


def real_shares() -> pd.Series:
    """Return the class shares of Kaggle's letters, by letter."""
    return pd.Series(rendering.AZ_PROPORTIONS)


def check_maps(letters: Dataset, n_tsne: int, perplexity: float, n_neighbours: int) -> None:
    """Raise ParameterError where so many letters cannot be mapped or compared with neighbours."""
    n, least = min(n_tsne, len(letters)), int(3 * perplexity) + 2
    if n < least:
        raise ParameterError(
            "perplexity", f"{perplexity:g}", f"takes maps of {least} letters or more, and {n} are "
            "mapped",
            f"lower perplexity to {(n - 2) // 3} or less, or take more letters (n_tsne)",
        )  # fmt: skip
    if n_neighbours >= n // 2:
        raise ParameterError(
            "n_neighbours", n_neighbours, f"expected fewer than {n // 2}, half of the {n} letters "
            "mapped",
            "lower it, or take more letters (n_tsne)",
        )  # fmt: skip


def samples(letters: Dataset, n: int, seed: int) -> Finding:
    """Show random letters, four in a row as in the report."""
    rng = np.random.default_rng(seed)
    shown = rng.choice(len(letters), min(n, len(letters)), replace=False)
    names = [letters.classes[label] for label in letters.labels[shown]]
    size = " × ".join(map(str, letters.images.shape[1:]))
    return Finding(
        f"{len(shown)} of {len(letters):,} letters of {size} pixels; {len(set(names))} of "
        f"{len(letters.classes)} classes are among them.",
        figure=plots.samples(
            letters.images[shown], names, letters.title(f"{len(shown)} random samples"), columns=4
        ),
        name="samples",
        alt=f"A grid of {len(shown)} letters in grey levels, each with its label above it.",
    )


def count_classes(letters: Dataset) -> Finding:
    """Say how many letters there are, in all and of each class."""
    counts = letters.class_counts()
    lines = [
        letters.title(f"{len(letters):,} letters"),
        *wrap(", ".join(f"{name}\xa0{number:,}" for name, number in counts.items()), 80),
    ]
    lines = [line.replace("\xa0", " ") for line in lines]  # a name stays with its number
    return Finding("\n".join(lines), exact=True)


def class_sizes(letters: Dataset) -> Finding:
    """Show how many letters each class has."""
    counts, real = letters.class_counts(), real_shares()
    largest, smallest = (how(counts, key=lambda name: counts[name]) for how in (max, min))
    ratio = counts[largest] / counts[smallest]
    text = f"Imbalanced: {counts[largest]:,} {largest} and {counts[smallest]:,} {smallest}, "
    text += f"{ratio:.1f} to 1"
    if ratio == 1:
        text = f"Balanced: {counts[largest]:,} of each class"
    return Finding(
        f"{text}; always saying {largest} is right {counts[largest] / len(letters):.1%} of the "
        f"time. Kaggle's letters are {real.max() / real.min():.0f} to 1.",
        figure=plots.class_sizes(
            {"letters": counts}, letters.title("Letters of each class, as found")
        ),
        name="class_counts",
        alt="Bars with the number of letters of each class.",
    )


def undersampling(letters: Dataset, seed: int) -> Finding:
    """Show the training letters of each class before and after undersampling."""
    from sklearn.model_selection import train_test_split

    train, _ = train_test_split(
        np.arange(len(letters)), train_size=1 - TEST_SHARE, stratify=letters.labels,
        random_state=seed,
    )  # fmt: skip
    kept = train[undersample(letters.labels[train], seed)]
    before, after = letters.take(train).class_counts(), letters.take(kept).class_counts()
    theirs = 26 * PER_CLASS / N_REAL_TRAIN
    (each,) = set(after.values())
    return Finding(
        f"{len(train):,} training letters before, {len(kept):,} after: {each:,} of each class. "
        f"Balance costs {1 - len(kept) / len(train):.0%} of them; the report, with {PER_CLASS} of "
        f"each class out of {N_REAL_TRAIN:,}, gives up {1 - theirs:.0%}.",
        figure=plots.class_sizes(
            {"before": before, "after": after},
            letters.title("Training letters of each class, before and after undersampling"),
        ),
        name="undersampling",
        alt=(
            "Two panels of bars: training letters of each class before undersampling, uneven, and "
            "after it, all equal."
        ),
    )


def first_rows(seed: int) -> Finding:
    """Say how many classes the first rows hold if letters are read folder by folder."""
    counts = (real_shares() * N_REAL_TRAIN).round().to_numpy()
    found = classes_in_first(counts, N_MAPPED, 2000, np.random.default_rng(seed))
    return Finding(
        f"Read folder by folder, in a random order of folders, the first {N_MAPPED:,} of "
        f"{N_REAL_TRAIN:,} letters hold {found:.1f} of 26 classes on average.",
        exact=True,
    )
