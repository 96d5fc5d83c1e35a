"""The replicate engine: softmax regression on images as lists of their non-black pixels.

Four fifths of MNIST's pixels are zero and add nothing to any product, so each image is kept as its
non-zero pixels only (compressed sparse rows), and a step costs two passes over those. Compiled by
numba without the GIL: replicates run side by side in threads. It follows the article's procedure to
the letter but sums in its own order, so its results are draws from the distribution that the
article's number is one draw of, not that number itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from alutils.classifiers import BETA1, BETA2, EPSILON, Weights

# Sixteen classes are computed side by side: two AVX2 registers or one of AVX-512. The inner loops
# are written out because LLVM turns straight-line code over neighbours into vector instructions
# (superword-level parallelism), and short inner loops not.
numba.config.SLP_VECTORIZE = 1
LANES = 16
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
_compile = numba.njit(cache=True, **_OPTIONS)
# A call would count references to its arrays, by atomic operations that the threads contend for.
_inline = numba.njit(inline="always", **_OPTIONS)


@dataclass(frozen=True)
class SparseImages:
    """Some rows of an image matrix, kept as their non-zero pixels; indexing copies no pixel.

    Attributes
    ----------
    start : (n_all + 1,) uint32, where each image's pixels begin
    pixel : (n_nonzero,) uint16, the number of each pixel that is not zero
    value : (n_nonzero,) float32
    rows : (n,) uint32, which of the images, in which order
    n_features : pixels an image
    """

    start: np.ndarray
    pixel: np.ndarray
    value: np.ndarray
    rows: np.ndarray
    n_features: int

    @classmethod
    def from_dense(cls, x: np.ndarray) -> SparseImages:
        """Return the images of ``x`` (n, n_features) float32, at most 65,536 features."""
        if x.shape[1] > 1 << 16:
            raise ValueError(f"{x.shape[1]} features: pixel numbers reach to {(1 << 16) - 1}.")
        present = x != 0
        if int(present.sum()) >= 1 << 32:
            raise ValueError(f"{int(present.sum())} non-zero pixels: at most {(1 << 32) - 1}.")
        start = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.uint32)
        return cls(
            start=start,
            pixel=np.nonzero(present)[1].astype(np.uint16),
            value=x[present].astype(np.float32),
            rows=np.arange(len(x), dtype=np.uint32),
            n_features=x.shape[1],
        )

    def __getitem__(self, index: np.ndarray) -> SparseImages:
        return SparseImages(self.start, self.pixel, self.value, self.rows[index], self.n_features)

    def __len__(self) -> int:
        return len(self.rows)


@_inline
def _logits_row(pixel, value, first, last, w, b, out):
    """Write one image's logits to ``out`` (16,): its pixels ``first`` to ``last`` times ``w``.

    Two pixels at a time with sums of their own, so that one product need not wait for the last.
    """
    a0 = b[0]
    a1 = b[1]
    a2 = b[2]
    a3 = b[3]
    a4 = b[4]
    a5 = b[5]
    a6 = b[6]
    a7 = b[7]
    a8 = b[8]
    a9 = b[9]
    a10 = b[10]
    a11 = b[11]
    a12 = b[12]
    a13 = b[13]
    a14 = b[14]
    a15 = b[15]
    e0 = np.float32(0)
    e1 = np.float32(0)
    e2 = np.float32(0)
    e3 = np.float32(0)
    e4 = np.float32(0)
    e5 = np.float32(0)
    e6 = np.float32(0)
    e7 = np.float32(0)
    e8 = np.float32(0)
    e9 = np.float32(0)
    e10 = np.float32(0)
    e11 = np.float32(0)
    e12 = np.float32(0)
    e13 = np.float32(0)
    e14 = np.float32(0)
    e15 = np.float32(0)
    half = first + (last - first) // np.uint32(2)
    q = half
    for p in range(first, half):
        v = value[p]
        j = pixel[p]
        u = value[q]
        k = pixel[q]
        q += np.uint32(1)
        a0 += v * w[j, 0]
        a1 += v * w[j, 1]
        a2 += v * w[j, 2]
        a3 += v * w[j, 3]
        a4 += v * w[j, 4]
        a5 += v * w[j, 5]
        a6 += v * w[j, 6]
        a7 += v * w[j, 7]
        a8 += v * w[j, 8]
        a9 += v * w[j, 9]
        a10 += v * w[j, 10]
        a11 += v * w[j, 11]
        a12 += v * w[j, 12]
        a13 += v * w[j, 13]
        a14 += v * w[j, 14]
        a15 += v * w[j, 15]
        e0 += u * w[k, 0]
        e1 += u * w[k, 1]
        e2 += u * w[k, 2]
        e3 += u * w[k, 3]
        e4 += u * w[k, 4]
        e5 += u * w[k, 5]
        e6 += u * w[k, 6]
        e7 += u * w[k, 7]
        e8 += u * w[k, 8]
        e9 += u * w[k, 9]
        e10 += u * w[k, 10]
        e11 += u * w[k, 11]
        e12 += u * w[k, 12]
        e13 += u * w[k, 13]
        e14 += u * w[k, 14]
        e15 += u * w[k, 15]
    if q < last:  # an odd one
        u = value[q]
        k = pixel[q]
        e0 += u * w[k, 0]
        e1 += u * w[k, 1]
        e2 += u * w[k, 2]
        e3 += u * w[k, 3]
        e4 += u * w[k, 4]
        e5 += u * w[k, 5]
        e6 += u * w[k, 6]
        e7 += u * w[k, 7]
        e8 += u * w[k, 8]
        e9 += u * w[k, 9]
        e10 += u * w[k, 10]
        e11 += u * w[k, 11]
        e12 += u * w[k, 12]
        e13 += u * w[k, 13]
        e14 += u * w[k, 14]
        e15 += u * w[k, 15]
    out[0] = a0 + e0
    out[1] = a1 + e1
    out[2] = a2 + e2
    out[3] = a3 + e3
    out[4] = a4 + e4
    out[5] = a5 + e5
    out[6] = a6 + e6
    out[7] = a7 + e7
    out[8] = a8 + e8
    out[9] = a9 + e9
    out[10] = a10 + e10
    out[11] = a11 + e11
    out[12] = a12 + e12
    out[13] = a13 + e13
    out[14] = a14 + e14
    out[15] = a15 + e15


@_inline
def _gradient_row(pixel, value, first, last, g, out):
    """Add one image's share of the gradient, pixels times ``g`` (16,), to ``out`` (features, 16)."""
    g0 = g[0]
    g1 = g[1]
    g2 = g[2]
    g3 = g[3]
    g4 = g[4]
    g5 = g[5]
    g6 = g[6]
    g7 = g[7]
    g8 = g[8]
    g9 = g[9]
    g10 = g[10]
    g11 = g[11]
    g12 = g[12]
    g13 = g[13]
    g14 = g[14]
    g15 = g[15]
    for p in range(first, last):
        v = value[p]
        j = pixel[p]
        d0 = out[j, 0] + v * g0
        d1 = out[j, 1] + v * g1
        d2 = out[j, 2] + v * g2
        d3 = out[j, 3] + v * g3
        d4 = out[j, 4] + v * g4
        d5 = out[j, 5] + v * g5
        d6 = out[j, 6] + v * g6
        d7 = out[j, 7] + v * g7
        d8 = out[j, 8] + v * g8
        d9 = out[j, 9] + v * g9
        d10 = out[j, 10] + v * g10
        d11 = out[j, 11] + v * g11
        d12 = out[j, 12] + v * g12
        d13 = out[j, 13] + v * g13
        d14 = out[j, 14] + v * g14
        d15 = out[j, 15] + v * g15
        out[j, 0] = d0
        out[j, 1] = d1
        out[j, 2] = d2
        out[j, 3] = d3
        out[j, 4] = d4
        out[j, 5] = d5
        out[j, 6] = d6
        out[j, 7] = d7
        out[j, 8] = d8
        out[j, 9] = d9
        out[j, 10] = d10
        out[j, 11] = d11
        out[j, 12] = d12
        out[j, 13] = d13
        out[j, 14] = d14
        out[j, 15] = d15


