"""Which letters the report labels first, which wait in its pool, which test: its two settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alutils.stats.tables import Vocabulary

TEST_SHARE = 0.30


@dataclass(frozen=True)
class Sizes:
    """How many letters a setting takes of each class, how many are labelled first, and of what."""

    per_class: int
    n_start: int
    from_training_part: bool


SETTINGS = {
    # What the log shows: 26 x 1,120 letters, the size of the smallest class of the whole data set.
    "as_logged": Sizes(per_class=1120, n_start=26 * 140, from_training_part=False),
    # What the text says: 784 of each class of the 70% that are no test letters, 10% to start.
    "as_stated": Sizes(per_class=784, n_start=2038, from_training_part=True),
}
NAMES = {"as_logged": "the logged setting", "as_stated": "the stated setting"}
"""What sentences and titles call the settings."""
VOCABULARY = Vocabulary(protocols=tuple(SETTINGS))


@dataclass(frozen=True)
class Split:
    """Which items are labelled first, which wait, which test.

    Attributes
    ----------
    start, pool, test : (n,) int64 items of the data set; start and pool share none
    balanced : whether start and pool hold the same number of each class
    note : what was done, in one sentence
    """

    start: np.ndarray
    pool: np.ndarray
    test: np.ndarray
    balanced: bool
    note: str


def stratified(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``n`` of ``labels`` (n_items,) with every class in its proportion, to one item.

    Returns
    -------
    (n,) int64 positions, shuffled; ValueError if there are not so many
    """
    if not 0 <= n <= len(labels):
        raise ValueError(f"n={n}: there are {len(labels)} items to draw from")
    counts = np.bincount(labels)
    exact = counts * (n / max(1, len(labels)))
    take = np.floor(exact).astype(np.int64)
    # Ties go to a random class, so that no class is favoured for its place in the alphabet.
    order = np.lexsort((rng.random(len(counts)), take - exact))
    take[order[: n - take.sum()]] += 1
    drawn = [
        rng.choice(np.flatnonzero(labels == c), k, replace=False) for c, k in enumerate(take) if k
    ]
    return rng.permutation(np.concatenate(drawn)) if drawn else np.empty(0, np.int64)


def split(labels: np.ndarray, setting: str, seed: int) -> Split:
    """Draw the letters of one of the report's settings, scaled down to what the data set holds.

    The test set is 30% of everything, as imbalanced as it is. The rest of a setting is kept in this
    order, as far as the data go: the number of first labels; test letters that are in none of the
    other parts; classes of equal size, by undersampling; the size of the pool.

    Parameters
    ----------
    labels : (n_items,) int
    setting : one of `SETTINGS`
    seed : of every draw

    Raises
    ------
    ValueError
        For an unknown setting, or fewer than 2 items in a class or 10 in all.

    Notes
    -----
    The setting ``as_logged`` undersamples all letters, as 26 x 1,120 shows, so that test letters
    come to be labelled: where the data hold 1,120 of each class only with the test letters, this
    is done here too. `alutils.experiments.report.loops.run_loop` leaves them out of its measures.
    """
    if setting not in SETTINGS:
        raise ValueError(f"arm={setting}: expected one of {', '.join(SETTINGS)}")
    labels = np.asarray(labels, np.int64)
    sizes, rng = SETTINGS[setting], np.random.default_rng([seed, 0])
    if len(labels) < 10 or _smallest(labels) < 2:
        raise ValueError(
            f"{len(labels)} items, {_smallest(labels)} in the smallest class: expected 10 or more, "
            "and 2 or more of each class"
        )
    test = stratified(labels, round(TEST_SHARE * len(labels)), rng)
    everything = np.arange(len(labels))
    items = np.setdiff1d(everything, test)
    enough = 1.25 * sizes.n_start
    if not sizes.from_training_part and _smallest(labels[items]) < sizes.per_class:
        full = _smallest(labels) >= sizes.per_class
        if full or len(items) < enough <= len(labels):
            items = everything
    n_classes, per_class = len(np.unique(labels[items])), _smallest(labels[items])
    per_class, n_start = min(per_class, sizes.per_class), sizes.n_start
    balanced = per_class * n_classes >= enough or len(items) < enough
    if balanced:
        items = items[undersample(labels[items], seed, per_class)]
        if len(items) < enough:  # too few for that many labels: keep their share
            n_start = max(n_classes, round(len(items) * n_start / (sizes.per_class * 26)))
    chosen = stratified(labels[items], min(n_start, len(items) - 1), rng)
    waiting = np.ones(len(items), bool)
    waiting[chosen] = False
    start, pool = items[chosen], rng.permutation(items[waiting])
    kind = f"{per_class:,} of each class" if balanced else "classes as found: too small to balance"
    complete = (per_class, n_start) == (sizes.per_class, sizes.n_start)
    shared = int(np.isin(test, items).sum())
    note = (
        f"{NAMES[setting]}{'' if complete else ', scaled down'}: {len(start):,} labelled first, "
        f"{len(pool):,} in the pool ({kind}), {len(test):,} test letters as found"
        + (f", {shared:,} of them among the former" if shared else "")
    )
    return Split(start, pool, test, bool(balanced), note)


def _smallest(labels: np.ndarray) -> int:
    """How many items the smallest class has, of those that have any."""
    counts = np.bincount(labels) if len(labels) else np.zeros(1, np.int64)
    return int(counts[counts > 0].min(initial=len(labels)))


def undersample(labels: np.ndarray, seed: int = 42, per_class: int | None = None) -> np.ndarray:
    """Choose ``per_class`` items of every class, as many as the smallest has where it is None.

    Parameters
    ----------
    labels : (n,) int, two classes or more, or ValueError
    seed : ``random_state`` of imbalanced-learn's RandomUnderSampler; the report's is 42

    Returns
    -------
    (m,) int64 positions in `labels`, class by class
    """
    from imblearn.under_sampling import RandomUnderSampler

    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"labels hold {len(classes)} classes: balancing takes 2 or more of them")
    wanted = dict.fromkeys(classes.tolist(), per_class) if per_class else "auto"
    sampler = RandomUnderSampler(sampling_strategy=wanted, random_state=seed)
    sampler.fit_resample(np.zeros((len(labels), 1)), labels)
    return np.asarray(sampler.sample_indices_, np.int64)
