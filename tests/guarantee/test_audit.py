"""One audit, answer by answer: the plan, the seed and the answers are all that it depends on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alutils.base.errors import ParameterError
from alutils.guarantee.audit import GO_ON, Audit, run_audit
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.weighted import plan_weighted_audit

N = 300
DOUBT = np.random.default_rng(0).beta(0.05, 2, N)
PLANS = {
    "uniform": AuditPlan(60, 9, 0.6, (8, 20, 30), 60),
    "weighted": plan_weighted_audit(DOUBT, 14, level=0.9, rate=0.02),
}


def errors_of(plan, seed, rate=0.04):
    return np.random.default_rng(seed).random(plan.population) < rate


@pytest.mark.parametrize("kind", PLANS)
@given(st.integers(0, 1000), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_portions_do_not_matter(kind, seed, portion):
    plan = PLANS[kind]
    wrong = errors_of(plan, seed, 0.1 if kind == "uniform" else 0.04)
    audit = Audit(plan, np.random.default_rng(seed))
    while audit.decision == GO_ON:
        places = audit.next(portion)
        assert len(places) and len(np.unique(places)) == len(places)
        assert not np.isin(places, audit.answered).any()
        audit.answer(places, wrong[places])
    assert len(audit.next(portion)) == 0
    assert audit.outcome == run_audit(plan, wrong, np.random.default_rng(seed))
    assert audit.errors == wrong[audit.answered].sum() >= audit.outcome.errors


@pytest.mark.parametrize("kind", PLANS)
def test_an_audit_goes_on_from_the_plan_the_seed_and_the_answers(kind):
    plan = PLANS[kind]
    wrong, first = errors_of(plan, 3), Audit(plan, np.random.default_rng(3))
    places = first.next(7)
    first.answer(places, wrong[places])
    again = Audit(plan, np.random.default_rng(3))
    again.answer(places[::-1], wrong[places[::-1]])  # in whatever order they are given back
    assert again.outcome == first.outcome and first.decision == GO_ON
    assert again.next(50).tolist() == first.next(50).tolist()


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("seed", range(20))
def test_an_audit_in_portions_is_decided_at_their_ends(kind, seed):
    plan, portion = PLANS[kind], 7
    wrong = errors_of(plan, seed, 0.15 if kind == "uniform" else 0.05)
    drawn, n = plan.draw(np.random.default_rng(seed)), 0
    while True:
        seen = drawn[:n]
        left = np.ceil(plan.needed(seen, wrong[seen])[-1] - n)
        if left <= 0 or left > plan.most - len(np.unique(seen)):
            break
        n += int(min(left, portion))
    audit = Audit(plan, np.random.default_rng(seed), portion)
    while audit.decision == GO_ON:
        places = audit.next()
        audit.answer(places, wrong[places])
    assert audit.decision == ("certified" if left <= 0 else "refused")
    assert set(audit.answered) == set(seen)
    assert (audit.outcome.n_used, audit.errors) == (
        len(np.unique(seen)),
        wrong[audit.answered].sum(),
    )


def test_an_answer_that_is_taken_back_counts_as_the_new_one():
    plan = PLANS["uniform"]
    audit = Audit(plan, np.random.default_rng(1))
    places = audit.next(8)
    audit.answer(places, np.zeros(8, bool))
    assert audit.decision == "certified"
    audit.answer(places[:1], np.ones(1, bool))
    assert audit.decision == GO_ON and audit.outcome.errors == 1
    assert len(audit.answered) == 8


@pytest.mark.parametrize(
    ("places", "wrong", "message"),
    [
        ([60], [True], "places="),
        ([-1], [True], "places="),
        ([1, 2], [True], "wrong="),
        ([1], [2], "wrong=.*true or false"),
    ],
)
def test_answers_that_cannot_be_are_refused(places, wrong, message):
    audit = Audit(PLANS["uniform"], np.random.default_rng(0))
    with pytest.raises(ParameterError, match=message):
        audit.answer(places, wrong)
