"""What the report's published numbers say by themselves: a reading of their last digits."""

from __future__ import annotations

import numpy as np


def fractions_behind(value: float, *, multiple_of: int = 1, at_most: int) -> list[tuple[int, int]]:
    """Find every count that gives a published ratio to its last bit.

    Parameters
    ----------
    value : the ratio as printed, 0 to 1; Python prints floats so that they can be read back exactly
    multiple_of : look only at denominators that it divides
    at_most : the largest denominator to look at

    Returns
    -------
    (count, out of), in rising order, for which ``count / out_of == value`` in float64
    """
    if not 0 <= value <= 1:
        raise ValueError(f"value={value}: expected a ratio from 0 to 1")
    if multiple_of < 1 or at_most < 1:
        raise ValueError(f"multiple_of={multiple_of}, at_most={at_most}: expected 1 or more")
    out_of = np.arange(multiple_of, at_most + 1, multiple_of)
    counts = np.rint(value * out_of).astype(np.int64)
    same = counts / out_of == value
    return list(zip(counts[same].tolist(), out_of[same].tolist(), strict=True))


def training_sizes(steps: int, batch: int, multiple_of: int = 1) -> list[int]:
    """Return how many items give so many steps an epoch: all multiples of ``multiple_of``.

    The last batch of an epoch may hold fewer: ``steps`` is n / batch, rounded up.
    """
    if min(steps, batch, multiple_of) < 1:
        raise ValueError(f"steps={steps}, batch={batch}, multiple_of={multiple_of}: expected >= 1")
    fewest, most = (steps - 1) * batch + 1, steps * batch
    return [n for n in range(fewest, most + 1) if n % multiple_of == 0]


def true_share(counted: float) -> float:
    """Return the share of unsure items behind what the report's loop counted.

    Every deletion shortens the array by one, and the loop stops counting where it has run out:
    with k counted of n, the places up to n - k have been looked at, and a share f of these is k.
    So the loop counts f / (1 + f), which is one half at most.
    """
    if not 0 <= counted <= 0.5:
        raise ValueError(f"counted={counted}: the faulty loop counts from 0 to one half of a pool")
    return counted / (1 - counted)


def chance_of_count(counted: int, n_pool: int, n_unsure: int) -> float:
    """Return the probability that the faulty loop counts so many or more of a pool.

    The pool is in random order, ``n_unsure`` of its items are unsure. The loop counts k or more
    exactly if the k-th unsure item stands at one of the first n - k + 1 places, that is, if these
    hold k or more unsure items: a hypergeometric tail.
    """
    if not 0 <= n_unsure <= n_pool or not 0 <= counted <= n_pool:
        raise ValueError(
            f"counted={counted}, n_unsure={n_unsure}: expected 0 to {n_pool} (n_pool) each"
        )
    if counted == 0:
        return 1.0
    from scipy.stats import hypergeom

    return float(hypergeom.sf(counted - 1, n_pool, n_unsure, n_pool - counted + 1))
