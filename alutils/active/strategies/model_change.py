"""What a label would do to the model: change its weights, sharpen them, lower its error.

All three look at the softmax layer, ``softmax(x @ W + b)``: its gradients and its information are
known in closed form, so no score retrains anything but `expected_error_reduction`, which is told
how. Features are what goes into that layer. All raise ValueError as `uncertainty.checked` and
`uncertainty.checked_features` do, and for settings out of their range.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alutils.active.strategies import uncertainty

RIDGE = 0.01
"""Strength of the Gaussian prior on the weights, for features of unit mean square norm."""
MAX_PARAMETERS = 4000
"""Information matrices up to this size are inverted (4,000: 128 MB, seconds)."""
_CLIP = 15.0  # a logit moved this far makes a class certain; further only costs digits
_VALUES = 1 << 22  # numbers held at a time


def scaled(features: np.ndarray) -> np.ndarray:
    """Return features (n, n_features) divided by one number: their root mean square norm."""
    norm = np.sqrt(np.einsum("nd,nd->", features, features, dtype=np.float64) / len(features))
    return features / features.dtype.type(norm or 1)


def principal(features: np.ndarray, n_components: int) -> np.ndarray:
    """Return features (n, n_features) in their own ``n_components`` strongest directions.

    Fewer numbers an item, the same distances as far as these directions hold them; the features as
    they are where they have no more. Not centred: a softmax layer's information is not either.
    """
    if features.shape[1] <= n_components:
        return features
    directions = np.linalg.eigh(features.T @ features)[1]
    return features @ directions[:, -n_components:]


def expected_gradient_length(
    probabilities: np.ndarray, features: np.ndarray | None = None
) -> np.ndarray:
    """Model change as the expected norm of the gradient that a label would bring.

    The gradient of cross-entropy by the softmax layer's weights and biases is the outer product of
    ``p - onehot(y)`` and ``(x, 1)``, so its norm is the product of theirs; the mean over the
    labels is weighted by their probabilities.

    Parameters
    ----------
    probabilities : (n_samples, n_classes) float, rows summing to one
    features : (n_samples, n_features) float, what goes into the layer; None takes the gradient by
        the biases only

    Returns
    -------
    (n_samples,) of the probabilities' dtype, 0 or more

    Source: Settles, Craven and Ray (2008); Settles (2009), section 3.3.
    """
    p = uncertainty.checked(probabilities)
    # |p - onehot(y)|^2 = |p|^2 - 2 p_y + 1, for all y at once.
    square = np.einsum("nc,nc->n", p, p)
    lengths = np.sqrt(np.maximum(square[:, None] - 2 * p + 1, 0))
    out = np.einsum("nc,nc->n", p, lengths)
    if features is not None:
        x = uncertainty.checked_features(features, len(p))
        out = out * np.sqrt(np.einsum("nd,nd->n", x, x) + 1).astype(p.dtype)
    return out


def variance_reduction(
    probabilities: np.ndarray,
    features: np.ndarray,
    labelled: np.ndarray,
    *,
    candidates: np.ndarray | None = None,
    evaluated: np.ndarray | None = None,
    ridge: float = RIDGE,
) -> np.ndarray:
    """Estimate how much a label would lower the variance of the predictions, summed over samples.

    An item's Fisher information about the softmax layer is ``S kron (x, 1)(x, 1)'`` with
    ``S = diag(p) - p p'``; it does not depend on the label. With ``F`` the information of the
    labelled items (plus ``ridge``) and ``T`` that of the evaluated, the variance is, to first
    order, ``trace(T inv(F))``, and the score is what adding one item takes off it.

    Parameters
    ----------
    probabilities : (n_samples, n_classes) float, rows summing to one
    features : (n_samples, n_features) float; see `scaled` and `principal`
    labelled : (n_labelled,) int, which of the samples have labels; may be none
    candidates, evaluated : (n_candidates,) and (n_evaluated,) int, which of the samples to score
        and whose predictions count; None for all
    ridge : strength of the prior on the weights, above 0

    Returns
    -------
    (n_candidates,) float64, 0 or more

    Notes
    -----
    ValueError also where ``n_classes * (n_features + 1)`` is over ``MAX_PARAMETERS``. Memory
    ``16 (n_classes (n_features + 1))^2`` bytes and more; time its cube, once, and its square for
    each sample.

    Source: Schein and Ungar (2007), A-optimality; Settles (2009), section 3.5.
    """
    p, x, candidates, evaluated = _layer(probabilities, features, candidates, evaluated, ridge)
    n_classes, width = p.shape[1], x.shape[1]
    size = n_classes * width
    if size > MAX_PARAMETERS:
        raise ValueError(
            f"{n_classes} classes x {width - 1} features: {size} parameters, at most "
            f"{MAX_PARAMETERS} can be handled; use principal(features, "
            f"{MAX_PARAMETERS // n_classes - 1})."
        )
    labelled = np.asarray(labelled, np.int64)
    inverse = np.linalg.inv(_information(p[labelled], x[labelled]) + ridge * np.eye(size))
    spread = inverse @ _information(p[evaluated], x[evaluated]) @ inverse
    blocks = np.stack([inverse, spread]).reshape(2, n_classes, width, n_classes, width)
    # To (feature i, which, class a, class b, feature j): one product contracts i for many items.
    blocks = np.ascontiguousarray(blocks.transpose(2, 0, 1, 3, 4)).reshape(width, -1)
    out = np.empty(len(candidates))
    step = max(1, _VALUES // blocks.shape[1])
    for start in range(0, len(candidates), step):
        items = candidates[start : start + step]
        half = (x[items] @ blocks).reshape(len(items), 2 * n_classes * n_classes, width)
        both = (half @ x[items][:, :, None]).reshape(len(items), 2, n_classes, n_classes)
        s = _class_information(p[items])
        # Woodbury: trace(T inv(F)) - trace(T inv(F + I_x)) = trace(inv(1 + S M) S H).
        gain = np.linalg.solve(np.eye(n_classes) + s @ both[:, 0], s @ both[:, 1])
        out[start : start + step] = np.trace(gain, axis1=1, axis2=2)
    return np.maximum(out, 0)


def expected_error_reduction(
    probabilities: np.ndarray, retrained: Callable[[int, int], np.ndarray], least: float = 0.0
) -> np.ndarray:
    """Estimate the error that is left after a label, negated, by training with each item and label.

    Parameters
    ----------
    probabilities : (n_candidates, n_classes) float, rows summing to one
    retrained : takes the number of a candidate and a label for it, gives the (n_evaluated,
        n_classes) probabilities of a model that was trained with this label, too
    least : labels of a probability below this are left out, except a candidate's likeliest; the
        others weigh as their probabilities among themselves

    Returns
    -------
    (n_candidates,) float64, at most 0: the mean entropy of what the retrained models say, in nats,
    over labels by their probability, negated

    Notes
    -----
    ``n_candidates * n_classes`` trainings (less those of labels that are left out).

    Source: Roy and McCallum (2001), with log loss; Settles (2009), section 3.4.
    """
    p = uncertainty.checked(probabilities)
    if not 0 <= least <= 1:
        raise ValueError(f"least={least}: expected a probability from 0 to 1.")
    used = (p > 0) & ((p >= least) | (p == p.max(axis=1, keepdims=True)))
    weights = np.where(used, p, 0).astype(np.float64)
    if least:
        weights /= weights.sum(axis=1, keepdims=True)
    out = np.zeros(len(p))
    for i, j in np.argwhere(used):
        future = uncertainty.checked(retrained(int(i), int(j)), f"retrained({i}, {j})")
        out[i] -= weights[i, j] * uncertainty.entropy(future).mean(dtype=np.float64)
    return out


def one_step_error_reduction(
    probabilities: np.ndarray,
    features: np.ndarray,
    labelled: np.ndarray,
    *,
    candidates: np.ndarray | None = None,
    evaluated: np.ndarray | None = None,
    ridge: float = RIDGE,
) -> np.ndarray:
    """Estimate the error that is left after a label, by one step of a softmax layer for a training.

    What `expected_error_reduction` asks, without training. The step minimises Böhning's quadratic
    bound of the loss around the present model, whose curvature is ``1/2 (X'X + x x') + ridge`` for
    every class (X: the labelled items): a new label y of x moves the logits of u by
    ``k(u, x) (onehot(y) - p(x))``, and all labels of a pair (u, x) cost one pass over the classes.

    Parameters are those of `variance_reduction`; returns (n_candidates,) float64, at most 0.
    Time ``n_candidates * n_evaluated * (n_classes + n_features)``. A logit moves by 15 at most.

    Source: Roy and McCallum (2001); the bound is Böhning's (1992).
    """
    p, x, candidates, evaluated = _layer(probabilities, features, candidates, evaluated, ridge)
    if not len(evaluated):
        raise ValueError("evaluated: 0 samples; give at least one to measure the error on.")
    known = x[np.asarray(labelled, np.int64)]
    curvature = known.T @ known / 2 + ridge * np.eye(x.shape[1])
    reach = x[candidates] @ np.linalg.inv(curvature)
    own = np.einsum("nd,nd->n", reach, x[candidates])
    moves = np.clip(reach @ x[evaluated].T / (1 + own / 2)[:, None], -_CLIP, _CLIP)
    log_p = np.log(np.maximum(p[evaluated], np.finfo(float).tiny))
    return np.array(
        [
            -_future_entropy(p[evaluated], log_p, p[item], move) @ p[item]
            for item, move in zip(candidates, moves, strict=True)
        ]
    )


def _future_entropy(
    p: np.ndarray, log_p: np.ndarray, p_item: np.ndarray, move: np.ndarray
) -> np.ndarray:
    """Return the mean entropy of ``p`` (n, n_classes) after each label of one item, (n_classes,).

    A label y multiplies p by ``exp(-move * p_item)``, and the column of y by ``exp(move)`` besides:
    the first is the same for all labels, and the second changes one term of each sum.
    """
    shift = -move[:, None] * p_item
    rest = p * np.exp(shift)
    rest_logs = rest * (log_p + shift)
    pushed = rest * np.exp(move)[:, None]
    total = rest.sum(axis=1, keepdims=True) - rest + pushed
    logs = rest_logs.sum(axis=1, keepdims=True) - rest_logs
    logs += pushed * (log_p + shift + move[:, None])
    return np.maximum(np.log(total) - logs / total, 0).mean(axis=0)


def _layer(
    probabilities: np.ndarray, features: np.ndarray, candidates: np.ndarray | None,
    evaluated: np.ndarray | None, ridge: float,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Return the checked arguments of a score of the layer, in float64; None stands for all items.

    The features get a column of ones, which the biases go with.
    """
    if not ridge > 0:
        raise ValueError(f"ridge={ridge}: expected more than 0, such as {RIDGE}.")
    p = uncertainty.checked(probabilities).astype(np.float64, copy=False)
    x = uncertainty.checked_features(features, len(p)).astype(np.float64)
    items = (
        np.arange(len(p)) if of is None else np.asarray(of, np.int64)
        for of in (candidates, evaluated)
    )  # fmt: skip
    return p, np.hstack([x, np.ones((len(x), 1))]), *items


def _class_information(p: np.ndarray) -> np.ndarray:
    """Return ``diag(p) - p p'`` for each row of (n, n_classes)."""
    return p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :])


def _information(p: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the items' summed Fisher information, (n_classes * width, n_classes * width)."""
    n_classes, width = p.shape[1], x.shape[1]
    out = np.empty((n_classes, width, n_classes, width))
    for a in range(n_classes):
        for b in range(a, n_classes):
            weight = p[:, a] * ((a == b) - p[:, b])
            out[a, :, b] = out[b, :, a] = (x * weight[:, None]).T @ x
    return out.reshape(n_classes * width, n_classes * width)