# 2**(n - 150) for n = 0 ... 150, as float32: what is under the smallest float32 is zero.
_POWERS = (2.0 ** np.arange(-150, 1)).astype(np.float32)
# 2**f on [0, 1) by its Taylor series in f: within two units in the last place of float32.
_SERIES = tuple(np.float32(np.log(2) ** i / math.factorial(i)) for i in range(9))


@_inline
def _softmax(z):
    """Turn logits (16,) into probabilities in place; a vectorisable exponential of ``z <= 0``."""
    top = z[0]
    for c in range(1, LANES):
        top = max(top, z[c])
    for c in range(LANES):
        t = max((z[c] - top) * np.float32(1.44269504), np.float32(-150.0))
        n = np.floor(t)
        f = t - n
        power = _SERIES[8]
        power = power * f + _SERIES[7]
        power = power * f + _SERIES[6]
        power = power * f + _SERIES[5]
        power = power * f + _SERIES[4]
        power = power * f + _SERIES[3]
        power = power * f + _SERIES[2]
        power = power * f + _SERIES[1]
        power = power * f + _SERIES[0]
        z[c] = power * _POWERS[np.int32(n) + 150]
    total = z[0]
    for c in range(1, LANES):
        total += z[c]
    scale = np.float32(1) / total
    for c in range(LANES):
        z[c] *= scale


