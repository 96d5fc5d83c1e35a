"""Any scikit-learn classifier in the loops: all classes have a column, seen or not."""

from __future__ import annotations

import copy
import functools
import warnings
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from alutils.base.checks import check_count
from alutils.base.rows import number_of
from alutils.models.classifier import Make


def softmax_regression(seed: int = 0, strength: float = 1.0) -> Any:
    """Return scikit-learn's softmax regression with an L2 penalty, by L-BFGS.

    The seed, not used as the optimum is one, makes it a `Make`; ``strength`` is scikit-learn's C.
    """
    from sklearn.linear_model import LogisticRegression

    # 1e-3 is where the test accuracy no longer changes; the default takes twice the time.
    return LogisticRegression(C=strength, max_iter=300, tol=1e-3)


class Estimator:
    """A classifier that knows how many classes there are, whatever labels it has seen.

    Before the first label all classes are as likely; a class without a label has probability 0;
    with one class seen, that class has 1.

    Parameters
    ----------
    n_classes : in all
    make : what is wrapped; `softmax_regression` if not given
    seed : given to ``make``

    Raises
    ------
    ValueError
        For fewer than 2 classes; for a label outside them, when it is trained.
    """

    def __init__(self, n_classes: int, make: Make = softmax_regression, seed: int = 0) -> None:
        check_count("n_classes", n_classes, 2)
        self.n_classes, self.make, self.seed = n_classes, make, seed
        self.model: Any = None  # None where there is nothing to tell apart
        self.classes = np.empty(0, np.int64)

    def fit(self, x: np.ndarray, y: np.ndarray) -> Estimator:
        """Train on ``x`` (n, n_features) and ``y`` (n,) int, anew."""
        self.classes = _checked_classes(y, self.n_classes)
        self.model = None
        if len(self.classes) > 1:
            self.model = _fit(self.make(self.seed), x, y)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_classes) float32 probabilities."""
        out = np.zeros((number_of(x), self.n_classes), np.float32)
        if self.model is not None:
            with _threads().limit(limits=1, user_api="blas"):
                out[:, self.classes] = self.model.predict_proba(x)
            # In float32 rows of many classes no longer sum to one exactly enough for every user.
            out /= out.sum(axis=1, keepdims=True)
        elif len(self.classes):
            out[:, self.classes] = 1
        else:
            out[:] = 1 / self.n_classes
        return out

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return (n,) int64, the likeliest classes."""
        return self.predict_proba(x).argmax(axis=1)

    def with_label(self, x: np.ndarray, y: np.ndarray, steps: int) -> Estimator:
        """Return this classifier trained on other labels, from where it stands.

        Parameters
        ----------
        x, y : all labels, (n, n_features) and (n,)
        steps : of the optimiser, at most; a class that was not seen before needs a whole training,
            and so does a model that cannot go on from where it stands (its parameters
            ``warm_start``, ``max_iter`` and ``tol``)
        """
        other = copy.copy(self)
        same = self.model is not None and np.array_equal(np.unique(y), self.classes)
        if not (same and {"warm_start", "max_iter", "tol"} <= set(self.model.get_params())):
            return other.fit(x, y)
        other.model = copy.copy(self.model)
        # One more label changes little: by the usual tolerance nothing would be left to do.
        other.model.set_params(warm_start=True, max_iter=steps, tol=1e-9)
        _fit(other.model, x, y)
        return other


@functools.cache
def _threads() -> ThreadpoolController:
    # Found once: to look for the libraries takes longer than a small training.
    return ThreadpoolController()


def _fit(model: Any, x: np.ndarray, y: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    # Few rows: several threads would wait for each other longer than they work.
    with warnings.catch_warnings(), _threads().limit(limits=1, user_api="blas"):
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps are all that was asked
        # The first labels of many classes are few of each.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        model.fit(x, y)  # what it returns is its own affair
    return model


def _checked_classes(y: np.ndarray, n_classes: int) -> np.ndarray:
    classes = np.unique(np.asarray(y, np.int64))
    if len(classes) and not 0 <= classes[0] <= classes[-1] < n_classes:
        wrong = classes[0] if classes[0] < 0 else classes[-1]
        raise ValueError(f"label {wrong}: expected 0 to {n_classes - 1} (n_classes)")
    return classes
