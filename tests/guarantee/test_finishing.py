"""An attempt to label a pool: answers in any order, what counts as wrong, and what is promised."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alutils.base.errors import ParameterError
from alutils.guarantee.audit import CERTIFIED, GO_ON, REFUSED
from alutils.guarantee.finishing import CANNOT_TELL, NOTHING, Finishing, Said
from alutils.guarantee.terms import UNNAMED, Terms, allowed_errors, attempt_level

N = 400
TERMS = Terms(0.9, 0.8, by_hand=40, expected_wrong=0.01, room=20)


def pool(n_wrong, seed=0, n=N, *, unsure=False):
    """Return what a model says of n items, n_wrong times wrongly, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    sure = rng.uniform(0.9, 1, n)
    wrong = rng.permutation(n)[:n_wrong]
    if unsure:
        sure[wrong] = rng.uniform(0.4, 0.9, n_wrong)
    said = truth.copy()
    said[wrong] = (said[wrong] + 1) % 3
    p = np.full((n, 3), ((1 - sure) / 2)[:, None])
    p[np.arange(n), said] = sure
    return p, truth


def attempt(p, seed=0, terms=TERMS, n_before=100):
    return Finishing(terms, p, n_before, np.random.default_rng(seed))


def run(one, truth, n=7):
    while one.decision == GO_ON:
        places = one.next(n)
        assert len(places) and len(np.unique(places)) == len(places)
        assert (one.now[places] == NOTHING).all()
        one.answer(places, truth[places])
    return one


@pytest.mark.parametrize("weighted", [False, True])
def test_a_good_model_is_certified_with_few_answers_and_labels_the_rest(weighted):
    p, truth = pool(4)
    one = run(attempt(p, terms=dataclasses.replace(TERMS, weighted=weighted)), truth)
    assert one.decision == CERTIFIED
    answered = set(np.flatnonzero(one.now != NOTHING))
    assert set(one.by_hand) <= answered < set(range(N))
    assert set(one.rest) == set(range(N)) - answered
    labels = np.where(one.now >= 0, one.now, p.argmax(axis=1))
    assert (labels != truth).sum() <= allowed_errors(N + 100, 0.9)
    assert one.next(5).tolist() == [] and one.still() == (0, 0)


@pytest.mark.parametrize("weighted", [False, True])
@given(seed=st.integers(0, 10_000), n_wrong=st.integers(0, 90), data=st.data())
@settings(max_examples=40)
def test_the_order_of_the_answers_does_not_matter(weighted, seed, n_wrong, data):
    p, truth = pool(n_wrong, seed)
    terms = dataclasses.replace(TERMS, weighted=weighted)
    one = run(attempt(p, seed, terms), truth)
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    other = attempt(p, seed, terms)
    while other.decision == GO_ON:  # several people, each with a few at a time, out of turn
        places = rng.permutation(other.wanted()[:30])[: rng.integers(1, 10)]
        other.answer(places, truth[places])
        if rng.random() < 0.3:  # somebody takes back an answer and gives it again
            back = rng.permutation(np.flatnonzero(other.now != NOTHING))[:2]
            other.take_back(back)
            assert not len(back) or (other.now[back] == NOTHING).all()
    assert other.decision == one.decision
    again = attempt(p, seed, terms)
    again.restore(other.first, other.now)
    assert again.decision == other.decision and again.errors == other.errors
    assert again.wanted().tolist() == other.wanted().tolist()
    if one.decision == CERTIFIED:
        assert set(other.rest) == set(one.rest)


@given(seed=st.integers(0, 10_000), n_wrong=st.integers(0, 60))
@settings(max_examples=40)
def test_what_it_may_still_take_is_never_passed(seed, n_wrong):
    p, truth = pool(n_wrong, seed)
    one = attempt(p, seed)
    bounds = []
    while one.decision == GO_ON:
        least, most = one.still()
        bounds.append((one.n_answered + least, one.n_answered + most))
        places = one.next(3)
        one.answer(places, truth[places])
    assert all(most >= one.n_answered for _, most in bounds)
    if one.decision == CERTIFIED:
        assert all(least <= one.n_answered for least, _ in bounds)
    assert [least for least, _ in bounds] == sorted(least for least, _ in bounds)


