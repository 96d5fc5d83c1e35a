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

import llvmlite.binding
import numba
import numpy as np

from alutils.models.softmax_exact import BETA1, BETA2, EPSILON, Weights

# Sixteen classes are computed side by side: one AVX-512 register or two of AVX2. The inner loops
# are written out because LLVM turns straight-line code over neighbours into vector instructions
# (superword-level parallelism), and short inner loops not; and of 512 bits only if it is told to.
numba.config.SLP_VECTORIZE = 1
_features = llvmlite.binding.get_host_cpu_features()
if _features.get("avx512f"):
    numba.config.CPU_FEATURES = f"{_features.flatten()},-prefer-256-bit"
LANES = 16
_compile = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"}, boundscheck=False
)


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

    def packed(self) -> SparseImages:
        """Return the same rows with their pixels side by side in memory, in the rows' order."""
        length = np.diff(self.start)[self.rows]
        start = np.concatenate([[0], np.cumsum(length)]).astype(np.uint32)
        pixel = np.empty(start[-1], np.uint16)
        value = np.empty(start[-1], np.float32)
        _pack(self.start, self.pixel, self.value, self.rows, start, pixel, value)
        rows = np.arange(len(self), dtype=np.uint32)
        return SparseImages(start, pixel, value, rows, self.n_features)


@_compile
def _pack(start, pixel, value, rows, to, pixel_out, value_out):
    """Copy the pixels of the images in ``rows`` to where ``to`` says that each begins."""
    for i in range(len(rows)):
        q = to[i]
        for p in range(start[rows[i]], start[rows[i] + np.uint32(1)]):
            pixel_out[q] = pixel[p]
            value_out[q] = value[p]
            q += np.uint32(1)


@_compile
def _logits(start, pixel, value, rows, w, b, out):
    """Write ``x @ w + b`` to ``out`` (n, 16) for the images in ``rows``; ``w`` (features, 16).

    Two pixels at a time with sums of their own, so that one product need not wait for the last.
    """
    for i in range(len(rows)):
        first, last = start[rows[i]], start[rows[i] + np.uint32(1)]
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
        out[i, 0] = a0 + e0
        out[i, 1] = a1 + e1
        out[i, 2] = a2 + e2
        out[i, 3] = a3 + e3
        out[i, 4] = a4 + e4
        out[i, 5] = a5 + e5
        out[i, 6] = a6 + e6
        out[i, 7] = a7 + e7
        out[i, 8] = a8 + e8
        out[i, 9] = a9 + e9
        out[i, 10] = a10 + e10
        out[i, 11] = a11 + e11
        out[i, 12] = a12 + e12
        out[i, 13] = a13 + e13
        out[i, 14] = a14 + e14
        out[i, 15] = a15 + e15


@_compile
def _gradient(start, pixel, value, rows, g, out):
    """Write ``x.T @ g`` to ``out`` (features, 16) for ``g`` (n, 16)."""
    out[:] = 0
    for i in range(len(rows)):
        g0 = g[i, 0]
        g1 = g[i, 1]
        g2 = g[i, 2]
        g3 = g[i, 3]
        g4 = g[i, 4]
        g5 = g[i, 5]
        g6 = g[i, 6]
        g7 = g[i, 7]
        g8 = g[i, 8]
        g9 = g[i, 9]
        g10 = g[i, 10]
        g11 = g[i, 11]
        g12 = g[i, 12]
        g13 = g[i, 13]
        g14 = g[i, 14]
        g15 = g[i, 15]
        for p in range(start[rows[i]], start[rows[i] + np.uint32(1)]):
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


@_compile
def _softmax(z):
    """Turn logits (n, 16) into probabilities in place; a vectorisable exponential of ``z <= 0``."""
    for i in range(len(z)):
        top = z[i, 0]
        for c in range(1, LANES):
            top = max(top, z[i, c])
        for c in range(LANES):
            t = max((z[i, c] - top) * np.float32(1.44269504), np.float32(-150.0))
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
            z[i, c] = power * _POWERS[np.int32(n) + 150]
        total = z[i, 0]
        for c in range(1, LANES):
            total += z[i, c]
        scale = np.float32(1) / total
        for c in range(LANES):
            z[i, c] *= scale


@_compile
def _less_truth(z, y, share):
    """Turn probabilities (n, 16) into the loss's gradient by the logits, in place."""
    for i in range(len(z)):
        z[i, y[i]] -= np.float32(1)
        for c in range(LANES):
            z[i, c] *= share


@_compile
def _count_right(z, y):
    """Return in how many rows of ``z`` (n, 16) the first of the highest is at ``y``."""
    n_right = 0
    for i in range(len(z)):
        best = 0
        for c in range(1, LANES):
            if z[i, c] > z[i, best]:
                best = c
        n_right += best == y[i]
    return n_right


