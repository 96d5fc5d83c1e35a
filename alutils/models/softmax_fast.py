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

from alutils.base.compiled import compiled
from alutils.models.softmax_exact import BETA1, BETA2, EPSILON, Weights

# Sixteen classes are computed side by side: one AVX-512 register or two of AVX2; LLVM makes vector
# instructions of 512 bits only if it is told to.
numba.config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]  # numba's settings are not annotated
_features = llvmlite.binding.get_host_cpu_features()
if _features.get("avx512f"):
    numba.config.CPU_FEATURES = f"{_features.flatten()},-prefer-256-bit"  # type: ignore[attr-defined]
LANES = 16
_compile = compiled(error_model="numpy", fastmath={"contract", "nsz"}, boundscheck=False)


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


# Sixteen numbers as a tuple, which the compiler keeps in registers. Written out because LLVM
# turns straight-line code over neighbours into vector instructions (superword-level parallelism),
# and short inner loops not.
@_compile
def _lanes(x, i):
    """Return row ``i`` of ``x`` (n, 16)."""
    return (
        x[i, 0], x[i, 1], x[i, 2], x[i, 3], x[i, 4], x[i, 5], x[i, 6], x[i, 7],
        x[i, 8], x[i, 9], x[i, 10], x[i, 11], x[i, 12], x[i, 13], x[i, 14], x[i, 15],
    )  # fmt: skip


@_compile
def _plus(a, v, b):
    """Return ``a + v * b`` for sixteen numbers each and one ``v``."""
    return (
        a[0] + v * b[0], a[1] + v * b[1], a[2] + v * b[2], a[3] + v * b[3],
        a[4] + v * b[4], a[5] + v * b[5], a[6] + v * b[6], a[7] + v * b[7],
        a[8] + v * b[8], a[9] + v * b[9], a[10] + v * b[10], a[11] + v * b[11],
        a[12] + v * b[12], a[13] + v * b[13], a[14] + v * b[14], a[15] + v * b[15],
    )  # fmt: skip


@_compile
def _put(x, i, a):
    """Write sixteen numbers to row ``i`` of ``x`` (n, 16)."""
    (
        x[i, 0], x[i, 1], x[i, 2], x[i, 3], x[i, 4], x[i, 5], x[i, 6], x[i, 7],
        x[i, 8], x[i, 9], x[i, 10], x[i, 11], x[i, 12], x[i, 13], x[i, 14], x[i, 15],
    ) = a  # fmt: skip


_ONE = np.float32(1)
_ZEROS = (np.float32(0),) * LANES


@_compile
def _logits(start, pixel, value, rows, w, b, out):
    """Write ``x @ w + b`` to ``out`` (n, 16) for the images in ``rows``; ``w`` (features, 16).

    Two pixels at a time with sums of their own, so that one product need not wait for the last.
    """
    for i in range(len(rows)):
        first, last = start[rows[i]], start[rows[i] + np.uint32(1)]
        one, other = _lanes(b, 0), _ZEROS
        half = first + (last - first) // np.uint32(2)
        q = half
        for p in range(first, half):
            one = _plus(one, value[p], _lanes(w, pixel[p]))
            other = _plus(other, value[q], _lanes(w, pixel[q]))
            q += np.uint32(1)
        if q < last:  # an odd one
            other = _plus(other, value[q], _lanes(w, pixel[q]))
        _put(out, i, _plus(one, _ONE, other))


@_compile
def _gradient(start, pixel, value, rows, g, out):
    """Write ``x.T @ g`` to ``out`` (features, 16) for ``g`` (n, 16)."""
    out[:] = 0
    for i in range(len(rows)):
        lanes = _lanes(g, i)
        for p in range(start[rows[i]], start[rows[i] + np.uint32(1)]):
            j = pixel[p]
            _put(out, j, _plus(_lanes(out, j), value[p], lanes))


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
            _logits(start, pixel, value, rows, w, b, z)
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
        _logits(stop_start, stop_pixel, stop_value, stop_rows, w, b, z_stop)
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
        w, m_w, v_w = (_aligned(n_features) for _ in range(3))
        b, m_b, v_b = (_aligned(1) for _ in range(3))
        # Lanes that stand for no class: so unlikely that their probability is exactly zero.
        b[0, n_classes:] = -1e30
        if weights is not None:
            w[:, :n_classes], b[0, :n_classes] = weights
        powers = np.array([BETA1, BETA2])
        self._state = (w, b, m_w, v_w, m_b, v_b, powers)
        self._best = _aligned(n_features), _aligned(1)
        self._gradient = _aligned(n_features), _aligned(1)
        self._z, self._z_stop = _aligned(0), _aligned(len(x_stop))

    @property
    def n_stop(self) -> int:
        """Images in the stop set: what the count that ``fit`` returns is out of."""
        return len(self._y_stop)

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
        _logits(x.start, x.pixel, x.value, x.rows, w, b, z)
        _softmax(z)
        return z[:, : self.n_classes].copy()

    def _logits_of(self, n: int) -> np.ndarray:
        """Return room for the logits of ``n`` images, kept from call to call."""
        if len(self._z) < n:
            self._z = _aligned(n)
        return self._z[:n]