def test_right_in_the_audit_are_only_those_whose_first_and_present_answer_are_the_prediction():
    p, _truth = pool(0)
    said = p.argmax(axis=1)
    one = attempt(p)
    audit = [i for i in one.wanted() if i in set(one.left)][:4]
    other = (said + 1) % 3
    one.answer(audit, said[audit])
    assert one.errors == 0
    one.answer(audit[:1], other[audit[:1]])  # changed afterwards
    assert one.errors == 1
    one.answer(audit[:1], said[audit[:1]])  # and back again: the first answer was right
    assert one.errors == 0
    one.take_back(audit[1:2])
    assert one.errors == 0 and audit[1] in one.wanted()
    one.answer(audit[1:2], other[audit[1:2]])
    assert one.errors == 1
    new = [i for i in one.wanted() if i in set(one.left)][:2]
    one.answer(new, np.array([other[new[0]], CANNOT_TELL]))
    assert one.errors == 3
    one.answer(new, said[new])  # whatever it is mended to, the first answer stays
    one.take_back(new)
    one.answer(new, said[new])
    assert one.errors == 3


@pytest.mark.parametrize("weighted", [False, True])
def test_an_answer_that_is_mended_in_the_audit_never_helps(weighted):
    """A person who sees the predictions afterwards and changes all answers gains nothing."""
    terms = dataclasses.replace(TERMS, weighted=weighted)
    for seed in range(30):
        p, truth = pool(60, seed)
        said = p.argmax(axis=1)
        honest = run(attempt(p, seed, terms), truth)
        cheat = attempt(p, seed, terms)
        while cheat.decision == GO_ON:
            places = cheat.next(5)
            cheat.answer(places, truth[places])
            if cheat.decision == GO_ON:
                cheat.answer(places, said[places])
        assert cheat.decision == honest.decision or honest.decision == CERTIFIED


def test_items_by_hand_that_nobody_can_name_have_room_and_no_more():
    p, _truth = pool(0)
    granted = allowed_errors(N + 100 - TERMS.room, 0.9)
    one = attempt(p)
    assert one.plan.allowed == granted
    n = 0
    while one.decision == GO_ON and n < len(one.by_hand):
        one.answer(one.by_hand[n : n + 1], np.array([CANNOT_TELL]))
        n += 1
        assert (one.decision == REFUSED) == (allowed_errors(N + 100 - n, 0.9) < granted)
    assert one.too_many_rejected and TERMS.room < n <= TERMS.room + 10


def test_with_rejected_pictures_the_labels_that_stand_still_keep_the_promise():
    """Worst case: all errors are left to the model, and rejections make the pool smaller."""
    p, truth = pool(45, 3)
    for seed in range(20):
        one = attempt(p, seed)
        rejected = set(one.by_hand[: TERMS.room].tolist())
        while one.decision == GO_ON:
            places = one.next(5)
            told = np.where([i in rejected for i in places], CANNOT_TELL, truth[places])
            one.answer(places, told)
        if one.decision == CERTIFIED:
            n_labels = N + 100 - int((one.now == CANNOT_TELL).sum())
            most = one.plan.allowed - one.errors
            assert most <= allowed_errors(n_labels, 0.9)


def test_an_audit_picture_that_nobody_can_name_counts_as_wrong():
    p, truth = pool(0)
    one = attempt(p)
    while one.decision == GO_ON:
        places = one.next(5)
        told = np.where(np.isin(places, one.left), CANNOT_TELL, truth[places])
        one.answer(places, told)
    assert one.decision == REFUSED and not one.too_many_rejected


def test_a_plan_whose_items_are_only_put_off_stays_open():
    p, truth = pool(0)
    one = attempt(p)
    hard = set(one.wanted()[::9].tolist())
    while len(places := [i for i in one.wanted() if i not in hard]):
        one.answer(places, truth[places])
    assert one.decision == GO_ON
    assert set(one.wanted()) == hard
    one.answer(one.wanted(), truth[one.wanted()])
    assert one.decision == CERTIFIED


