"""The report's third worry, measured: which classifier, on which input, for the same labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from alutils.data.dataset import as_float
from alutils.data.one_size import to_one_size
from alutils.experiments.report.letters import Letters
from alutils.experiments.report.loops import new_head
from alutils.experiments.report.splits import split
from alutils.experiments.strategies.features import scaled
from alutils.models.estimator import softmax_regression
from alutils.stats.metrics import classification_metrics

FEATURES, PIXELS = "VGG16 features", "raw pixels"
HEAD = "the report's head"
NETWORK = "small network, letters distorted"
STANDARDISED = "logistic regression, standardised"
MOST_TESTED = 5_000  # letters of the pool on which classifiers are tested


class ScaledSoftmax:
    """Softmax regression on inputs scaled as a whole, on which its penalty fits."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> ScaledSoftmax:
        """Train on ``x`` (n, n_features) and ``y`` (n,)."""
        self._x = x
        self._model = softmax_regression().fit(scaled(x, x[:0])[0], y)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) classes of ``x`` (n, n_features)."""
        return self._model.predict(self._scale(x))

    def _scale(self, x: np.ndarray) -> np.ndarray:
        return scaled(self._x, x)[1]


def usual_classifiers(seed: int) -> dict[str, Callable[[], Any]]:
    """Return factories of the classifiers that one tries first, by name.

    Settings are scikit-learn's own, apart from the support vector machine's C = 10. Logistic
    regression stands twice: on inputs scaled as a whole, as in the table of VGG16's blocks, and on
    inputs scaled one by one, as is usual.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return {
        "logistic regression": ScaledSoftmax,
        STANDARDISED: lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        "linear SVM": lambda: make_pipeline(StandardScaler(), SVC(kernel="linear")),
        "RBF SVM": lambda: SVC(C=10),
        "random forest": lambda: RandomForestClassifier(100, random_state=seed),
        "5 nearest neighbours": lambda: KNeighborsClassifier(5),
    }


def compare_classifiers(
    inputs: Mapping[str, np.ndarray],
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    classifiers: Mapping[str, Callable[[], Any]],
    *,
    n_classes: int,
) -> pd.DataFrame:
    """Train each classifier on each input, with the same labels, and test it.

    Parameters
    ----------
    inputs : name (features, pixels) to (n, d)
    labels : (n,) int
    train, test : (m,) int positions in them
    classifiers : name to a factory; probabilities are not needed where there is a `predict`

    Returns
    -------
    DataFrame with inputs, classifier, n_human, n_eval, and the `classification_metrics`
    """
    pairs = [(source, name) for source in inputs for name in classifiers]

    def measured(pair: tuple[str, str]) -> dict[str, Any]:
        source, name = pair
        x_train, x_test = (np.asarray(inputs[source][part]) for part in (train, test))
        model = classifiers[name]()
        model.fit(x_train, labels[train])
        if hasattr(model, "predict"):
            predicted = model.predict(x_test)
        else:
            predicted = model.predict_proba(x_test).argmax(1)
        found = classification_metrics(labels[test], predicted, n_classes)
        sizes = {"n_human": len(train), "n_eval": len(test)}
        return {"inputs": source, "classifier": name, **sizes, **found}

    # Threads cost more than they bring in products this small: one classifier a core instead.
    with threadpool_limits(1), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return pd.DataFrame(list(pool.map(measured, pairs)))


def classifiers_draw(letters: Letters, setting: str, seed: int, *, epochs: int) -> pd.DataFrame:
    """Train every classifier on the first labels of one draw; test it on the pool.

    The head begins with the weights that it has in the loops, so that it is the same one.
    """
    parts = split(letters.labels, setting, seed)
    tested = parts.pool[:MOST_TESTED]
    items = np.concatenate([parts.start, tested])
    n, n_classes = len(parts.start), len(letters.classes)
    inputs = {FEATURES: letters.features[items], PIXELS: as_float(letters.images[items])}
    makers = usual_classifiers(seed) | {HEAD: lambda: new_head(n_classes, seed, epochs)}
    table = compare_classifiers(
        inputs, letters.labels[items], np.arange(n), np.arange(n, len(items)), makers,
        n_classes=n_classes,
    )  # fmt: skip
    return table.assign(seed=seed)


def network_draw(letters: Letters, setting: str, seed: int, *, steps: int) -> pd.DataFrame:
    """Train the small convolutional network on the same labels and pixels; test it on the pool."""
    from alutils.models.convnet import LARGEST, ConvNet

    parts = split(letters.labels, setting, seed)
    tested, n_classes = parts.pool[:MOST_TESTED], len(letters.classes)
    images = letters.images
    if images.ndim == 4:  # colour says nothing of a letter
        images = np.rint(images.mean(axis=3)).astype(np.uint8)
    shrink = max(images.shape[1:]) / LARGEST
    if shrink > 1:
        height, width = (round(side / shrink) for side in images.shape[1:])
        images = to_one_size(images, (height, width), colour=False)
    network = ConvNet(n_classes, seed=seed, steps=steps)
    network.fit(images[parts.start], letters.labels[parts.start])
    predicted = network.predict(images[tested])
    found = classification_metrics(letters.labels[tested], predicted, n_classes)
    sizes = {"n_human": len(parts.start), "n_eval": len(tested), "seed": seed}
    return pd.DataFrame([{"inputs": PIXELS, "classifier": NETWORK, **sizes, **found}])