@_compile
def _adam(parameter, m, v, gradient, rate):
    """One Adam step in place on (n, 16), epsilon outside the root that ``rate`` corrects."""
    one = np.float32(1)
    for i in range(len(parameter)):
        for c in range(LANES):
            g = gradient[i, c]
            m[i, c] += (g - m[i, c]) * (one - np.float32(BETA1))
            v[i, c] += (g * g - v[i, c]) * (one - np.float32(BETA2))
            parameter[i, c] -= rate * m[i, c] / (np.sqrt(v[i, c]) + np.float32(EPSILON))


@_compile
def _fit(images, rows, y, stop_images, stop_rows, y_stop, learning_rate, patience, state, scratch):
    """Train in place until the stop set no longer gains; return (count right, steps)."""
    w, b, m_w, v_w, m_b, v_b, powers = state
    z, z_stop, gradient_w, gradient_b, best_w, best_b = scratch
    start, pixel, value = images
    stop_start, stop_pixel, stop_value = stop_images
    share = np.float32(1) / np.float32(len(rows))
    best, left, steps = -1, patience, -1
    while left > 0:
        if steps >= 0:
            _logits(start, pixel, value, rows, w, b[0], z)
            _softmax(z)
            _less_truth(z, y, share)
            _gradient(start, pixel, value, rows, z, gradient_w)
            gradient_b[:] = 0
            for i in range(len(z)):
                for c in range(LANES):
                    gradient_b[0, c] += z[i, c]
            rate = np.float32(learning_rate * np.sqrt(1 - powers[1]) / (1 - powers[0]))
            _adam(w, m_w, v_w, gradient_w, rate)
            _adam(b, m_b, v_b, gradient_b, rate)
            powers[0] *= BETA1
            powers[1] *= BETA2
        steps += 1
        _logits(stop_start, stop_pixel, stop_value, stop_rows, w, b[0], z_stop)
        now = _count_right(z_stop, y_stop)
        if now > best:
            best, left = now, patience
            best_w[:] = w
            best_b[:] = b
        else:
            left -= 1
    w[:] = best_w
    b[:] = best_b
    return best, steps


def _aligned(n: int) -> np.ndarray:
    """Return zeros (n, 16) float32, each row in one cache line."""
    raw = np.zeros(n * LANES * 4 + 64, np.uint8)
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + n * LANES * 4].view(np.float32).reshape(n, LANES)


class SparseSoftmax:
    """The article's classifier, many times faster than TensorFlow's arithmetic and not to its bit.

    The interface of :class:`alutils.models.softmax_exact.SoftmaxRegression`, on
    :class:`SparseImages`. Threads may train several side by side: nothing is shared but the images,
    which are only read.

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
        self.n_classes = n_classes
        self._x_stop, self._y_stop = x_stop.packed(), np.asarray(y_stop, np.int64)
        self._learning_rate, self._patience = learning_rate, patience
        w, b, m_w, v_w = (
            _aligned(n_features),
            _aligned(1),
            _aligned(n_features),
            _aligned(n_features),
        )
        # Lanes that stand for no class: so unlikely that their probability is exactly zero.
        b[0, n_classes:] = -1e30
        if weights is not None:
            w[:, :n_classes], b[0, :n_classes] = weights
        powers = np.array([BETA1, BETA2])
        self._state = (w, b, m_w, v_w, _aligned(1), _aligned(1), powers)
        self._best = _aligned(n_features), _aligned(1)
        self._gradient = _aligned(n_features), _aligned(1)
        self._z, self._z_stop = _aligned(0), _aligned(len(x_stop))

    @property
    def weights(self) -> Weights:
        w, b = self._state[:2]
        return Weights(w[:, : self.n_classes].copy(), b[0, : self.n_classes].copy())

    def state(self) -> list[np.ndarray]:
        """Return weights, moments and beta powers: all that a later fit depends on."""
        return [array.copy() for array in self._state]

    def restore(self, state: list[np.ndarray]) -> None:
        """Go back to a :meth:`state`."""
        for own, value in zip(self._state, state, strict=True):
            own[:] = value

    def fit(self, x: SparseImages, y: np.ndarray) -> tuple[int, int]:
        """Train on ``x``, ``y`` (n,) until the stop set no longer gains; return (right, steps)."""
        # Tens of passes follow, and the processor fetches ahead what lies in order.
        x, z, stop = x.packed(), self._logits_of(len(x)), self._x_stop
        return _fit(
            (x.start, x.pixel, x.value), x.rows, np.asarray(y, np.int64),
            (stop.start, stop.pixel, stop.value), stop.rows, self._y_stop,
            self._learning_rate, self._patience, self._state,
            (z, self._z_stop, *self._gradient, *self._best),
        )  # fmt: skip

    def predict_proba(self, x: SparseImages) -> np.ndarray:
        """Return (n_samples, n_classes) float32 probabilities."""
        z, (w, b) = self._logits_of(len(x)), self._state[:2]
        _logits(x.start, x.pixel, x.value, x.rows, w, b[0], z)
        _softmax(z)
        return z[:, : self.n_classes].copy()

    def _logits_of(self, n: int) -> np.ndarray:
        """Return room for the logits of ``n`` images, kept from call to call."""
        if len(self._z) < n:
            self._z = _aligned(n)
        return self._z[:n]