def test_the_order_of_the_questions_does_not_tell_who_is_of_the_audit():
    """By place in the order, items by hand and of the audit are equally frequent everywhere."""
    p, _ = pool(0)
    terms = dataclasses.replace(TERMS, by_hand=20)
    places = []
    for seed in range(400):
        one = attempt(p, seed, terms)
        order = one.wanted()
        is_hand = np.isin(order, one.by_hand)
        assert is_hand.sum() == 20
        places.append(is_hand)
    counts = np.sum(places, axis=0)
    expected = counts.mean()
    share = expected / 400
    chi = ((counts - expected) ** 2 / (expected * (1 - share))).sum()
    assert chi < len(counts) + 4 * np.sqrt(2 * len(counts))
    # Nor does it tell which of those by hand is the least sure.
    ranks = [
        [i for i in attempt(p, s, terms).wanted() if i in set(one.by_hand)].index(one.by_hand[0])
        for s in range(200)
    ]
    assert 7 < np.mean(ranks) < 12


def test_the_audit_is_drawn_uniformly_from_what_the_model_labels():
    p, _ = pool(0)
    counts = np.zeros(N)
    for seed in range(300):
        one = attempt(p, seed)
        counts[one.wanted()] += 1
    audit = counts[one.left]
    assert (counts[one.by_hand] == 300).all()
    chi = ((audit - audit.mean()) ** 2 / audit.mean()).sum()
    assert chi < len(audit) + 4 * np.sqrt(2 * len(audit))


def error_patterns(n_wrong, n=N):
    """Yield names and where n_wrong errors of a model lie, the most harmful ways there are."""
    rng = np.random.default_rng(5)
    p, truth = pool(0, n=n)
    order = np.argsort(-Said.of(p).margin)
    places = {
        "the most confident": order[-n_wrong:],
        "just beyond those by hand": order[TERMS.by_hand : TERMS.by_hand + n_wrong],
        "one class": np.flatnonzero(truth == 1)[:n_wrong],
        "anywhere": rng.permutation(order[TERMS.by_hand :])[:n_wrong],
    }
    for name, wrong in places.items():
        changed = p.copy()
        changed[wrong] = np.roll(p[wrong], 1, axis=1)
        yield name, changed, truth


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_a_false_certificate_is_rarer_than_the_level_says_wherever_the_errors_lie(weighted):
    """One error more than allowed remains after the work by hand; all attempts count."""
    n_draws = 150 if weighted else 400
    allowed = allowed_errors(N + 100 - TERMS.room, 0.9)
    terms = dataclasses.replace(TERMS, weighted=weighted, most=200)
    risk = 1 - attempt_level(0.8, 1)
    for name, p, truth in error_patterns(allowed + 1):
        one = attempt(p, 0, terms)
        wrong = p.argmax(axis=1) != truth
        if wrong[one.left].sum() <= one.plan.allowed:
            continue  # the work by hand has found some: no false promise is possible
        plan = one.plan
        certified = sum(
            run(Finishing(terms, p, 100, np.random.default_rng(s), plan=plan), truth, 40).decision
            == CERTIFIED
            for s in range(n_draws)
        )
        assert certified <= n_draws * risk + 3.5 * np.sqrt(n_draws * risk), name


@pytest.mark.parametrize(
    ("places", "told", "message"),
    [
        ([N], [0], "places="),
        ([-1], [0], "places="),
        ([1, 2], [0], "told="),
        ([1], [NOTHING], "told="),
        ([1], [0.5], "told="),
    ],
)
def test_answers_that_cannot_be_are_refused(places, told, message):
    one = attempt(pool(0)[0])
    with pytest.raises(ParameterError, match=message):
        one.answer(places, told)
    assert one.n_answered == 0


def test_a_plan_for_another_pool_is_refused():
    p, _ = pool(0)
    plan = attempt(p).plan
    with pytest.raises(ParameterError, match="plan="):
        Finishing(TERMS, p[1:], 100, np.random.default_rng(0), plan=plan)


