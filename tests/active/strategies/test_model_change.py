"""Scores of the softmax layer: against finite differences, whole matrices and real trainings."""

import numpy as np
import pytest
from pools import DTYPES, PROBABILITIES, linear_pool, probabilities
from scipy.special import log_softmax, softmax
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import MonteCarloEER
from sklearn.naive_bayes import GaussianNB

from alutils.active.strategies import model_change, uncertainty

RIDGE = 0.3


def loss(weights, x, y, n_classes):
    """Cross-entropy of one sample by the softmax layer's (features + 1, classes) weights."""
    return -log_softmax(np.append(x, 1) @ weights.reshape(-1, n_classes))[y]


def differences(f, at, step=1e-5):
    """Return the gradient of ``f`` by central differences."""
    eye = np.eye(len(at)) * step
    return np.array([(f(at + e) - f(at - e)) / (2 * step) for e in eye])


def layer(n=12, n_features=3, n_classes=3, seed=0):
    """Return samples, weights (features + 1, classes) of a softmax layer, and its probabilities."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_features))
    weights = rng.normal(size=(n_features + 1, n_classes))
    return x, weights, softmax(np.c_[x, np.ones(n)] @ weights, axis=1)


def information(x, weights):
    """Return one sample's Fisher information: the loss's second differences, class by class."""
    n_classes = weights.shape[1]
    flat = weights.ravel()
    gradient = lambda at: differences(lambda w: loss(w, x, 0, n_classes), at, 1e-4)  # noqa: E731
    hessian = differences(gradient, flat, 1e-4)
    return (hessian + hessian.T) / 2


@pytest.mark.parametrize("seed", range(3))
def test_expected_gradient_length_is_that_of_differences_of_the_loss(seed):
    x, weights, p = layer(seed=seed)
    expected = [
        sum(
            p[i, y] * np.linalg.norm(differences(lambda w: loss(w, x[i], y, 3), weights.ravel()))  # noqa: B023
            for y in range(3)
        )
        for i in range(len(x))
    ]
    assert model_change.expected_gradient_length(p, x) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", PROBABILITIES)
def test_expected_gradient_length_by_the_biases_is_its_definition(kind, dtype):
    p = probabilities(kind, dtype)[:200]
    rows = p.astype(np.float64)
    onehot = np.eye(p.shape[1])
    expected = [row @ np.linalg.norm(row - onehot, axis=1) for row in rows]
    ours = model_change.expected_gradient_length(p)
    assert ours.dtype == p.dtype
    # A length near zero is the root of a difference: half the digits.
    assert ours == pytest.approx(expected, abs=1e-3 if dtype == "float32" else 1e-7)


def test_expected_gradient_length_follows_its_samples_and_grows_with_them():
    x, p, _ = linear_pool()
    rows = np.random.default_rng(0).permutation(len(x))
    ours = model_change.expected_gradient_length(p, x)
    assert np.array_equal(model_change.expected_gradient_length(p[rows], x[rows]), ours[rows])
    assert (model_change.expected_gradient_length(p, 2 * x) > ours).all()


@pytest.mark.parametrize("labelled", [[], [1], [0, 4, 7, 9]], ids=["none", "one", "four"])
def test_variance_reduction_is_that_of_whole_inverted_matrices(labelled):
    x, weights, p = layer()
    each = np.array([information(row, weights) for row in x])
    known = each[labelled].sum(axis=0) + RIDGE * np.eye(weights.size)
    all_of_them = each.sum(axis=0)
    before = np.trace(all_of_them @ np.linalg.inv(known))
    expected = [before - np.trace(all_of_them @ np.linalg.inv(known + own)) for own in each]
    ours = model_change.variance_reduction(p, x, np.array(labelled, int), ridge=RIDGE)
    assert ours == pytest.approx(expected, rel=1e-4)
    assert (ours > 0).all()


def test_variance_reduction_takes_any_part_of_the_samples(monkeypatch):
    x, p, labelled = linear_pool(n_features=4)
    known = np.flatnonzero(labelled)
    part = np.array([5, 3, 40, 41])
    whole = model_change.variance_reduction(p, x, known)
    assert model_change.variance_reduction(p, x, known, candidates=part) == pytest.approx(
        whole[part], rel=1e-9
    )
    monkeypatch.setattr(model_change, "_VALUES", 1)  # one sample at a time
    assert model_change.variance_reduction(p, x, known) == pytest.approx(whole, rel=1e-9)
    some = model_change.variance_reduction(p, x, known, evaluated=part)
    others = np.setdiff1d(np.arange(len(p)), part)
    rest = model_change.variance_reduction(p, x, known, evaluated=others)
    assert some + rest == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("kind", ["zero and one", "uniform", "one class", "one sample", "ties"])
def test_softmax_layer_scores_bear_probabilities_with_nothing_between(kind):
    p = probabilities(kind, "float32")
    x = np.random.default_rng(0).normal(size=(len(p), 3)).astype(np.float32)
    for score in (model_change.variance_reduction, model_change.one_step_error_reduction):
        ours = score(p, x, np.array([0]))
        assert ours.shape == (len(p),) and np.isfinite(ours).all()
        if kind in ("zero and one", "one class"):  # nothing is open, nothing can be gained
            assert ours == pytest.approx(np.zeros(len(p)), abs=1e-6)


def one_step_by_matrices(p, x, labelled, ridge):
    """Return the same as one_step_error_reduction, by every weight of the layer in one vector."""
    n, n_classes = p.shape
    x = np.c_[x, np.ones(n)]
    width = x.shape[1]
    centre = (np.eye(n_classes) - 1 / n_classes) / 2  # Böhning's bound of diag(p) - p p'
    out = []
    for i in range(n):
        known = np.vstack([x[labelled], x[i]])
        curvature = np.kron(known.T @ known, centre) + ridge * np.eye(width * n_classes)
        expected = 0
        for y in range(n_classes):
            gradient = np.outer(x[i], p[i] - np.eye(n_classes)[y]).ravel()
            step = -np.linalg.solve(curvature, gradient).reshape(width, n_classes)
            future = softmax(np.log(p) + x @ step, axis=1)
            expected += p[i, y] * -(future * np.log(future)).sum(axis=1).mean()
        out.append(-expected)
    return np.array(out)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("labelled", [[], [2], [0, 4, 7, 9]], ids=["none", "one", "four"])
def test_one_step_error_reduction_is_that_of_whole_matrices(labelled, n_classes):
    x, _, p = layer(n_classes=n_classes)
    labelled = np.array(labelled, int)
    ours = model_change.one_step_error_reduction(p, x, labelled, ridge=RIDGE)
    assert ours == pytest.approx(one_step_by_matrices(p, x, labelled, RIDGE), rel=1e-9)


def test_one_step_error_reduction_takes_any_part_of_the_samples():
    x, p, labelled = linear_pool()
    known = np.flatnonzero(labelled)
    whole = model_change.one_step_error_reduction(p, x, known)
    some, others = np.array([5, 3, 40]), np.setdiff1d(np.arange(len(p)), [5, 3, 40])
    part = model_change.one_step_error_reduction(p, x, known, candidates=some)
    assert part == pytest.approx(whole[some], rel=1e-9)
    sums = [
        len(items) * model_change.one_step_error_reduction(p, x, known, evaluated=items)
        for items in (some, others)
    ]
    assert sum(sums) / len(p) == pytest.approx(whole, rel=1e-9)


def test_one_step_error_reduction_bears_features_far_apart():
    x, p, labelled = linear_pool(dtype=np.float64)
    score = model_change.one_step_error_reduction(p, 1e6 * x, np.flatnonzero(labelled))
    assert np.isfinite(score).all() and (score <= 0).all()


def test_expected_error_reduction_is_that_of_scikit_activeml():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2)) + np.repeat([[0, 0], [2, 0], [0, 2]], 10, axis=0)
    truth = np.repeat([0, 1, 2], 10)
    labelled = np.array([0, 3, 10, 14, 20, 28])
    y = np.full(30, np.nan)
    y[labelled] = truth[labelled]
    candidates = np.flatnonzero(np.isnan(y))
    # Naive Bayes with a wide smoothing: no probability so small that theirs would add to it.
    bayes = GaussianNB(var_smoothing=1.0)
    _, theirs = MonteCarloEER(method="log_loss", random_state=0).query(
        x, y, SklearnClassifier(bayes, classes=[0, 1, 2]), return_utilities=True
    )

    def retrained(i, label):
        item = candidates[i]
        model = GaussianNB(var_smoothing=1.0)
        return model.fit(
            np.vstack([x[labelled], x[item]]), np.append(truth[labelled], label)
        ).predict_proba(x)

    p = bayes.fit(x[labelled], truth[labelled]).predict_proba(x[candidates])
    ours = model_change.expected_error_reduction(p, retrained)
    assert ours == pytest.approx(theirs[0, candidates] / len(x), rel=1e-9)


def test_expected_error_reduction_trains_only_for_labels_that_can_be():
    asked = []

    def retrained(i, label):
        asked.append((i, label))
        return np.array([[0.5, 0.5], [1, 0]])

    p = np.array([[1.0, 0], [0.25, 0.75]])
    ours = model_change.expected_error_reduction(p, retrained)
    assert asked == [(0, 0), (1, 0), (1, 1)]
    assert ours == pytest.approx([-np.log(2) / 2] * 2)


def test_expected_error_reduction_can_leave_out_unlikely_labels():
    asked = []
    entropies = {0: [[1.0, 0, 0]], 1: [[0.5, 0.5, 0]], 2: [[1 / 3] * 3]}

    def retrained(i, label):
        asked.append((i, label))
        return np.array(entropies[label])

    p = np.array([[0.6, 0.3, 0.1], [0.34, 0.33, 0.33]])
    ours = model_change.expected_error_reduction(p, retrained, least=0.2)
    assert asked == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    second = -0.33 * np.log(2) - 0.33 * np.log(3)
    assert ours == pytest.approx([-np.log(2) / 3, second])
    asked.clear()
    model_change.expected_error_reduction(p, retrained, least=0.9)
    assert asked == [(0, 0), (1, 0)]  # the likeliest is always asked about
    with pytest.raises(ValueError, match="least=2"):
        model_change.expected_error_reduction(p, retrained, least=2)


def test_principal_directions_keep_what_they_can_of_distances():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 8))
    small = model_change.principal(flat, 2)
    assert small.shape == (50, 2)
    assert small @ small.T == pytest.approx(flat @ flat.T, abs=1e-9)
    assert model_change.principal(flat, 8) is flat
    best = model_change.principal(flat + 0.1 * rng.normal(size=flat.shape), 2)
    assert best @ best.T == pytest.approx(flat @ flat.T, abs=3)


def test_scaled_features_have_unit_mean_square_norm_and_zeros_stay():
    x, _, _ = linear_pool()
    small = model_change.scaled(7 * x)
    assert small.dtype == np.float32
    assert (small.astype(float) ** 2).sum() / len(x) == pytest.approx(1)
    assert not model_change.scaled(np.zeros((3, 2))).any()


LAYER_SCORES = {
    "variance_reduction": model_change.variance_reduction,
    "one_step_error_reduction": model_change.one_step_error_reduction,
}


@pytest.mark.parametrize("score", LAYER_SCORES.values(), ids=LAYER_SCORES)
def test_layer_scores_follow_their_samples_and_leave_the_input(score):
    x, p, labelled = linear_pool()
    before = x.copy(), p.copy()
    rows = np.random.default_rng(0).permutation(len(x))
    ours = score(p, x, np.flatnonzero(labelled))
    moved = score(p[rows], x[rows], np.flatnonzero(labelled[rows]))
    assert moved == pytest.approx(ours[rows], rel=1e-9)
    assert np.array_equal(x, before[0]) and np.array_equal(p, before[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.ones((79, 6))}, r"shape \(79, 6\); expected \(80, n_features\)"),
        ({"features": np.full((80, 6), np.nan)}, "row 0 holds values that are not finite"),
        ({"probabilities": np.full((80, 4), 0.3)}, "row 0 sums to 1.2"),
        ({"ridge": 0}, "ridge=0: expected more than 0"),
        ({"ridge": np.nan}, "ridge=nan"),
    ],
)
@pytest.mark.parametrize("score", LAYER_SCORES.values(), ids=LAYER_SCORES)
def test_layer_scores_refuse_what_they_cannot_use(score, change, message):
    x, p, labelled = linear_pool()
    arguments = {"probabilities": p, "features": x, "labelled": np.flatnonzero(labelled)} | change
    with pytest.raises(ValueError, match=message):
        score(**arguments)


def test_too_many_parameters_are_refused_with_what_to_do():
    p = np.full((5, 26), 1 / 26)
    with pytest.raises(
        ValueError, match=r"13338 parameters, at most 4000.*principal\(features, 152"
    ):
        model_change.variance_reduction(p, np.ones((5, 512)), np.array([0]))


def test_an_error_measured_on_nothing_is_refused():
    x, p, _ = linear_pool()
    with pytest.raises(ValueError, match="evaluated: 0 samples"):
        model_change.one_step_error_reduction(p, x, np.array([0]), evaluated=np.array([], int))


def test_a_retrained_model_that_gives_no_probabilities_is_named():
    with pytest.raises(ValueError, match=r"retrained\(0, 1\): row 0 sums to 3"):
        model_change.expected_error_reduction(
            np.array([[0.0, 1.0]]), lambda i, label: np.array([[1.0, 2.0]])
        )
    with pytest.raises(ValueError, match="the pool is empty"):
        model_change.expected_error_reduction(np.empty((0, 2)), uncertainty.checked)
