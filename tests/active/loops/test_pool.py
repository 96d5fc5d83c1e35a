"""The pool-based loop with everything that can be given to it: strategies, oracles, rules."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from alutils.active import oracles, stopping
from alutils.active.labels import Source
from alutils.active.loops.members import committee, retrained
from alutils.active.loops.pool import (
    PoolState,
    Ranking,
    by_score,
    by_strategy,
    check_loop,
    pool_based,
)
from alutils.active.strategies import registry, uncertainty
from alutils.base.errors import ParameterError
from alutils.experiments.article import procedure
from alutils.experiments.report import loops
from alutils.models import estimator
from alutils.models.estimator import Estimator

N_CLASSES = 3


@pytest.fixture
def pool():
    """Return (120, 4) features and labels of three classes that overlap a little."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(120) % N_CLASSES)
    centres = 2.5 * np.eye(N_CLASSES, 4)
    return (centres[labels] + rng.normal(0, 1, (120, 4))).astype(np.float32), labels


def loop(pool, strategy="margin", *, oracle=None, classifier=None, state=None, seed=0, **options):
    x, labels = pool
    query = by_strategy(
        strategy,
        np.random.default_rng(seed),
        committee=committee(3),
        retrained=retrained(n_evaluated=10, steps=2),
    )
    state = state or PoolState.start(len(x))
    classifier = classifier or Estimator(N_CLASSES)
    options = {"batch": 6, "budget": 24} | options
    oracle = oracle or oracles.Perfect(labels)
    return list(pool_based(x, oracle, classifier, query, state, **options)), state, classifier


@pytest.mark.parametrize("strategy", list(registry.STRATEGIES))
def test_every_strategy_runs_in_the_loop_and_repeats_itself(pool, strategy):
    rounds, state, classifier = loop(pool, strategy)
    _, state_again, _ = loop(pool, strategy)
    assert [r.n_human for r in rounds] == [6, 12, 18, 24]
    assert len(set(state.book.order)) == 24
    assert np.array_equal(state.book.label[state.book.order], pool[1][state.book.order])
    assert np.array_equal(state.book.order, state_again.book.order)
    assert (classifier.predict(pool[0]) == pool[1]).mean() > 0.6


def test_a_batch_is_what_the_strategy_chooses_from_the_same_context(pool):
    x, labels = pool
    rounds, state, _ = loop(pool, "badge", seed=3)
    known = np.isin(np.arange(len(x)), np.concatenate([r.items for r in rounds[:2]]))
    classifier = Estimator(N_CLASSES).fit(x[state.book.order[:12]], labels[state.book.order[:12]])
    rng = np.random.default_rng(3)
    first = np.isin(np.arange(len(x)), rounds[0].items)
    before = Estimator(N_CLASSES).fit(x[:6], labels[:6])
    badge = registry.get("badge")
    badge.select(registry.Context(first, before.predict_proba(x), x), 6, rng)
    chosen = badge.select(registry.Context(known, classifier.predict_proba(x), x), 6, rng)
    assert np.array_equal(chosen, rounds[2].items)


def test_classes_that_have_no_label_yet_do_not_stop_the_loop(pool):
    x, labels = pool
    order = np.argsort(labels, kind="stable")  # the first rounds see one class only
    for strategy in ("margin", "bald", "badge", "expected_error_reduction", "variance_reduction"):
        state = PoolState.start(len(x), order)
        rounds, state, classifier = loop(pool, strategy, state=state, budget=36)
        assert rounds[0].n_human == 6 and set(state.book.labels[:6]) == {0}
        assert len(set(state.book.labels)) >= 2, strategy
        assert classifier.predict_proba(x).shape == (len(x), N_CLASSES)


