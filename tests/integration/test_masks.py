"""What is behind a mask is not known: whoever takes values refuses it, and says how many there are.

NumPy's own functions drop a mask without a word: labels that nobody gave would be learned, and an
audit that nobody answered would certify.
"""

import numpy as np
import pytest

from alutils import Estimator, Perfect, PoolState, certify, finish, pool_based
from alutils.active.oracles import checked
from alutils.active.strategies import uncertainty
from alutils.base.errors import ParameterError
from alutils.guarantee import label_errors
from alutils.guarantee.terms import Terms

N = 60
RNG = np.random.default_rng(0)
LABELS = np.arange(N) % 3
P = np.eye(3)[LABELS] * 0.7 + 0.1
MASK = np.zeros(N, bool)
MASK[[3, 8]] = True


def masked(values: np.ndarray) -> np.ndarray:
    """Return values of which two items are not known."""
    mask = np.broadcast_to(MASK.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    return np.ma.array(values, mask=mask)


def take(labels: np.ndarray) -> None:
    classifier, x = Estimator(3), np.eye(3)[LABELS]
    loop = pool_based(x, lambda items: labels[items], classifier, None, PoolState.start(N),
                      batch=N, budget=N)  # fmt: skip
    assert len(list(loop)) == 1


TAKERS = {
    "labels of an oracle": (lambda values: Perfect(values), LABELS),
    "answers": (lambda values: checked(values, np.arange(N), 3), LABELS),
    "answers in a loop": (take, LABELS),
    "confidences to certify": (
        lambda values: certify(values, np.ones(N, bool), target=0.6, thresholds=(0.5,)),
        P.max(axis=1),
    ),
    "answers of an audit": (
        lambda values: certify(P.max(axis=1), values, target=0.6, thresholds=(0.5,)),
        np.ones(N, bool),
    ),
    "probabilities to finish with": (
        lambda values: finish(
            PoolState.start(N), values, Perfect(LABELS), np.random.default_rng(0), Terms(0.5)
        ),
        P,
    ),
    "probabilities of a query": (uncertainty.margin, P),
    "labels that may be wrong": (lambda values: label_errors.find_label_errors(values, P), LABELS),
}


@pytest.mark.parametrize("name", TAKERS)
def test_masked_values_are_refused_and_unmasked_ones_are_taken(name: str) -> None:
    taker, values = TAKERS[name]
    with pytest.raises(ParameterError, match=r"an array with [26] masked values: expected .*known"):
        taker(masked(values))
    taker(np.ma.array(values, mask=False))
    taker(values)
