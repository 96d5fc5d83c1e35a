"""Every item labelled: by people or by the model, and the promise about all of it kept."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alutils.active.attempts import Attempts
from alutils.active.labels import Source
from alutils.active.loops.pool import PoolState
from alutils.active.oracles import Perfect
from alutils.active.strategies import uncertainty
from alutils.base.errors import ParameterError
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.pool import PIECE, finish
from alutils.guarantee.terms import Terms, allowed_errors, attempt_level

N, N_TRAIN = 3000, 200


def setting(n_wrong, seed=0, *, unsure=True):
    """Return a state with N_TRAIN labels, probabilities of the rest with n_wrong errors, truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, N)
    state = PoolState.start(N, rng.permutation(N))
    items = state.pool[:N_TRAIN]
    state.book.add(items, truth[items], Source.HUMAN, 0)
    state.pool = state.pool[N_TRAIN:]
    said = truth[state.pool].copy()
    wrong = rng.permutation(len(said))[:n_wrong]
    said[wrong] = (said[wrong] + 1) % 4
    sure = rng.uniform(0.9, 1, len(said))
    if unsure:
        sure[wrong] = rng.uniform(0.3, 0.9, n_wrong)
    p = np.full((len(said), 4), ((1 - sure) / 3)[:, None])
    p[np.arange(len(said)), said] = sure
    return state, p, truth


def finished(state, p, oracle, seed=0, target=0.98, **options):
    return finish(state, p, oracle, np.random.default_rng(seed), Terms(target, **options))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_good_model_labels_the_rest_and_the_promise_is_kept(weighted):
    state, p, truth = setting(3)
    done = finished(state, p, Perfect(truth), by_hand=50, weighted=weighted)
    assert done.certified
    assert not len(state.pool)
    book = state.book
    assert (book.label >= 0).all()
    assert book.n_human == N_TRAIN + done.n_human == N_TRAIN + 50 + len(done.audited)
    assert book.n_auto == N - book.n_human
    assert np.mean(book.label == truth) >= 0.98
    assert (book.label[book.source == Source.HUMAN] == truth[book.source == Source.HUMAN]).all()
    assert "At least 98% of all 3,000 labels are right (confidence 95%)" in done.sentence()


@pytest.mark.parametrize("weighted", [False, True])
def test_a_bad_model_labels_nothing_and_the_human_labels_stay(weighted):
    state, p, truth = setting(600)
    done = finished(state, p, Perfect(truth), by_hand=50, weighted=weighted)
    assert not done.certified
    assert state.book.n_auto == 0
    assert state.book.n_human == N_TRAIN + done.n_human
    assert len(state.pool) == N - state.book.n_human
    assert not set(state.pool) & set(state.book.order)
    if not weighted:
        assert done.errors >= len(done.plan.looks)  # one more than is ever accepted
    assert "No certificate" in done.sentence()


@pytest.mark.parametrize("n_left", [3, 20, 90])
def test_the_last_few_are_audited_uniformly_where_weighing_does_not_pay(n_left):
    state, p, truth = setting(3)
    done_already = state.pool[n_left:]
    state.book.add(done_already, truth[done_already], Source.HUMAN, 1)
    state.pool, p = state.pool[:n_left], p[:n_left]
    done = finished(state, p, Perfect(truth), target=0.95, by_hand=2, weighted=True)
    assert done.certified and isinstance(done.plan, AuditPlan)


def test_by_hand_are_the_smallest_margins_and_the_audit_is_of_the_others():
    state, p, truth = setting(20)
    before = state.pool.copy()
    done = finished(state, p, Perfect(truth), by_hand=30)
    unsure = np.argsort(-uncertainty.margin(p), kind="stable")
    assert np.array_equal(done.by_hand, before[unsure[:30]])
    assert not set(done.by_hand) & set(done.audited)
    assert done.plan.population == len(before) - 30


def test_the_audits_order_is_uniform_over_what_is_left():
    """Every item that is not labelled by hand is audited equally often."""
    counts = np.zeros(N)
    for seed in range(60):
        state, p, truth = setting(3)
        done = finished(state, p, Perfect(truth), seed)
        counts[done.audited] += 1
        size = len(done.audited)
    state, *_ = setting(3)
    expected = 60 * size / len(state.pool)
    chi = ((counts[state.pool] - expected) ** 2 / expected).sum()
    assert chi < len(state.pool) + 5 * np.sqrt(2 * len(state.pool))
    assert counts[state.book.order].sum() == 0


def hardest(terms, weighted):
    """Return the state in which a false certificate is likeliest, as `setting`."""
    wrong = allowed_errors(N, terms.target) + 1
    if not weighted:
        wrong = terms.plan(N, N - N_TRAIN, answered_once=True).risk()[1]
    return setting(wrong, unsure=False)


