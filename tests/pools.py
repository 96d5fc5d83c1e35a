"""Pools that the tests of query strategies share: ordinary ones, and ones with nothing to hold."""

import numpy as np


def _onehot(rng, n, n_classes):
    return np.eye(n_classes)[rng.integers(0, n_classes, n)]


PROBABILITIES = {
    "random": lambda rng: rng.dirichlet(np.ones(7), 60),
    "sharp": lambda rng: rng.dirichlet(np.full(26, 0.05), 60),
    "two classes": lambda rng: rng.dirichlet([1, 1], 60),
    "ties": lambda rng: rng.permuted(np.tile([0.4, 0.4, 0.1, 0.1, 0], (60, 1)), axis=1),
    "uniform": lambda rng: np.full((20, 4), 0.25),
    "zero and one": lambda rng: _onehot(rng, 30, 5),
    "mostly certain": lambda rng: np.vstack([_onehot(rng, 30, 5), rng.dirichlet(np.ones(5), 3)]),
    "one class": lambda rng: np.ones((9, 1)),
    "one sample": lambda rng: rng.dirichlet(np.ones(3), 1),
    "more than a block": lambda rng: rng.dirichlet(np.ones(3), 9000),
}
DTYPES = {"float32": np.float32, "float64": np.float64}


def probabilities(kind, dtype, seed=0):
    """Return (n_samples, n_classes) of one of the kinds above."""
    return PROBABILITIES[kind](np.random.default_rng(seed)).astype(DTYPES[dtype])


def tolerance(dtype):
    """Return how far float arithmetic of this width may end from an exact result near one."""
    return 3e-6 if dtype == "float32" else 1e-12


def linear_pool(n=80, n_features=6, n_classes=4, n_labelled=9, seed=0, dtype=np.float32):
    """Return features, probabilities of a softmax layer on them, and a mask of labelled items."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_features))
    logits = x @ rng.normal(size=(n_features, n_classes))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    labelled = np.zeros(n, bool)
    labelled[rng.permutation(n)[:n_labelled]] = True
    return x.astype(dtype), (p / p.sum(axis=1, keepdims=True)).astype(dtype), labelled


def moving_clouds(angles, n_classes, rng, spread=0.3):
    """Return points and classes: normal clouds evenly round a unit circle that turns by ``angles``.

    Parameters
    ----------
    angles : (n,) float, degrees by which the circle has turned at each arrival
    """
    y = rng.integers(0, n_classes, len(angles))
    place = np.radians(angles) + 2 * np.pi * y / n_classes
    x = np.column_stack([np.cos(place), np.sin(place)])
    return x + spread * rng.normal(size=x.shape), y


def random_weights(widths: list[int], seed: int = 0) -> list[np.ndarray]:
    """13 convolutions that keep the size of what goes through them."""
    rng = np.random.default_rng(seed)
    arrays, channels = [], 3
    for width in widths:
        kernel = rng.normal(0, (2 / (9 * channels)) ** 0.5, (3, 3, channels, width))
        arrays += [kernel.astype(np.float32), rng.normal(0, 1, width).astype(np.float32)]
        channels = width
    return arrays