@_compile
def _count_right(start, pixel, value, rows, y, w, b):
    """Return how many of the images in ``rows`` have their highest logit at their label ``y``."""
    z = np.empty(LANES, np.float32)
    n_right = 0
    for i in range(len(rows)):
        _logits_row(pixel, value, start[rows[i]], start[rows[i] + np.uint32(1)], w, b, z)
        best = 0
        for c in range(1, LANES):
            if z[c] > z[best]:
                best = c
        n_right += best == y[i]
    return n_right


@_compile
def _probabilities(start, pixel, value, rows, w, b, out):
    """Write the class probabilities of the images in ``rows`` to ``out`` (n, 16)."""
    for i in range(len(rows)):
        _logits_row(pixel, value, start[rows[i]], start[rows[i] + np.uint32(1)], w, b, out[i])
        _softmax(out[i])


@_inline
def _adam(parameter, m, v, gradient, rate):
    """One Adam step in place, epsilon outside the corrected root; all flat, ``rate`` corrected."""
    one = np.float32(1)
    for i in range(len(parameter)):
        m[i] += (gradient[i] - m[i]) * (one - np.float32(BETA1))
        v[i] += (gradient[i] * gradient[i] - v[i]) * (one - np.float32(BETA2))
        parameter[i] -= rate * m[i] / (np.sqrt(v[i]) + np.float32(EPSILON))


@_compile
def _fit(
    start, pixel, value, rows, y, stop_start, stop_pixel, stop_value, stop_rows, y_stop,
    w, b, slots_w, slots_b, powers_of_beta, learning_rate, patience,
):  # fmt: skip
    """Train in place until the stop set no longer gains; return (count right, steps)."""
    best = _count_right(stop_start, stop_pixel, stop_value, stop_rows, y_stop, w, b)
    best_w, best_b = w.copy(), b.copy()
    gradient_w, gradient_b = np.empty_like(w), np.empty_like(b)
    z = np.empty(LANES, np.float32)
    share = np.float32(1) / np.float32(len(rows))
    left, steps = patience, 0
    while left > 0:
        gradient_w[:] = 0
        gradient_b[:] = 0
        for i in range(len(rows)):
            first, last = start[rows[i]], start[rows[i] + np.uint32(1)]
            _logits_row(pixel, value, first, last, w, b, z)
            _softmax(z)
            z[y[i]] -= np.float32(1)
            for c in range(LANES):
                z[c] *= share
                gradient_b[c] += z[c]
            _gradient_row(pixel, value, first, last, z, gradient_w)
        beta1_power, beta2_power = powers_of_beta
        rate = np.float32(learning_rate * np.sqrt(1 - beta2_power) / (1 - beta1_power))
        _adam(w.ravel(), slots_w[0], slots_w[1], gradient_w.ravel(), rate)
        _adam(b, slots_b[0], slots_b[1], gradient_b, rate)
        powers_of_beta[0] *= BETA1
        powers_of_beta[1] *= BETA2
        steps += 1
        now = _count_right(stop_start, stop_pixel, stop_value, stop_rows, y_stop, w, b)
        if now > best:
            best, left = now, patience
            best_w[:] = w
            best_b[:] = b
        else:
            left -= 1
    w[:] = best_w
    b[:] = best_b
    return best, steps