def is_false(done, state, truth, target):
    """Whether more of the labels that stand are wrong than the certificate allows."""
    return done.certified and (state.book.label != truth).sum() > allowed_errors(N, target)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_a_false_promise_is_rarer_than_the_level_says(weighted):
    """As many errors as make it likeliest, many audits."""
    n = 300 if weighted else 1000  # whose plans take longer
    terms = Terms(0.95, 0.9, expected_wrong=0.02, most=300, weighted=weighted)
    start, p, truth = hardest(terms, weighted)
    given_, broken = 0, 0
    for seed in range(n):
        state = dataclasses.replace(start.copy(), attempts=Attempts())
        done = finish(state, p, Perfect(truth), np.random.default_rng(seed), terms)
        given_ += done.certified
        broken += is_false(done, state, truth, 0.95)
    risk = 1 - attempt_level(0.9, 1)
    assert broken <= n * risk + 3 * np.sqrt(n * risk)
    # And not for nothing: the risk is nearly all used.
    assert (given_ if weighted else broken) > 0.4 * n * risk


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_six_tries_of_somebody_who_counts_nothing_keep_the_level_together(weighted):
    """The pool counts: with copies of its state as well as with the state itself."""
    n, level = 250, 0.8
    terms = Terms(0.95, level, expected_wrong=0.02, most=300, weighted=weighted)
    start, p, truth = hardest(terms, weighted)
    broken = given_ = 0
    for seed in range(n):
        rng, pool = np.random.default_rng(seed), start.copy()
        pool.attempts = Attempts()
        tries = [(state := pool.copy(), finish(state, p, Perfect(truth), rng, terms))]
        while not tries[-1][1].certified and len(tries) < 6:
            tries.append((state := pool.copy(), finish(state, p, Perfect(truth), rng, terms)))
        broken += is_false(tries[-1][1], tries[-1][0], truth, 0.95)
        given_ += tries[-1][1].certified
    assert stats.binomtest(broken, n, 1 - level, alternative="greater").pvalue > 0.01
    assert (given_ if weighted else broken) > 0


def test_a_pool_counts_its_attempts_those_included_that_were_broken_off():
    state, p, truth = setting(600)
    levels = []
    for seed in range(3):
        done = finish(state.copy(), p, Perfect(truth), np.random.default_rng(seed), Terms(0.98))
        assert not done.certified and done.terms.attempt == seed + 1
        assert f"counted {seed + 1} attempt" in done.sentence()
        levels.append(done.plan.level)
    assert levels == [attempt_level(0.95, number) for number in (1, 2, 3)]

    def tired(items):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(state, p, tired, np.random.default_rng(9), Terms(0.98))
    with pytest.raises(ParameterError):  # nobody was asked: it does not count
        finish(state, p, tired, np.random.default_rng(9), Terms(0.98, expected_wrong=0.9))
    assert state.attempts.begun == 4
    # Attempts that the state does not know of count too, where somebody says so.
    done = finish(state, p, Perfect(truth), np.random.default_rng(9), Terms(0.98, attempt=9))
    assert done.terms.attempt == 9 and state.attempts.begun == 9


def test_an_attempt_with_all_of_the_risk_is_the_first_and_the_last():
    state, p, truth = setting(600)
    only = Terms(0.98, attempt=None)
    done = finish(state.copy(), p, Perfect(truth), np.random.default_rng(0), only)
    assert done.plan.level == 0.95 and "no other may follow" in done.sentence()
    for terms in (only, Terms(0.98)):
        with pytest.raises(ParameterError, match="got all of the risk"):
            finish(state.copy(), p, Perfect(truth), np.random.default_rng(0), terms)
    state.attempts = Attempts(1)
    with pytest.raises(ParameterError, match="expected none before"):
        finish(state, p, Perfect(truth), np.random.default_rng(0), only)


@given(target=st.floats(0.01, 0.999), n=st.integers(1, 10**6))
def test_allowed_errors_are_the_most_that_keep_the_target(target, n):
    from fractions import Fraction

    allowed, share = allowed_errors(n, target), Fraction(str(target))
    assert 0 <= allowed <= n
    assert Fraction(n - allowed, n) >= share
    assert allowed == n or Fraction(n - allowed - 1, n) < share


@pytest.mark.parametrize(("n", "target", "allowed"), [(60_000, 0.99, 600), (100, 0.93, 7)])
def test_allowed_errors_are_exact_where_floats_are_not(n, target, allowed):
    assert allowed_errors(n, target) == allowed


@settings(max_examples=20)
@given(level=st.floats(0.5, 0.999))
def test_all_attempts_together_risk_what_the_level_grants(level):
    spent = sum(1 - attempt_level(level, k) for k in range(1, 40))
    assert spent == pytest.approx(1 - level, rel=1e-6)