def test_an_oracle_that_abstains_is_not_asked_again_and_costs_nothing_of_the_budget(pool):
    x, labels = pool
    costly = oracles.Costly(
        oracles.Abstaining(oracles.Perfect(labels), 0.5, np.random.default_rng(1)), 2.0
    )
    rounds, state, _ = loop(pool, oracle=costly)
    assert state.book.n_human == 24 and len(state.declined) > 5
    assert not np.isin(state.declined, state.pool).any()
    assert not np.isin(state.declined, state.book.order).any()
    assert costly.n_asked == 24 + len(state.declined) and costly.spent == 2 * costly.n_asked
    assert rounds[-1].n_declined == len(state.declined)
    assert sorted([*state.book.order, *state.declined, *state.pool]) == list(range(len(x)))


def test_an_oracle_that_never_answers_ends_the_loop_with_nothing(pool):
    silent = oracles.Abstaining(oracles.Perfect(pool[1]), 1.0, np.random.default_rng(0))
    rounds, state, _ = loop(pool, oracle=silent)
    assert state.book.n_human == 0 and len(state.pool) == 0 and len(state.declined) == 120
    assert all(r.trained is None for r in rounds)


def test_wrong_answers_are_trained_on_as_they_come(pool):
    labels = pool[1]
    noisy = oracles.Noisy.at_rate(oracles.Perfect(labels), 0.3, N_CLASSES, np.random.default_rng(0))
    _, state, _ = loop(pool, oracle=noisy, budget=60)
    wrong = state.book.labels != labels[state.book.order]
    assert 5 < wrong.sum() < 35


@pytest.mark.parametrize("answer", [3, -2, 99])
def test_an_answer_that_is_no_class_is_refused_before_it_is_written(pool, answer):
    x, labels = pool
    state = PoolState.start(len(x))

    def oracle(items):
        return np.where(items == 8, answer, labels[items])

    with pytest.raises(ValueError, match=f"answer {answer} for item 8"):
        list(
            pool_based(
                x, oracle, Estimator(N_CLASSES), None, state, batch=6, budget=24, n_classes=None
            )
        )
    assert state.book.n_human == 6 and len(state.pool) == 114


def test_a_rule_ends_the_loop_and_says_why(pool):
    x, labels = pool
    rule = stopping.TargetAccuracy(x, labels, 0.6)
    rounds, state, classifier = loop(pool, stop=rule, batch=3, budget=99)
    assert "target" in rounds[-1].stopped and not any(r.stopped for r in rounds[:-1])
    assert state.book.n_human < 99
    assert (classifier.predict(x) == labels).mean() >= 0.6


def test_rules_see_the_round_and_what_is_unlabelled(pool):
    looks = []
    rounds, _, _ = loop(pool, stop=lambda look: looks.append(look))
    assert [look.n_human for look in looks] == [r.n_human for r in rounds]
    assert [look.n_unlabelled for look in looks] == [120 - r.n_human for r in rounds]
    assert looks[-1].probabilities().shape == (96, N_CLASSES)


def test_a_query_that_asks_for_nothing_ends_the_loop(pool):
    x, labels = pool
    state = PoolState.start(len(x))
    nothing = lambda view: Ranking(np.arange(len(view.state.pool)), ask=0)  # noqa: E731
    rounds = list(
        pool_based(x, labels.__getitem__, Estimator(N_CLASSES), nothing, state, batch=5, budget=50)
    )
    assert len(rounds) == 1 and "nothing more" in rounds[0].stopped


def test_automatic_labels_are_given_first_and_kept_apart(pool):
    x, labels = pool
    state, classifier = PoolState.start(len(x)), Estimator(N_CLASSES)
    fits = []
    fit = classifier.fit
    classifier.fit = lambda a, b: fits.append(len(b)) or fit(a, b)
    rounds = list(
        pool_based(
            x, labels.__getitem__, classifier, by_score(uncertainty.least_confident), state,
            batch=10, budget=40, automatic=lambda view: view.probabilities.max(axis=1) >= 0.9,
            train_on_automatic=False,
        )
    )  # fmt: skip
    assert rounds[-1].n_auto > 10 and fits == [r.n_human for r in rounds]
    auto = state.book.source == Source.AUTO
    assert (state.book.label[auto] == labels[auto]).mean() > 0.8
    assert not np.isin(state.pool, np.flatnonzero(auto)).any()


