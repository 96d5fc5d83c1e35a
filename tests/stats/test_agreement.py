"""Agreement of two people: against scikit-learn, the delta method by hand, and simulation."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from alutils.base.errors import ParameterError
from alutils.stats.agreement import agreement, confusions, cross_table, kappa_variance

answers = st.integers(2, 6).flatmap(
    lambda k: st.lists(
        st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=60
    ).map(lambda pairs: (k, *np.array(pairs).T))
)


@given(answers)
def test_kappa_is_scikit_learns_and_lies_in_its_interval(drawn):
    k, first, second = drawn
    found = agreement(first, second, k)
    assert (found.n, found.same) == (len(first), (first == second).sum())
    assert found.share_low <= found.share <= found.share_high
    if len({*first, *second}) == 1:
        assert np.isnan([found.kappa, found.kappa_low, found.kappa_high]).all()
        return
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
    assert -1 <= found.kappa_low <= found.kappa + 1e-12 <= found.kappa_high + 2e-12 <= 1 + 2e-12
    assert found.kappa_low < found.kappa_high


@given(answers)
def test_who_answered_first_does_not_matter(drawn):
    k, first, second = drawn
    one, other = agreement(first, second, k), agreement(second, first, k)
    assert astuple(one) == pytest.approx(astuple(other), nan_ok=True)
    assert confusions(first, second, k) == confusions(second, first, k)


def test_raw_agreement_has_wilsons_interval():
    found = agreement(np.array([0, 1, 1, 0, 1]), np.array([0, 1, 0, 0, 1]), 2)
    expected = stats.binomtest(4, 5).proportion_ci(0.95, method="wilson")
    assert (found.share_low, found.share_high) == pytest.approx((expected.low, expected.high))


def test_the_variance_is_the_delta_methods_by_finite_differences():
    rng = np.random.default_rng(0)
    table = rng.integers(1, 40, (4, 4)) + np.diag([60, 20, 90, 30])
    p, n, step = table / table.sum(), table.sum(), 1e-6

    def kappa(q):
        chance = q.sum(axis=1) @ q.sum(axis=0)
        return (np.trace(q) - chance) / (1 - chance)

    slope = np.zeros_like(p)
    for cell in np.ndindex(*p.shape):
        up, down = p.copy(), p.copy()
        up[cell] += step
        down[cell] -= step
        slope[cell] = (kappa(up) - kappa(down)) / (2 * step)
    expected = ((p * slope**2).sum() - (p * slope).sum() ** 2) / n
    assert kappa_variance(table) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("n_classes", "right", "n"), [(26, 0.99, 50), (26, 0.97, 200), (3, 0.9, 50), (2, 0.9, 500)]
)
def test_the_interval_holds_kappa_in_at_least_nine_of_ten_samples(n_classes, right, n):
    rng = np.random.default_rng(n)
    says = np.full((n_classes, n_classes), (1 - right) / (n_classes - 1))
    np.fill_diagonal(says, right)
    joint = says.T @ says / n_classes
    chance = joint.sum(axis=1) @ joint.sum(axis=0)
    true = (np.trace(joint) - chance) / (1 - chance)
    held = []
    for table in rng.multinomial(n, joint.ravel(), 400):
        first, second = np.divmod(np.repeat(np.arange(n_classes**2), table), n_classes)
        found = agreement(first, second, n_classes)
        held.append(found.kappa_low <= true <= found.kappa_high)
    assert np.mean(held) >= 0.9


def test_confusions_name_the_classes_and_their_share():
    first, second = np.array([0, 0, 1, 1, 2, 0, 2]), np.array([0, 1, 0, 1, 2, 2, 2])
    most, other = confusions(first, second, 4)
    # Five pictures got class 0 or 1 from somebody, two of them both.
    assert (most.one, most.other, most.n, most.share) == (0, 1, 2, 2 / 5)
    assert (other.one, other.other, other.n, other.share) == (0, 2, 1, 1 / 6)
    assert confusions(first[:1], second[:1], 4) == []


@given(answers)
def test_the_share_of_a_confusion_is_what_counting_by_hand_gives(drawn):
    k, first, second = drawn
    for found in confusions(first, second, k):
        pair = {found.one, found.other}
        got = [{a, b} for a, b in zip(first.tolist(), second.tolist(), strict=True)]
        assert found.n == got.count(pair)
        assert found.share == found.n / sum(bool(each & pair) for each in got)


def test_nothing_is_known_without_pictures_and_wrong_answers_are_named():
    found = agreement(np.array([], int), np.array([], int), 3)
    assert (found.n, found.share_low, found.share_high) == (0, 0, 1) and np.isnan(found.kappa)
    with pytest.raises(ParameterError, match="second"):
        cross_table(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(ParameterError, match="first"):
        cross_table(np.array([0, 2]), np.array([0, 1]), 2)
