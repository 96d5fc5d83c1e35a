"""What is trained on a project's labels: softmax regression on frozen features, and its advice.

On the features of real letters it beat the report's dense head at every number of labels tried,
from 25 to 3,000, however long the head was trained: a project without a model starts from it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from alutils.base.files import atomic_file
from alutils.base.manifest import digest
from alutils.labelling.model.features import Extractor
from alutils.labelling.store.records import LabellingError
from alutils.models import embeddings, saved
from alutils.models import out_of_fold as folds
from alutils.models.dense_head import DenseWeights

STEPS = 200  # of L-BFGS; more change predictions of few pictures
PENALTY = 3.0  # on squared weights, for features of unit spread; 0.1 to 10 are alike in accuracy,
# this makes the mean confidence on letters come near the accuracy
FOLDS = 3
FEWEST = 30  # labels, before anything is said about what more of them would buy
_FORMAT = 1


@dataclass(frozen=True)
class Head:
    """A classifier on features."""

    classes: tuple[str, ...]  # names, in the order of the probabilities' columns
    # ``(w, b)`` of softmax regression or a dense head's ``(w1, b1, w2, b2)``, float32.
    weights: tuple[np.ndarray, ...]
    sha256: str  # of the weights, the classes and how the features are made
    n_trained: int  # labels it was trained on here; 0 for one that was brought along

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32 probabilities of (n, n_features)."""
        if len(self.weights) == 4:
            return DenseWeights(*self.weights).probabilities(np.asarray(features, np.float32))
        w, b = self.weights
        return softmax(np.asarray(features, np.float32) @ w + b, axis=1)


def train(
    features: np.ndarray, labels: np.ndarray, classes: Sequence[str], identity: str = ""
) -> Head:
    """Train softmax regression on the classes that occur.

    Parameters
    ----------
    features : (n, n_features) float, finite
    labels : (n,) int, positions in ``classes``
    classes : all names
    identity : of the extractor

    Raises
    ------
    LabellingError
        For fewer than two classes among the labels, and features that are not finite.
    """
    there, y = np.unique(labels, return_inverse=True)
    if len(there) < 2:
        raise LabellingError(
            f"labels of {len(there)} class{'es' * (len(there) != 1)}: a model needs two or more; "
            "label on"
        )
    x = np.asarray(features, np.float32)
    if not np.isfinite(x).all():
        raise LabellingError("features hold values that are not finite; compute them again")
    mean = x.mean(axis=0)
    spread = float(np.sqrt(np.square(x - mean).mean())) or 1.0
    x = (x - mean) / spread
    w, b = _softmax_regression(x, y, len(there))
    w = (w / spread).astype(np.float32)
    b = (b - mean @ w).astype(np.float32)
    names = tuple(classes[i] for i in there)
    return Head(names, (w, b), _hash(names, (w, b), identity), len(y))