@pytest.mark.parametrize("n", [0, 1, 40])
def test_a_pool_that_is_all_by_hand_needs_no_audit(n):
    p, truth = pool(0)
    one = run(attempt(p[:n]), truth)
    assert one.decision == CERTIFIED and len(one.rest) == 0
    assert one.n_answered == n


@pytest.mark.parametrize("weighted", [False, True])
def test_the_estimate_holds_the_share_of_errors_mostly(weighted):
    inside = 0
    for seed in range(40):
        p, truth = pool(30, seed)
        terms = dataclasses.replace(TERMS, weighted=weighted, target=0.85)
        one = run(attempt(p, seed, terms), truth)
        share, low, high = one.estimate()
        assert 0 <= low <= share <= high <= 1
        wrong = (p.argmax(axis=1) != truth)[one.left].mean()
        inside += low <= wrong <= high
    assert inside >= 32


@given(seed=st.integers(0, 1000), n_lost=st.integers(0, 60), weighted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_is_lost_is_an_error_only_where_the_audit_has_drawn_it(seed, n_lost, weighted):
    p, truth = pool(3, seed)
    terms = dataclasses.replace(TERMS, weighted=weighted)
    one = run(attempt(p, seed, terms), truth)
    lost = np.zeros(len(p), bool)
    lost[np.random.default_rng(seed).permutation(one.rest)[:n_lost]] = True
    again = attempt(p, seed, terms)
    again.restore(one.first, one.now, lost)
    # Nothing that decided is lost: it is decided alike, by the same answers and the same errors.
    assert again.decision == one.decision and again.errors == one.errors
    assert set(again.audited) == set(one.audited) and again.n_answered == one.n_answered
    answered = np.flatnonzero(one.now[one.left] != NOTHING)
    if len(answered):
        lost[one.left[answered[0]]] = True
        again.restore(one.first, one.now, lost)
        assert again.now[one.left[answered[0]]] == CANNOT_TELL
        assert again.errors >= one.errors


@pytest.mark.parametrize(("unnamed", "ends"), [(UNNAMED, False), (UNNAMED + 1, True)])
def test_more_unnamed_items_than_corrected_errors_allow_for_end_an_attempt(unnamed, ends):
    """Where answers stand as they are given, the plan counts errors as corrected."""
    p, _ = pool(4)
    terms = dataclasses.replace(TERMS, by_hand=0, room=0, most=300, expected_wrong=0.08)
    plan = terms.plan(N + 100, N, answered_once=True)
    assert plan.withheld == 1 and terms.plan(N + 100, N).withheld is None
    one = Finishing(terms, p, 100, np.random.default_rng(0), plan=plan)
    assert len(plan.looks) > UNNAMED + 1  # so many errors alone do not refuse it
    places = one.next(unnamed)
    one.answer(places, np.full(unnamed, CANNOT_TELL))
    assert (one.decision == REFUSED) == one.too_many_rejected == ends


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_a_certificate_of_corrected_errors_holds_for_the_labels_there_are(share):
    """Items that nobody can name have no label; of the others the target is right."""
    rng, false = np.random.default_rng(1), 0
    terms = dataclasses.replace(TERMS, by_hand=0, room=0, attempt=None)
    plan = terms.plan(N + 100, N, answered_once=True)
    _, wrong = plan.risk()
    for seed in range(150):
        p, truth = pool(wrong - round(share * N), seed)
        told = np.where(rng.random(N) < share, CANNOT_TELL, truth)
        one = run(Finishing(terms, p, 100, np.random.default_rng(seed), plan=plan), told)
        label = np.where(one.now == NOTHING, p.argmax(axis=1), one.now)
        given_ = label >= 0
        n_wrong = (label != truth)[given_].sum()
        false += one.decision == CERTIFIED and n_wrong > allowed_errors(100 + given_.sum(), 0.9)
    assert stats.binomtest(int(false), 150, 0.2, alternative="greater").pvalue > 0.01
