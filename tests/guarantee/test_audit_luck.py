"""Many audits at once come to the same as audits one by one."""

import numpy as np
import pytest

from alutils.guarantee.audit import CERTIFIED, run_audit
from alutils.guarantee.audit_luck import audits
from alutils.guarantee.plans import plan_audit
from alutils.guarantee.weighted import expected_errors, plan_weighted_audit

RUNS = 300


def plan_of(kind, doubt, allowed, rate):
    if kind == "weighted":
        return plan_weighted_audit(doubt, allowed, rate=rate)
    return plan_audit(len(doubt), allowed, rate=rate)


@pytest.mark.parametrize("kind", ["weighted", "uniform"])
@pytest.mark.parametrize(
    ("n", "allowed", "rate", "true"), [(800, 40, 0.01, 0.02), (2000, 40, 0.005, 0.005)]
)
def test_labels_and_acceptance_agree_with_real_audits(kind, n, allowed, rate, true):
    rng = np.random.default_rng(0)
    doubt = np.sort(rng.beta(0.2, 3, n))[::-1]
    chance = expected_errors(doubt, true)
    plan = plan_of(kind, doubt, allowed, rate)
    size = np.ones(n, int)
    many = audits(plan, size, rng.binomial(1, np.tile(chance, (RUNS, 1))), rng)
    real = [run_audit(plan, rng.random(n) < chance, rng) for _ in range(RUNS)]
    labels = np.array([each.n_used for each in real])
    accepted = np.array([each.decision == CERTIFIED for each in real])
    error = np.hypot(labels.std(), many.labels.std()) / RUNS**0.5
    assert abs(labels.mean() - many.labels.mean()) < 4 * error + 3
    assert abs(accepted.mean() - many.accepted.mean()) < 0.1


@pytest.mark.parametrize("kind", ["weighted", "uniform"])
def test_no_error_certifies_at_once_and_all_wrong_never(kind):
    rng = np.random.default_rng(0)
    plan = plan_of(kind, np.full(1000, 0.1), 30, 0.005)
    size = np.full(10, 100)
    right = audits(plan, size, np.zeros((20, 10), int), rng)
    wrong = audits(plan, size, np.full((20, 10), 100), rng)
    assert right.accepted.all() and not wrong.accepted.any()
    assert np.ptp(right.labels) < 0.2 * right.labels.mean() and (wrong.labels <= plan.most).all()