class SparseSoftmax:
    """The article's classifier, many times faster than TensorFlow's arithmetic and not to its bit.

    The interface of :class:`alutils.classifiers.SoftmaxRegression`, on :class:`SparseImages`.
    Threads may train several side by side: nothing is shared but the images, which are only read.

    Parameters
    ----------
    x_stop, y_stop : images and (n_stop,) int labels that decide when a fit stops
    n_classes : at most 16
    learning_rate, patience, weights : as in ``SoftmaxRegression``
    """

    def __init__(
        self,
        x_stop: SparseImages,
        y_stop: np.ndarray,
        *,
        n_classes: int = 10,
        learning_rate: float = 0.1,
        patience: int = 10,
        weights: Weights | None = None,
    ) -> None:
        if not 2 <= n_classes <= LANES:
            raise ValueError(
                f"n_classes={n_classes}: this engine computes 2 to {LANES} classes side by side; "
                "SoftmaxRegression takes any number."
            )
        n_features = x_stop.n_features
        self._n_classes = n_classes
        self._x_stop, self._y_stop = x_stop, np.asarray(y_stop, np.int64)
        self._w = np.zeros((n_features, LANES), np.float32)
        # Lanes that stand for no class: so unlikely that their probability is exactly zero.
        self._b = np.full(LANES, -1e30, np.float32)
        self._b[:n_classes] = 0
        if weights is not None:
            self._w[:, :n_classes], self._b[:n_classes] = weights
        self._slots_w = np.zeros((2, n_features * LANES), np.float32)
        self._slots_b = np.zeros((2, LANES), np.float32)
        self._powers = np.array([BETA1, BETA2])
        self._learning_rate, self._patience = learning_rate, patience

    @property
    def weights(self) -> Weights:
        return Weights(self._w[:, : self._n_classes].copy(), self._b[: self._n_classes].copy())

    def state(self) -> list[np.ndarray]:
        """Return weights, slots and beta powers: all that a later fit depends on."""
        return [a.copy() for a in (self._w, self._b, self._slots_w, self._slots_b, self._powers)]

    def restore(self, state: list[np.ndarray]) -> None:
        """Go back to a :meth:`state`."""
        mine = (self._w, self._b, self._slots_w, self._slots_b, self._powers)
        for own, value in zip(mine, state, strict=True):
            own[:] = value

    def fit(self, x: SparseImages, y: np.ndarray) -> tuple[int, int]:
        """Train on ``x``, ``y`` (n,) until the stop set no longer gains; return (right, steps)."""
        stop = self._x_stop
        return _fit(
            x.start, x.pixel, x.value, x.rows, np.asarray(y, np.int64),
            stop.start, stop.pixel, stop.value, stop.rows, self._y_stop,
            self._w, self._b, self._slots_w, self._slots_b, self._powers,
            self._learning_rate, self._patience,
        )  # fmt: skip

    def predict_proba(self, x: SparseImages) -> np.ndarray:
        """Return (n_samples, n_classes) float32 probabilities."""
        out = np.empty((len(x), LANES), np.float32)
        _probabilities(
            x.start, x.pixel, x.value, x.rows, self._w, self._b, out
        )  # fmt: skip
        return out[:, : self._n_classes]
