"""What a certificate costs: the number by hand that costs least, never more than labelling all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alutils.base.errors import ParameterError
from alutils.guarantee.cost import Promise, Waiting, chosen


def waiting(n, unsure=0.2, seed=0):
    """Return pictures of a model that is unsure of a share of them."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(n) < unsure, rng.uniform(0.5, 0.9, n), rng.uniform(0.99, 1, n))
    return Waiting.of(np.column_stack([p, 1 - p]))


def chances(groups, factor=1.0, draws=20):
    return np.tile(np.clip(factor * groups.doubt, 0, 1), (draws, 1))


def test_groups_hold_all_pictures_the_most_unsure_first():
    groups = waiting(5000)
    assert len(groups) == 5000 and groups.size.min() >= 1
    assert (np.diff(groups.margin) >= 0).all() and (groups.size[:30] == 1).all()
    assert len(groups.after(30)) == 4970 and len(groups.after(5000)) == 0
    assert len(Waiting.of(np.zeros((0, 3)))) == 0


def test_a_good_model_needs_nobody_by_hand():
    groups = waiting(3000)
    found = chosen(groups, np.full((20, len(groups.size)), 1e-5), Promise.at(60, 0.95, 1))
    assert found.by_hand == 0 and found.chance > 0.99
    assert 100 < found.expected < 250  # no certificate of 98% takes fewer than about 150


def test_a_hopeless_model_labels_only_what_may_be_wrong():
    groups = waiting(1000)
    found = chosen(groups, np.full((20, len(groups.size)), 0.9), Promise.at(20, 0.95, 1))
    assert found.by_hand == 980 and found.audit == 0 and found.expected == 980


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 1500), allowed=st.integers(0, 60), seed=st.integers(0, 99),
    factor=st.floats(0, 10), attempt=st.integers(1, 4),
)  # fmt: skip
def test_it_never_costs_more_than_labelling_all(n, allowed, seed, factor, attempt):
    groups = waiting(n, seed=seed)
    found = chosen(groups, chances(groups, factor), Promise.at(allowed, 0.95, attempt))
    assert 0 <= found.by_hand <= n and 0 <= found.chance <= 1
    assert found.expected <= max(n - allowed, 0) and found.labels.max() <= n


def test_the_choice_is_near_the_best_of_all():
    groups = waiting(2000)
    p, promise = chances(groups, 0.8), Promise.at(60, 0.95, 1)
    best = min(chosen(groups, p, promise, by_hand=n).expected for n in range(150, 2000, 50))
    assert chosen(groups, p, promise).expected <= 1.08 * best


def test_a_given_number_by_hand_is_kept():
    groups = waiting(2000)
    p, promise = chances(groups, 0.3), Promise.at(100, 0.95, 1)
    assert chosen(groups, p, promise, by_hand=123).by_hand == 123
    with pytest.raises(ParameterError, match="by_hand"):
        chosen(groups, chances(groups, 3), promise, by_hand=123)


def test_later_attempts_cost_more():
    groups = waiting(2000)
    cost = [chosen(groups, chances(groups), Promise.at(60, 0.95, k)).expected for k in (1, 2, 3)]
    assert cost[0] < cost[1] < cost[2]


def test_doubt_costs_more():
    groups = waiting(2000)
    p, promise = chances(groups, draws=200), Promise.at(40, 0.95, 1)
    spread = np.exp(np.random.default_rng(0).normal(0, 0.8, (200, 1)))
    unsure = np.clip(p * spread / spread.mean(), 0, 1)
    assert chosen(groups, unsure, promise).expected > chosen(groups, p, promise).expected


def test_nothing_waits():
    assert (
        chosen(Waiting.of(np.zeros((0, 2))), np.zeros((5, 0)), Promise.at(3, 0.95, 1)).expected == 0
    )


def test_less_than_no_error_is_refused():
    with pytest.raises(ParameterError, match="allowed"):
        Promise.at(-1, 0.95, 1)
