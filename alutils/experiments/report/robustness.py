"""Two of the report's worries, measured: noisy images and wrong labels.

Everything takes arrays and a factory of untrained classifiers (`fit`, `predict_proba`), and gives a
table with a row for each case. A way to spoil images takes them as uint8, (n, height, width) or
(n, height, width, 3), with a level of 0 or more, and gives others of the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from alutils.models.classifier import Classifier, Make
from alutils.stats.metrics import classification_metrics

THRESHOLDS = (0.6, 0.9)  # confidence from which a prediction becomes a label; the report's is 0.6
Features = Callable[[np.ndarray], np.ndarray]


# --- spoiling images ------------------------------------------------------------------------------


def add_noise(images: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise to every pixel; ``level`` is its deviation, in grey levels of 255."""
    _check(images, level)
    noise = rng.standard_normal(images.shape, np.float32) * np.float32(level)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


def blur(images: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian, whose deviation in pixels is ``level``; nothing here is random."""
    _check(images, level)
    if level == 0:
        return images.copy()
    return np.stack([cv2.GaussianBlur(image, (0, 0), level) for image in images])


def occlude(images: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Cover a part of what is drawn with a black square, ``level`` of the image's area (0 to 1).

    Its centre is a random pixel that is not black, so that it always covers some of the ink; near
    the edge it is cut off.
    """
    _check(images, level)
    if level > 1:
        raise ValueError(f"level={level}: a share of the area is 1 at most")
    height, width = images.shape[1:3]
    side = round(math.sqrt(level * height * width))
    covered = images.copy()
    if side == 0:
        return covered
    places = rng.random(len(images))
    for image, place in zip(covered, places, strict=True):
        inked = np.flatnonzero(image.reshape(height, width, -1).any(-1))
        if len(inked):  # an empty image has nothing to cover
            row, column = divmod(int(inked[int(place * len(inked))]), width)
            top, left = max(0, row - side // 2), max(0, column - side // 2)
            image[top : row - side // 2 + side, left : column - side // 2 + side] = 0
    return covered


@dataclass(frozen=True)
class Corruption:
    """A way to spoil images.

    Attributes
    ----------
    spoil : images, level, rng to images
    levels : rising, all above 0
    unit : what a level is, for an axis
    factor : levels are shown times this
    """

    spoil: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    levels: tuple[float, ...]
    unit: str
    factor: float = 1


CORRUPTIONS = {
    "noise": Corruption(add_noise, (10.0, 25.0, 50.0, 100.0), "standard deviation, grey levels"),
    "blur": Corruption(blur, (0.5, 1.0, 1.5, 2.0), "standard deviation, pixels"),
    "occlusion": Corruption(occlude, (0.02, 0.05, 0.1, 0.15), "per cent of the image covered", 100),
}


def wrong_labels(
    labels: np.ndarray, share: float, n_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Give ``round(share * n)`` of n items the label of another class, every one as likely.

    Parameters
    ----------
    labels : (n,) int, 0 to ``n_classes - 1``; a copy, int64, is changed and returned
    """
    if not 0 <= share <= 1 or n_classes < 2:
        raise ValueError(f"share={share}, n_classes={n_classes}: expected 0 to 1, and 2 or more")
    labels = np.array(labels, np.int64)
    # Drawn for all, whatever the share: with the same seed a larger one spoils the same and more.
    order, shift = rng.permutation(len(labels)), rng.integers(1, n_classes, len(labels))
    chosen = order[: round(share * len(labels))]
    labels[chosen] = (labels[chosen] + shift[chosen]) % n_classes
    return labels


# --- measuring ------------------------------------------------------------------------------------


def measure(
    probabilities: np.ndarray, labels: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, float]:
    """Measure predictions, and what labelling the confident ones automatically would give.

    Parameters
    ----------
    probabilities : (n, n_classes) float
    labels : (n,) int, the true ones
    thresholds : an item is labelled automatically where its confidence is this or more

    Returns
    -------
    `classification_metrics`; n_eval; and for each threshold t ``auto_coverage@t``, the share of
    items labelled, and ``auto_precision@t``, the share of those that are right, NaN if there are
    none
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    result: dict[str, float] = {"n_eval": len(labels)}
    result |= classification_metrics(labels, predicted, probabilities.shape[1])
    for threshold in thresholds:
        sure = confidence >= threshold
        right = predicted[sure] == labels[sure]
        result[f"auto_coverage@{threshold:g}"] = float(sure.mean())
        result[f"auto_precision@{threshold:g}"] = float(right.mean()) if len(right) else math.nan
    return result


def under_corruption(
    model: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    features: Features,
    *,
    seed: int,
    thresholds: Sequence[float] = THRESHOLDS,
) -> pd.DataFrame:
    """Spoil the images that a trained model is to label, ever more.

    Parameters
    ----------
    model : trained on features of clean images of the same classes
    images : clean
    labels : (n,) int
    features : images to what the model sees, (n, d); `alutils.models.embeddings.features` keeps its
        results, so that the second time costs nothing
    seed : of noise and places. Every level of a kind draws the same ones, so that the levels differ
        in nothing else.

    Returns
    -------
    DataFrame with kind, level and the columns of `measure`; level 0, the clean images, in each kind
    """
    clean = measure(model.predict_proba(features(images)), labels, thresholds)
    rows = []
    for number, (kind, corruption) in enumerate(CORRUPTIONS.items()):
        rows.append({"kind": kind, "level": 0.0, **clean})
        for level in corruption.levels:
            spoilt = corruption.spoil(images, level, np.random.default_rng([seed, number]))
            measured = measure(model.predict_proba(features(spoilt)), labels, thresholds)
            rows.append({"kind": kind, "level": level, **measured})
    return pd.DataFrame(rows)


def under_wrong_labels(
    x: np.ndarray,
    labels: np.ndarray,
    x_test: np.ndarray,
    test_labels: np.ndarray,
    classifier: Make,
    *,
    n_classes: int,
    seeds: Sequence[int],
    shares: Sequence[float] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2),
    thresholds: Sequence[float] = THRESHOLDS,
) -> pd.DataFrame:
    """Train on labels of which ever more are wrong; test on the true ones.

    Parameters
    ----------
    x, labels : (n, d) and (n,), to train on; every class is there
    x_test, test_labels : (m, d) and (m,), the true labels
    classifier : seed to an untrained classifier
    seeds : one repetition each: which labels are wrong, and the classifier's own seed
    shares : of wrong labels

    Returns
    -------
    DataFrame with share, seed and the columns of `measure`
    """
    rows = []
    for seed in seeds:
        for share in shares:
            given = wrong_labels(labels, share, n_classes, np.random.default_rng([seed, 1]))
            model = classifier(seed)
            model.fit(x, given)
            measured = measure(model.predict_proba(x_test), test_labels, thresholds)
            rows.append({"share": share, "seed": seed, **measured})
    return pd.DataFrame(rows)


def at_worst(table: pd.DataFrame) -> pd.DataFrame:
    """Return the row of each kind (the index) of `under_corruption` at its highest level.

    What is undefined there stays NaN.
    """
    highest = table.groupby("kind", sort=False)["level"].idxmax()
    return table.loc[highest].set_index("kind")


def describe(measured: pd.Series, threshold: float) -> str:
    """Say in words what a row of `measure` tells of labels given from a threshold on."""
    coverage = measured[f"auto_coverage@{threshold:g}"]
    if not coverage > 0:
        return "no letter gets an automatic label"
    right = measured[f"auto_precision@{threshold:g}"]
    return f"{coverage:.0%} of the letters get an automatic label, {right:.1%} of these are right"


def _check(images: np.ndarray, level: float) -> None:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(
            f"images are {images.dtype} of shape {images.shape}: expected uint8, (n, height, "
            "width) or (n, height, width, 3)"
        )
    if not level >= 0:
        raise ValueError(f"level={level}: expected 0 or more")