def _softmax_regression(x: np.ndarray, y: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Minimise cross-entropy, summed, and ``PENALTY`` times half the squared weights."""
    onehot = np.eye(n, dtype=np.float32)[y]
    d = x.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = flat[: d * n].reshape(d, n), flat[d * n :]
        log_p = log_softmax(x @ w.astype(np.float32) + b.astype(np.float32), axis=1)
        error = np.exp(log_p) - onehot
        value = -float((log_p * onehot).sum(dtype=float)) + PENALTY / 2 * float((w * w).sum())
        gradient = np.concatenate([(x.T @ error + PENALTY * w).ravel(), error.sum(axis=0)])
        return value, gradient.astype(float)

    flat = minimize(
        loss, np.zeros(d * n + n), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}
    ).x
    return flat[: d * n].reshape(d, n), flat[d * n :]


def out_of_fold(
    features: np.ndarray, labels: np.ndarray, classes: Sequence[str], n_seen: int = FOLDS - 1
) -> np.ndarray:
    """Return (n,) int: the class that a model which has not seen an item gives it; -1 for none.

    The items are dealt at random, with the same seed each time, into `FOLDS` parts; for each part a
    model is trained on ``n_seen`` of the others, 1 to ``FOLDS - 1``. A class that only the held-out
    part has cannot be found: it counts as wrong, as it would be.
    """
    fold = np.random.default_rng(0).permutation(len(labels)) % FOLDS
    p = folds.out_of_fold(
        lambda: _Folded(classes), features, labels, fold, n_classes=len(classes), n_seen=n_seen
    )
    return np.where(p.any(axis=1), p.argmax(axis=1), -1)


class _Folded:
    """`train` as a classifier; it knows one class where there is one only."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes

    def fit(self, features: np.ndarray, labels: np.ndarray) -> _Folded:
        self.classes_ = np.unique(labels)
        many = len(self.classes_) > 1
        self._head = train(features, labels, self._classes) if many else None
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        if self._head is None:
            return np.ones((len(features), 1))
        return self._head.predict_proba(features)


def advice(right_third: np.ndarray, right_two_thirds: np.ndarray) -> str:
    """Say what more labels would buy.

    Parameters
    ----------
    right_third, right_two_thirds : (n_trained,) bool, which of the pictures that people labelled
        models have right that were trained on a third and on two thirds of the labels, at random
        and without the picture: `out_of_fold` with ``n_seen`` 1 and 2

    Notes
    -----
    Error is taken to fall by the same factor each time labels double, as learning curves mostly do;
    the two give that factor, with the standard error of a paired difference. The audit slice plays
    no part: whoever picks a model by its accuracy there has no certificate any more. What was
    labelled is mostly what is hard, so these are not the accuracies of all pictures.
    """
    n = len(right_third)
    if n < FEWEST:
        return (
            f"It cannot be told yet what more labels would buy: {n} labels to learn from, {FEWEST} "
            "are needed."
        )
    now, before = float(right_two_thirds.mean()), float(right_third.mean())
    difference = right_two_thirds.astype(float) - right_third
    gain, margin = now - before, 2 * float(difference.std()) / n**0.5
    seen = (
        f"With a third of the {n:,} labels a model has {before:.1%} of the others right, with two "
        f"thirds {now:.1%}"
    )
    if gain <= margin:
        return (
            f"{seen}: no more than chance can do (±{margin:.1%}). More labels for training will "
            "buy little; label the audit slice, or stop."
        )
    # Errors that are left are never none, and never all go.
    ratio = max(1 - now, 0.5 / n) / (1 - before)
    return (
        f"{seen}. As many labels again, {n:,}, should take away about {min(1 - ratio, 0.99):.0%} "
        "of its errors."
    )


# --- on disk --------------------------------------------------------------------------------------


def save(head: Head, folder: Path) -> Path:
    """Write a head, whole or not at all; returns its file, named by its hash."""
    path = folder / f"{head.sha256}.npz"
    card = {"format": _FORMAT, "classes": head.classes, "n_trained": head.n_trained}
    with atomic_file(path) as file:
        arrays: dict[str, Any] = {f"w{i}": each for i, each in enumerate(head.weights)}
        np.savez(file, card=np.array(json.dumps(card)), **arrays)
    return path


def load(path: Path, identity: str) -> Head:
    """Read what `save` wrote.

    `LabellingError` if it is missing, damaged, or was trained on features that were made otherwise.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            card = json.loads(str(kept["card"]))
            weights = tuple(kept[f"w{i}"] for i in range(len(kept.files) - 1))
        head = Head(tuple(card["classes"]), weights, path.stem, int(card["n_trained"]))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        what = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        raise LabellingError(f"{path.name}: the model is {what}; it is trained again") from error
    if _hash(head.classes, weights, identity) != head.sha256:
        raise LabellingError(
            f"{path.name}: the model is not what was saved, or is for other features; it is "
            "trained again"
        )
    return head


def bring(folder: Path | str) -> tuple[Head, Extractor]:
    """Load a model that notebook 03 saved, as a head and what gives it features.

    Imports TensorFlow, which takes seconds. `LabellingError` if it cannot be loaded or holds
    weights that are not finite.
    """
    try:
        model = saved.load_model(find_model(folder))
    except saved.SavedModelError as error:
        raise LabellingError(str(error)) from error
    weights = [np.asarray(each, np.float32) for each in model.network.get_weights()]
    if not all(np.isfinite(each).all() for each in weights):
        raise LabellingError(
            f"{folder}: the model's weights are not finite; train it again, it would give NaN"
        )
    if len(weights) != 30:
        raise LabellingError(
            f"{folder}: the network has {len(weights)} weights, expected 30 (VGG16 and two dense "
            "layers); save it with alutils.models.saved.save_model"
        )
    extractor = embeddings.network(
        size=model.size, preprocessing=model.preprocessing, weights=weights[:26]
    )
    return Head(model.classes, tuple(weights[26:]), model.sha256, 0), extractor


def find_model(folder: Path | str) -> Path:
    """Find the folder of a saved model: the one given, or ``model`` in a run's folder."""
    folder = Path(folder)
    if (folder / saved.CARD).is_file():
        return folder
    inside = sorted(path.parent for path in folder.glob(f"*/{saved.CARD}"))
    if len(inside) == 1:
        return inside[0]
    if not inside:
        raise LabellingError(
            f"{folder}: holds no saved model ({saved.CARD} is missing); give the folder "
            "that notebook 03 saved one in"
        )
    names = ", ".join(path.name for path in inside)
    raise LabellingError(f"{folder}: holds several models, {names}; give the folder of one")


def classes_of(folder: Path | str) -> tuple[str, ...]:
    """Read the names of a saved model's classes from its card, without TensorFlow."""
    try:
        return tuple(saved.read_card(find_model(folder))["classes"])
    except saved.SavedModelError as error:
        raise LabellingError(str(error)) from error


def _hash(classes: Sequence[str], weights: Sequence[np.ndarray], identity: str) -> str:
    parts = [np.ascontiguousarray(each, np.float32).tobytes() for each in weights]
    return digest(identity, *classes, *parts)
