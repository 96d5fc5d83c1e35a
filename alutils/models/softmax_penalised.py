"""Softmax regression with a penalty: the quick learner on features.

On the features of real letters it beat the report's dense head at every number of labels tried,
from 25 to 3,000, however long the head was trained. The optimum is scikit-learn's, found by
L-BFGS; features are centred and brought to unit spread as a whole first, so that one penalty fits
all features. All of it runs on one thread: products this small are slower on several, and on a
busy machine tens of times slower.
"""

from __future__ import annotations

import functools
import warnings

import numpy as np
from threadpoolctl import ThreadpoolController

from alutils.base.errors import ParameterError
from alutils.models.heads import Head

PENALTY = 3.0
"""On half the squared weights, for features of unit spread. Penalties from 0.1 to 10 are alike in
accuracy on letters and within 1.5 points of a tuned one on photographs, so choosing it out of fold
would cost as many trainings as there are penalties for nothing; with this one the mean confidence
on letters comes near the accuracy."""
TOLERANCE, STEPS = 1e-4, 200
"""Of L-BFGS: with a tenfold tolerance up to a point of accuracy is lost on letters."""


class PenalisedSoftmax:
    """Softmax regression with an L2 penalty.

    Parameters
    ----------
    penalty : on half the squared weights, for features of unit spread; more than 0

    Raises
    ------
    ParameterError
        For a penalty that cannot be used.
    """

    def __init__(self, penalty: float = PENALTY) -> None:
        if isinstance(penalty, bool) or not np.isfinite(penalty) or penalty <= 0:
            raise ParameterError("penalty", penalty, "expected a number, more than 0")
        self.penalty = penalty
        self.classes_ = np.empty(0, np.int64)
        """(n_seen,) int64, the classes among the labels: the columns of the probabilities."""
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        """The trained weights; RuntimeError before the first `fit`."""
        if self._head is None:
            raise RuntimeError("the classifier is not trained yet: call fit(x, y) first")
        return self._head

    def fit(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None
    ) -> PenalisedSoftmax:
        """Train anew.

        Parameters
        ----------
        x : (n, n_features) float, finite; float32 is fastest
        y : (n,) int
        weight : (n,) float, how much each item counts; None counts each once

        Raises
        ------
        ParameterError
            For shapes that do not fit, no items, and features that are not finite.
        """
        x, y = np.asarray(x, np.float32), np.asarray(y)
        if x.ndim != 2 or y.shape != (len(x),) or not len(x):
            raise ParameterError(
                "x", f"{x.shape}, y {y.shape}", "expected (n, n_features) and (n,), n 1 or more"
            )
        if not np.isfinite(x).all():
            raise ParameterError(
                "x", "values that are not finite", "expected finite features",
                "compute the features again",
            )  # fmt: skip
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:  # nothing to tell apart
            self._head = Head((np.zeros((x.shape[1], 1), np.float32), np.zeros(1, np.float32)))
            return self
        mean = x.mean(axis=0)
        x = x - mean
        spread = float(np.sqrt(np.square(x).mean())) or 1.0
        x /= spread
        w, b = _optimum(x, numbers, len(self.classes_), self.penalty, weight)
        w = w / spread
        self._head = Head((w.astype(np.float32), (b - mean @ w).astype(np.float32)))
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, n_seen) float32 probabilities of `classes_`, for (n, n_features)."""
        return self.head.predict_proba(x)


def _optimum(
    x: np.ndarray, y: np.ndarray, n_classes: int, penalty: float, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_features, n_classes) weights and (n_classes,) biases."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # For two classes scikit-learn trains one column of weights, the difference of ours: half its
    # squared length is twice what ours have together.
    strength = (2 if n_classes == 2 else 1) / penalty
    model = LogisticRegression(C=strength, max_iter=STEPS, tol=TOLERANCE)
    with warnings.catch_warnings(), single_thread().limit(limits=1, user_api="blas"):
        warnings.simplefilter("ignore", ConvergenceWarning)  # more steps change few predictions
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        model.fit(x, y, weight)
    w, b = model.coef_.T.astype(float), model.intercept_.astype(float)
    if n_classes == 2:
        w, b = np.hstack([-w / 2, w / 2]), np.array([-b[0] / 2, b[0] / 2])
    return w, b


@functools.cache
def single_thread() -> ThreadpoolController:
    """Return what limits the threads of products; found once, as the search takes long."""
    import sklearn.linear_model  # noqa: F401 - its libraries have to be there to be found

    return ThreadpoolController()