def test_unanswered_items_count_as_wrong():
    state, p, truth = setting(3)
    state.declined = state.pool[:10]
    state.pool, p = state.pool[10:], p[10:]
    done = finished(state, p, Perfect(truth))
    assert done.plan.allowed == allowed_errors(N, 0.98) - 10


@pytest.mark.parametrize("weighted", [False, True])
def test_items_that_nobody_can_name_count_as_errors_and_no_answer_is_lost(weighted):
    state, p, truth = setting(3)
    before = state.pool.copy()

    def silent(items):
        return np.where(np.isin(items, before[:900]), -1, truth[items])

    done = finished(state, p, silent, by_hand=20, weighted=weighted)
    assert not done.certified
    assert len(state.declined)
    assert set(state.declined) <= set(before[:900])
    assert state.book.n_auto == 0
    assert len(state.pool) + state.book.n_human + len(state.declined) == N
    unanswered = np.isin(done.by_hand, before[:900]).sum()
    assert done.plan.allowed == allowed_errors(N, 0.98) - unanswered


@pytest.mark.parametrize("weighted", [False, True])
def test_a_few_unanswered_items_do_not_stop_a_good_model(weighted):
    state, p, truth = setting(3)
    before = state.pool.copy()

    def silent(items):
        return np.where(np.isin(items, before[:10]), -1, truth[items])

    assert finished(state, p, silent, target=0.95, weighted=weighted).certified
    assert set(state.declined) <= set(before[:10])


@pytest.mark.parametrize("weighted", [False, True])
def test_an_audit_that_is_broken_off_keeps_every_answer_and_can_be_done_again(weighted):
    state, p, truth = setting(3)
    n_before, answered = len(state.pool), []

    def tired(items):
        if len(answered) > 100:
            raise KeyboardInterrupt
        answered.extend(items)
        return truth[items]

    with pytest.raises(KeyboardInterrupt):
        finished(state, p, tired, by_hand=30, weighted=weighted)
    assert set(answered) <= set(state.book.order)
    assert len(state.pool) == n_before - len(answered)
    p = p[np.isin(setting(3)[0].pool, state.pool)]
    again = finished(state, p, Perfect(truth), 1, attempt=2, weighted=weighted)
    assert again.certified
    assert again.plan.level > attempt_level(0.95, 1)


@pytest.mark.parametrize("how", ["a part of the items", "automatic labels"])
def test_items_that_no_audit_would_see_are_refused(how):
    state, p, truth = setting(3)
    if how == "automatic labels":
        state.book.add(state.pool[:7], truth[state.pool[:7]], Source.AUTO, 1)
    state.pool, p = state.pool[7:], p[7:]
    with pytest.raises(ParameterError, match=r"state=7 of 3000 items.*no audit would see"):
        finished(state, p, Perfect(truth))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_refused_audit_ends_soon_after_it_is_refused(weighted):
    state, p, truth = setting(1500, unsure=False)
    done = finished(state, p, Perfect(truth), weighted=weighted)
    assert not done.certified
    wrong = p.argmax(axis=1) != truth[setting(1500, unsure=False)[0].pool]
    assert wrong.sum() == 1500
    assert len(done.audited) <= 2 * PIECE  # 7 errors, every second label one


@pytest.mark.parametrize(("share", "text"), [(0.995, "99.5%"), (0.9999999, "99.99999%")])
def test_no_share_is_rounded_up_in_words(share, text):
    state, p, truth = setting(3)
    done = finished(state, p, Perfect(truth), target=0.9, level=0.9)
    for name, said in (("target", f"At least {text} of"), ("level", f"confidence {text}")):
        terms = dataclasses.replace(done.terms, **{name: share})
        assert said in dataclasses.replace(done, terms=terms).sentence()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": 1.0}, "target=1"),
        ({"level": 0.0}, "level=0"),
        ({"by_hand": -1}, "by_hand=-1"),
        ({"attempt": 0}, "attempt=0"),
        ({"expected_wrong": 2.0}, "expected_wrong=2"),
        ({"expected_wrong": 0.5}, "rate=0.5"),
        ({"weighted": "yes"}, "weighted=yes"),
    ],
)
def test_values_that_cannot_be_used_are_named_before_anybody_is_asked(change, message):
    state, p, _ = setting(3)

    def nobody(items):
        raise AssertionError("asked")

    with pytest.raises(ParameterError, match=message):
        finish(state, p, nobody, np.random.default_rng(0), Terms(**({"target": 0.98} | change)))
    with pytest.raises(ParameterError, match="probabilities="):
        finish(state, p[1:], nobody, np.random.default_rng(0), Terms(0.98))