def test_committees_learn_from_the_labels_that_the_model_learned_from(pool):
    x, labels = pool
    sizes = []

    class Watched(Estimator):
        def fit(self, x, y):
            sizes.append(len(y))
            return super().fit(x, y)

    def members(view, rng):
        assert len(view.trained_on) == sizes[-1]
        return committee(3)(view, rng)

    query = by_strategy("bald", np.random.default_rng(0), committee=members)
    rounds = list(
        pool_based(
            x, labels.__getitem__, Watched(N_CLASSES), query, PoolState.start(len(x)), batch=10,
            budget=30, automatic=lambda view: view.probabilities.max(axis=1) >= 0.8,
            train_on_automatic=False,
        )
    )  # fmt: skip
    assert sizes == [10, 20, 30] and rounds[-1].n_auto > 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch=0"),
        ({"budget": 0}, "budget=0"),
        ({"budget": 121}, "budget=121: the pool holds 120"),
        ({"batch": 25}, "budget=24: it does not fill one round of batch=25"),
        ({"first": 0}, "first=0"),
        ({"first": 25}, "one round of first=25"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_anything_is_asked(pool, options, message):
    asked = []

    def oracle(items):
        asked.append(items)
        return pool[1][items]

    with pytest.raises(ValueError, match=message):
        loop(pool, oracle=oracle, **options)
    assert not asked


def test_an_empty_pool_is_refused(pool):
    x, _ = pool
    with pytest.raises(ValueError, match="pool is empty"):
        loop(pool, state=PoolState.start(len(x), np.empty(0, int)))


def test_a_strategy_without_what_it_needs_is_refused_before_the_loop():
    for name, need in {"bald": "committee", "expected_error_reduction": "retrained"}.items():
        with pytest.raises(ValueError, match=f"needs {need}"):
            by_strategy(name, np.random.default_rng(0))
    with pytest.raises(ValueError, match="margin"):
        by_strategy("margn", np.random.default_rng(0))


def test_probabilities_that_are_none_stop_the_loop_with_the_reason(pool):
    class Diverged(Estimator):
        def predict_proba(self, x):
            return np.full((len(x), N_CLASSES), np.nan, np.float32)

    with pytest.raises(ValueError, match="NaN"):
        loop(pool, classifier=Diverged(N_CLASSES))


def test_the_article_and_the_report_run_on_this_loop(monkeypatch, digits):
    calls = []

    def counted(*arguments, **options):
        calls.append(options.get("budget"))
        return pool_based(*arguments, **options)

    monkeypatch.setattr(procedure, "pool_based", counted)
    monkeypatch.setattr(loops, "pool_based", counted)
    x, y, x_test, y_test = digits
    procedure.exact(x[:60], y[:60], x_test[:50], y_test[:50], batch=5, budget=20)
    assert calls == [60, 20, 20]
    labels = np.arange(300) % 5
    features = np.eye(5, 6, dtype=np.float32)[labels]
    loops.run_loops(features, labels, 5, "as_stated", 0, epochs=1, rounds=1)
    assert len(calls) == 3 + len(loops.LOOPS)


# --- any classifier of scikit-learn ---------------------------------------------------------------


def test_an_estimator_has_a_column_for_every_class(pool):
    x, labels = pool
    ours = Estimator(7)
    assert np.allclose(ours.predict_proba(x), 1 / 7)
    ours.fit(x[:1], np.array([4]))
    assert np.array_equal(ours.predict(x), np.full(len(x), 4))
    ours.fit(x, labels + 2)
    p = ours.predict_proba(x)
    assert p.shape == (len(x), 7) and np.allclose(p.sum(axis=1), 1, atol=1e-6)
    assert not p[:, [0, 1, 5, 6]].any()
    theirs = estimator.softmax_regression().fit(x, labels)
    assert np.allclose(p[:, 2:5], theirs.predict_proba(x), atol=1e-6)
    with pytest.raises(ValueError, match="label 7"):
        ours.fit(x, labels + 5)
    with pytest.raises(ValueError, match="n_classes=1"):
        Estimator(1)


def test_a_few_steps_from_where_it_stands_come_near_a_whole_training(pool):
    x, labels = pool
    base = Estimator(N_CLASSES).fit(x[:40], labels[:40])
    before = base.predict_proba(x)
    surprise = np.append(labels[:40], (labels[40] + 1) % N_CLASSES)
    exact = lambda seed: estimator.softmax_regression(seed).set_params(tol=1e-9)  # noqa: E731
    whole = Estimator(N_CLASSES, exact).fit(x[:41], surprise).predict_proba(x)
    few = base.with_label(x[:41], surprise, steps=8).predict_proba(x)
    assert np.abs(few - whole).max() < 0.2 * np.abs(whole - before).max()
    assert np.array_equal(base.predict_proba(x), before)
    # a class that was not known: trained as a whole
    new = base.with_label(x[:41], np.append(labels[:40] % 2, 2), steps=1)
    assert set(new.classes) == {0, 1, 2}


@pytest.mark.parametrize("make", [GaussianNB, KNeighborsClassifier, LinearDiscriminantAnalysis])
def test_any_classifier_of_scikit_learn_can_be_trained_with_one_more_label(pool, make):
    x, labels = pool
    base = Estimator(N_CLASSES, lambda seed: make()).fit(x[:40], labels[:40])
    again = base.with_label(x[:41], labels[:41], steps=3)
    whole = Estimator(N_CLASSES, lambda seed: make()).fit(x[:41], labels[:41])
    assert np.allclose(again.predict_proba(x), whole.predict_proba(x))
    _, state, _ = loop(pool, "expected_error_reduction", classifier=base, budget=12)
    assert state.book.n_human == 12


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"batch": 25, "budget": 5}, "budget=5: it does not fill one round of batch=25 labels"),
        ({"batch": 2, "budget": 5, "first": 9}, "budget=5: it does not fill .* first=9 labels"),
        ({"batch": 2, "budget": 5, "first": -1}, "first=-1: expected 1 to budget=5"),
        ({"batch": 0, "budget": 5}, "batch=0: expected a whole number, 1 or more"),
        ({"batch": 1, "budget": 0}, "budget=0: expected a whole number, 1 or more"),
    ],
)
def test_sizes_that_do_not_fit_are_told_by_the_right_name(sizes, message):
    with pytest.raises(ValueError, match=message):
        check_loop(100, **sizes)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"budget": float("nan")}, "budget=nan: expected a whole number, 1 or more"),
        ({"batch": 1.5}, "batch=1.5: expected a whole number"),
        ({"batch": "10"}, "batch=10: expected a whole number"),
        ({"budget": True}, "budget=True: expected a whole number"),
    ],
)
def test_sizes_that_are_no_whole_numbers_are_refused(sizes, message):
    with pytest.raises(ParameterError, match=message):
        check_loop(100, **({"batch": 2, "budget": 10} | sizes))


@pytest.mark.parametrize("n_items", [-1, "a", 60.0, None])
def test_a_state_is_over_a_whole_number_of_items(n_items):
    with pytest.raises(ParameterError, match=r"n_items=.*: expected a whole number, 0 or more"):
        PoolState.start(n_items)


@pytest.mark.parametrize("as_held", [np.asarray, list, csr_matrix])
def test_a_state_over_more_items_than_there_are_rows_is_refused(pool, as_held):
    x, labels = pool
    state = PoolState.start(len(x) + 1)
    loop = pool_based(as_held(x), oracles.Perfect(labels), Estimator(N_CLASSES), None, state,
                      batch=2, budget=4)  # fmt: skip
    with pytest.raises(ParameterError, match=f"features={len(x):,} rows: expected one for each"):
        next(loop)
    assert len(state.pool) == len(x) + 1
