"""Streams: decisions held to scikit-activeml's, budgets, test-then-train, and drift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import moving_clouds
from scipy import stats
from skactiveml import stream as reference
from skactiveml.classifier import SklearnClassifier
from skactiveml.stream import budgetmanager as managers
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from alutils.active.loops import stream
from alutils.active.oracles import Abstaining, Perfect
from alutils.active.strategies import uncertainty
from alutils.data import drift

N_CLASSES = 4


def uncertainties(kind, n=1500, seed=0):
    """Return (n,) least-confident scores such as a stream has."""
    rng = np.random.default_rng(seed)
    concentration = {"unsure": 2.0, "mixed": 0.4, "sure": 0.05}[kind]
    return 1 - rng.dirichlet(np.full(N_CLASSES, concentration), n).max(axis=1)


def ours(name, share, window, seed):
    # RandomState draws the very numbers that scikit-activeml draws.
    rng = np.random.RandomState(seed)
    return {
        "random": lambda: stream.Random(share, rng, window=window),
        "fixed": lambda: stream.FixedThreshold(
            share, stream.fixed_threshold(share, N_CLASSES), window=window
        ),
        "variable": lambda: stream.VariableThreshold(share, window=window),
        "variable from low": lambda: stream.VariableThreshold(share, 0.3, 0.1, window=window),
        "randomised": lambda: stream.RandomisedThreshold(share, rng=rng, window=window),
    }[name]()


def theirs(name, share, window, seed):
    given_all = {"w": window, "budget": share}
    by_chance = given_all | {"random_state": seed}
    return {
        "random": lambda: managers.RandomBudgetManager(**by_chance),
        "fixed": lambda: managers.FixedUncertaintyBudgetManager(
            list(range(N_CLASSES)), **given_all
        ),
        "variable": lambda: managers.VariableUncertaintyBudgetManager(**given_all),
        "variable from low": lambda: managers.VariableUncertaintyBudgetManager(
            theta=0.3, s=0.1, **given_all
        ),
        "randomised": lambda: managers.RandomVariableUncertaintyBudgetManager(**by_chance),
    }[name]()


STRATEGIES = ["random", "fixed", "variable", "variable from low", "randomised"]


@pytest.mark.parametrize("kind", ["unsure", "mixed", "sure"])
@pytest.mark.parametrize(("share", "window"), [(0.1, 100), (0.02, 30), (0.5, 10)])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_decision_is_scikit_activemls(name, share, window, kind):
    utility = uncertainties(kind)
    decide = ours(name, share, window, seed=3)
    asked = np.flatnonzero([decide(u) for u in utility])
    expected = theirs(name, share, window, seed=3).query_by_utility(utility)
    assert np.array_equal(asked, expected)
    if kind == "unsure":
        assert 0 < len(asked) < len(utility)


@pytest.mark.parametrize("name", ["fixed", "variable"])
def test_with_a_classifier_decisions_are_scikit_activemls_arrival_by_arrival(name):
    rng = np.random.default_rng(1)
    x, y = moving_clouds(np.zeros(400), N_CLASSES, rng, spread=2.0)
    fitted = SklearnClassifier(GaussianNB(), classes=range(N_CLASSES)).fit(x[:30], y[:30])
    strategy = {
        "fixed": lambda: reference.FixedUncertainty(classes=range(N_CLASSES), budget=0.2),
        "variable": lambda: reference.VariableUncertainty(budget=0.2),
    }[name]()
    decide = ours(name, 0.2, 100, seed=0)
    expected, asked = [], []
    for i in range(len(x)):
        queried = strategy.query(x[i : i + 1], fitted)
        strategy.update(x[i : i + 1], queried)
        expected.append(bool(len(queried)))
        asked.append(decide(uncertainty.least_confident(fitted.predict_proba(x[i : i + 1]))[0]))
    assert asked == expected
    assert 10 < sum(asked) < 120


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(STRATEGIES),
    share=st.floats(0, 1),
    window=st.integers(1, 200),
    kind=st.sampled_from(["unsure", "mixed", "sure"]),
    seed=st.integers(0, 99),
)
def test_no_strategy_asks_for_more_than_its_share(name, share, window, kind, seed):
    decide = ours(name, share, window, seed)
    utility = uncertainties(kind, 400, seed)
    asked = np.cumsum([decide(u) for u in utility])
    n = np.arange(1, 401)
    assert (asked <= (n + window) * (share + 1 / window) + 1e-9).all()


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_share_of_nothing_asks_for_nothing(name):
    decide = ours(name, 0.0, 10, seed=0)
    assert not any(decide(u) for u in [1.0, *uncertainties("unsure", 50)])


def test_a_variable_threshold_spends_its_share_where_a_fixed_one_falls_silent():
    utility = uncertainties("sure", 4000)
    fixed, variable = ours("fixed", 0.1, 100, 0), ours("variable", 0.1, 100, 0)
    assert np.mean([fixed(u) for u in utility]) < 0.04
    assert np.mean([variable(u) for u in utility]) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: stream.Random(0.2, rng),
        lambda rng: stream.RandomisedThreshold(0.2, rng=rng),
    ],
)
def test_the_same_seed_makes_the_same_decisions(make):
    utility = uncertainties("mixed", 300)
    one, two, other = (make(np.random.default_rng(seed)) for seed in (5, 5, 6))
    decisions = [one(u) for u in utility]
    assert decisions == [two(u) for u in utility]
    assert decisions != [other(u) for u in utility]


class Bayes:
    """Naive Bayes with a column for every class; tells what it was trained on."""

    def __init__(self, n_classes):
        self.n_classes = n_classes
        self.fits = []

    def fit(self, x, y):
        assert len(np.unique(y)) > 1
        self.fits.append((x.copy(), y.copy()))
        self.model = GaussianNB(var_smoothing=1e-3).fit(x, y)

    def predict_proba(self, x):
        p = np.zeros((len(x), self.n_classes))
        p[:, self.model.classes_] = self.model.predict_proba(x)
        return p


class Diary:
    """Notes who was asked for, and at what time it was decided."""

    def __init__(self, oracle):
        self.oracle, self.asked = oracle, []

    def __call__(self, items):
        self.asked.extend(items.tolist())
        return self.oracle(items)


def clouds(n=600, seed=0, angles=0.0, n_classes=3):
    rng = np.random.default_rng(seed)
    return moving_clouds(np.broadcast_to(angles, n), n_classes, rng, spread=0.4)


def by_hand(x, labels, decide, n_classes, budget, first, every, window):
    """Run the loop one arrival at a time, as its definition reads."""
    model, new, asked, items, predicted = None, 0, [], [], []
    for i in range(len(x)):
        p = None if model is None else model.predict_proba(x[i : i + 1])
        predicted.append(-1 if p is None else int(p.argmax()))
        if (p is None or decide(uncertainty.least_confident(p)[0])) and len(asked) < budget:
            asked.append(i)
            if labels[i] >= 0:
                items.append(i)
                new += 1
            latest = items[-window:] if window else items
            enough = new >= (first if model is None else every)
            if (enough or (len(asked) == budget and new)) and len(set(labels[latest])) > 1:
                model, new = Bayes(n_classes), 0
                model.fit(x[latest], labels[latest])
    return asked, np.array(predicted)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 50),
    budget=st.integers(5, 80),
    first=st.integers(1, 5),
    every=st.integers(1, 12),
    window=st.sampled_from([None, 2, 8, 30]),
    report=st.sampled_from([1, 7, 100, 1000]),
    silent=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_the_loop_is_test_then_train_arrival_by_arrival(
    seed, budget, first, every, window, report, silent
):
    x, y = clouds(200, seed)
    answers = Abstaining(Perfect(y), silent, np.random.default_rng(seed))(np.arange(200))
    oracle, classifier = Diary(lambda items: answers[items]), Bayes(3)
    steps = list(
        stream.stream_based(
            x,
            oracle,
            classifier,
            stream.VariableThreshold(0.3, window=20),
            n_classes=3,
            budget=budget,
            first=first,
            train_every=every,
            window=window,
            truth=y,
            report_every=report,
        )
    )
    decide = stream.VariableThreshold(0.3, window=20)
    asked, predicted = by_hand(x, answers, decide, 3, budget, first, every, window)
    assert oracle.asked == asked == np.concatenate([s.items for s in steps]).tolist()
    assert len(asked) == steps[-1].n_asked <= budget
    assert steps[-1].n_labels == np.count_nonzero(answers[asked] >= 0)
    assert [s.n_seen for s in steps] == [min(200, report * (i + 1)) for i in range(len(steps))]
    for step, before in zip(steps, [0, *[s.n_seen for s in steps]], strict=False):
        here = slice(before, step.n_seen)
        assert step.n_tested == np.count_nonzero(predicted[here] >= 0)
        assert step.n_right == np.count_nonzero(predicted[here] == y[here])
    assert steps[-1].n_fits == len(classifier.fits)
    if window:
        assert all(len(labels) <= window for _, labels in classifier.fits)


def run(x, y, **changes):
    """Run a stream with everything usual but what is given."""
    given_all = {
        "oracle": Perfect(y),
        "classifier": Bayes(3),
        "decide": stream.VariableThreshold(0.2),
        "n_classes": 3,
        "budget": 60,
        "truth": y,
    } | changes
    arguments = [given_all.pop(name) for name in ("oracle", "classifier", "decide")]
    return list(stream.stream_based(x, *arguments, **given_all))


def test_cold_start_goes_on_until_two_classes_are_known():
    x, y = clouds()
    y = np.sort(y)  # a class at a time
    second = int(np.flatnonzero(y != y[0])[0])
    classifier = Bayes(3)
    steps = run(x, y, classifier=classifier, budget=400, first=5)
    assert second > 5
    assert np.array_equal(classifier.fits[0][1], y[: second + 1])
    assert sum(s.n_tested for s in steps) == len(y) - second - 1


def test_one_class_for_ever_ends_with_the_budget_and_no_classifier():
    x, _ = clouds()
    steps = run(x, np.zeros(len(x), int), budget=50)
    assert steps[-1].n_asked == steps[-1].n_labels == 50
    assert all(s.n_tested == s.n_fits == 0 and np.isnan(s.accuracy) for s in steps)


def test_who_never_answers_costs_the_budget_and_not_more():
    x, y = clouds()
    silent = Abstaining(Perfect(y), 1.0, np.random.default_rng(0))
    steps = run(x, y, oracle=silent, budget=50)
    assert (steps[-1].n_asked, steps[-1].n_labels) == (50, 0)


def test_without_the_truth_nothing_is_counted_as_tested():
    x, y = clouds()
    steps = run(x, y, truth=None)
    assert all(s.n_tested == 0 for s in steps)
    assert np.array_equal(
        np.concatenate([s.items for s in steps]), np.concatenate([s.items for s in run(x, y)])
    )


def test_inputs_are_not_changed():
    x, y = clouds()
    x_before, y_before = x.copy(), y.copy()
    run(x, y)
    assert np.array_equal(x, x_before)
    assert np.array_equal(y, y_before)


def test_after_abrupt_drift_a_window_of_recent_labels_recovers_and_all_labels_do_not():
    x, y = clouds(3000)
    new = drift.new_concept(3000, 1500, 0, np.random.default_rng(0))
    y = drift.relabelled(y, new, [1, 2, 0])
    late = {}
    for window in (None, 60):
        steps = run(x, y, budget=1000, window=window, report_every=500)
        assert steps[2].accuracy > 0.8  # before the drift
        assert steps[3].accuracy < steps[2].accuracy - 0.1  # it is felt
        late[window] = steps[-1].accuracy
    assert late[60] > 0.8
    assert late[60] > late[None] + 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, r"budget=0: expected a whole number, 1 or more"),
        ({"budget": 2.5}, r"budget=2.5"),
        ({"first": 61}, r"budget=60: it does not fill one round of first=61 labels"),
        ({"first": 0}, r"first=0"),
        ({"train_every": 0}, r"train_every=0"),
        ({"window": 1}, r"window=1: one label is one class; ask for 2 or more"),
        ({"report_every": True}, r"report_every=True"),
        ({"truth": np.zeros(3)}, r"truth=an array of shape \(3,\): expected a label for each of"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_before_anybody_is_asked(changes, message):
    x, y = clouds(50)
    oracle = Diary(Perfect(y))
    with pytest.raises(ValueError, match=message):
        run(x, y, oracle=oracle, **changes)
    assert oracle.asked == []


def test_answers_and_probabilities_of_the_wrong_kind_are_named():
    x, y = clouds(50)
    with pytest.raises(ValueError, match=r"answer 7 for item 0; expected a class from 0 to 2"):
        run(x, y, oracle=lambda items: np.full(len(items), 7))
    with pytest.raises(ValueError, match=r"\(\d+, 3\); expected \(\d+, 4\), a column for every"):
        run(x, y, n_classes=4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: stream.VariableThreshold(1.5), r"share=1.5: expected a number from 0 to 1"),
        (lambda: stream.VariableThreshold(0.1, window=0), r"window=0: expected a whole number"),
        (lambda: stream.VariableThreshold(0.1, threshold=0), r"threshold=0: expected a number"),
        (lambda: stream.VariableThreshold(0.1, step=0), r"step=0: expected a fraction"),
        (lambda: stream.FixedThreshold(0.1, 60), r"threshold=60: expected a number from 0 to 1"),
        (lambda: stream.fixed_threshold(0.1, 0), r"n_classes=0"),
        (
            lambda: stream.RandomisedThreshold(0.1, rng=np.random.default_rng(0), deviation=-1),
            r"deviation=-1: expected a number, 0 or higher",
        ),
        (lambda: drift.ramp(10, 11), r"at=11: expected an arrival, 0 to 10"),
        (lambda: drift.ramp(10, 5, -1), r"width=-1: expected a number of arrivals"),
        (lambda: drift.relabelled([0, 2], [True, True], [1, 0]), r"the labels go from 0 to 2"),
        (lambda: drift.relabelled([0], [True], [1, 1]), r"expected the classes 0 to 1, each once"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value_and_what_was_expected(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_ramp_is_flat_before_and_after_and_straight_between():
    assert drift.ramp(6, 2).tolist() == [0, 0, 1, 1, 1, 1]
    assert drift.ramp(7, 1, 4).tolist() == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert drift.ramp(3, 3).tolist() == [0, 0, 0]


def test_gradual_drift_mixes_the_concepts_at_the_rate_of_the_ramp():
    new = drift.new_concept(30_000, 10_000, 10_000, np.random.default_rng(0))
    assert not new[:10_000].any()
    assert new[20_000:].all()
    for part in range(4):
        here = new[10_000 + 2500 * part :][:2500]
        rate = (part + 0.5) / 4
        assert stats.binomtest(int(here.sum()), 2500, rate).pvalue > 1e-5


def test_classes_change_their_meaning_in_the_new_concept_only():
    y = np.array([0, 1, 2, 0, 1, 2], np.int8)
    new = np.array([False, False, False, True, True, True])
    swapped = drift.relabelled(y, new, [1, 0, 2])
    assert swapped.tolist() == [0, 1, 2, 1, 0, 2]
    assert swapped.dtype == np.int8
    assert y.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_stream_asks_where_a_real_classifier_is_unsure():
    x = np.random.default_rng(0).normal(size=(2000, 2))
    y = (x[:, 0] > 0).astype(np.int64)

    class Logistic(Bayes):
        def fit(self, x, y):
            self.model = LogisticRegression().fit(x, y)

    steps = run(
        x, y, classifier=Logistic(2), n_classes=2, budget=150, report_every=1000,
        decide=stream.VariableThreshold(0.1),
    )  # fmt: skip
    late = steps[1].items
    assert len(late) > 20
    assert np.abs(x[late, 0]).mean() < np.abs(x[:, 0]).mean() / 2
    assert steps[1].accuracy > 0.95
