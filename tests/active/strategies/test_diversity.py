"""Batches that cover the pool: against scikit-activeml, and against doing it the long way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import DTYPES, linear_pool
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import Badge, CoreSet, TypiClust
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestNeighbors

from alutils.active.strategies import diversity, typicality, uncertainty


def rng(seed=0):
    return np.random.default_rng(seed)


# Density


@pytest.mark.parametrize("dtype", DTYPES)
def test_density_is_the_mean_cosine_with_all(dtype):
    x, _, _ = linear_pool(dtype=DTYPES[dtype])
    x += 1
    x[3] = 0
    ours = diversity.density(x)
    assert ours.dtype == x.dtype
    assert ours == pytest.approx(cosine_similarity(x.astype(float)).mean(axis=1), abs=1e-6)
    rows = rng().permutation(len(x))
    assert diversity.density(x[rows]) == pytest.approx(ours[rows], abs=1e-6)


@pytest.mark.parametrize("beta", [0, 0.5, 1, 2])
def test_density_weighs_scores_and_nothing_counts_below_zero(beta):
    x, p, _ = linear_pool()
    scores = uncertainty.entropy(p)
    likeness = np.maximum(cosine_similarity(x).mean(axis=1), 0)
    ours = diversity.density_weighted(scores, x, beta)
    assert ours == pytest.approx(scores * likeness**beta, abs=1e-6)


def test_density_prefers_the_crowd_to_the_outlier_of_the_same_entropy():
    x = np.vstack([[1, 0.1] + 0.1 * rng().normal(size=(20, 2)), [[-1, 0]]])
    ours = diversity.density_weighted(np.ones(21), x)
    assert ours.argmin() == 20


@pytest.mark.parametrize(
    ("scores", "beta", "message"),
    [
        (np.full(4, -0.5), 1, "the lowest is -0.5; expected 0 or more"),
        (np.full(4, np.nan), 1, "the lowest is nan"),
        (np.ones(3), 1, r"shape \(4, 2\); expected \(3, n_features\)"),
        (np.ones(4), -1, "beta=-1: expected 0 or more"),
        (np.ones(4), np.nan, "beta=nan"),
    ],
)
def test_scores_that_density_cannot_weigh_are_refused(scores, beta, message):
    with pytest.raises(ValueError, match=message):
        diversity.density_weighted(scores, np.ones((4, 2)), beta)


# k-center greedy


def farthest_first(x, centers, candidates, k, first=None):
    """Return the same choice by all distances; the first of equals wins."""
    distances = np.linalg.norm(x[:, None].astype(float) - x, axis=2)
    chosen = [] if first is None else [first]
    while len(chosen) < k:
        nearest = distances[:, [*centers, *chosen]].min(axis=1)
        left = [i for i in candidates if i not in chosen]
        chosen.append(max(left, key=lambda i: nearest[i]))
    return chosen


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(2, 60), n_features=st.integers(1, 9), n_labelled=st.integers(0, 8),
    share=st.floats(0, 1), dtype=st.sampled_from(sorted(DTYPES)), seed=st.integers(0, 999),
)  # fmt: skip
def test_k_center_greedy_chooses_as_all_distances_say(
    n, n_features, n_labelled, share, dtype, seed
):
    x = rng(seed).normal(size=(n, n_features)).astype(DTYPES[dtype])
    items = rng(seed).permutation(n)
    centers, free = items[: min(n_labelled, n - 1)], items[min(n_labelled, n - 1) :]
    k = max(1, round(share * len(free)))
    before = x.copy()
    ours = diversity.k_center_greedy(x, centers, free, k, rng(seed))
    first = ours[0] if not len(centers) else None  # that one is drawn
    assert list(ours) == farthest_first(x, centers, free, k, first)
    assert np.array_equal(ours, diversity.k_center_greedy(x, centers, free, k, rng(seed)))
    assert np.array_equal(x, before)


@pytest.mark.parametrize("seed", range(3))
def test_k_center_greedy_chooses_as_scikit_activeml(seed):
    x, _, labelled = linear_pool(300, 20, seed=seed)
    y = np.where(labelled, 0.0, np.nan)
    theirs = CoreSet(random_state=0).query(x, y, batch_size=40)
    known, free = np.flatnonzero(labelled), np.flatnonzero(~labelled)
    assert list(diversity.k_center_greedy(x, known, free, 40, rng())) == list(theirs)


def test_k_center_greedy_draws_among_the_equally_far():
    x = np.array([[0.0, 0], [3, 0], [0, 3], [-3, 0], [1, 1]])
    draws = [
        diversity.k_center_greedy(x, np.array([0]), np.arange(1, 5), 1, rng(seed))[0]
        for seed in range(900)
    ]
    counts = np.bincount(draws, minlength=5)
    assert counts[0] == counts[4] == 0
    assert counts[1:4] == pytest.approx(np.full(3, 300), abs=5 * np.sqrt(900 * 2 / 9))


def test_k_center_greedy_without_labels_may_begin_anywhere():
    x, _, _ = linear_pool(8)
    nobody = np.array([], int)
    first = [diversity.k_center_greedy(x, nobody, np.arange(8), 1, rng(s))[0] for s in range(100)]
    assert set(first) == set(range(8))


def test_k_center_greedy_chooses_different_items_where_all_are_alike():
    chosen = diversity.k_center_greedy(np.ones((7, 3)), np.array([0]), np.arange(1, 7), 6, rng())
    assert sorted(chosen) == list(range(1, 7))


# BADGE


def embeddings(p, x):
    """Return the gradient embeddings, written out."""
    error = p - np.eye(p.shape[1])[p.argmax(axis=1)]
    return (error[:, :, None] * x[:, None, :]).reshape(len(p), -1).astype(float)


def badge_weights(p, x, chosen):
    """Return what the next item is drawn by: squared distances from the nearest that is chosen."""
    gradients = diversity.Gradients(p, x)
    return np.min([gradients.square_distances(int(item)) for item in chosen], axis=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_badge_weights_are_squared_distances_of_written_out_gradients(dtype):
    x, p, _ = linear_pool(dtype=DTYPES[dtype])
    g = embeddings(p, x)
    chosen = np.array([4, 17, 60])
    expected = ((g[:, None] - g[chosen]) ** 2).sum(axis=2).min(axis=1)
    tolerance = {"abs": 1e-4 if dtype == "float32" else 1e-10}
    assert badge_weights(p, x, chosen) == pytest.approx(expected, **tolerance)
    assert not badge_weights(p, x, chosen)[chosen].any()
    norms = diversity.Gradients(p, x).square_norms
    assert norms == pytest.approx((g**2).sum(axis=1), **tolerance)


def test_badge_weights_are_the_odds_of_scikit_activeml():
    x, truth, labelled = linear_pool(120, dtype=np.float64, n_labelled=30)
    y = np.where(labelled, truth.argmax(axis=1), np.nan)
    clf = SklearnClassifier(GaussianNB(var_smoothing=1), classes=range(4)).fit(x, y)
    theirs, odds = Badge(random_state=1).query(
        x, y, clf, fit_clf=False, batch_size=12, return_utilities=True
    )
    free = np.flatnonzero(~labelled)
    p = clf.predict_proba(x)
    norms = diversity.Gradients(p, x).square_norms
    for i in range(12):
        # Theirs keep the norms, as if zero had been chosen, too; the paper's k-means++ does not.
        weights = np.minimum(badge_weights(p, x, theirs[:i]), norms)[free] if i else norms[free]
        ours = weights / weights.sum()
        wanted = np.nan_to_num(odds[i, free])  # NaN where it was chosen
        assert ours == pytest.approx(wanted, rel=1e-6, abs=1e-12)
    assert diversity.badge(p, x, free, 12, rng())[0] == theirs[0]


def test_badge_draws_by_its_weights():
    x, p, _ = linear_pool(12)
    free = np.arange(2, 12)
    draws = np.array([diversity.badge(p, x, free, 2, rng(seed)) for seed in range(4000)])
    assert len(set(draws[:, 0])) == 1  # the longest gradient
    weights = badge_weights(p, x, draws[0, :1])
    odds = np.where(np.arange(12) < 2, 0, weights)
    odds /= odds.sum()
    shares = np.bincount(draws[:, 1], minlength=12) / 4000
    assert (np.abs(shares - odds) <= 5 * np.sqrt(odds * (1 - odds) / 4000)).all()


@pytest.mark.parametrize("p_row", [[1.0, 0, 0], [0.5, 0.25, 0.25]], ids=["sure", "unsure"])
def test_badge_chooses_different_items_where_no_gradient_differs(p_row):
    p = np.tile(p_row, (9, 1))
    chosen = diversity.badge(p, np.ones((9, 2)), np.arange(1, 9), 8, rng())
    assert sorted(chosen) == list(range(1, 9))


# Typicality


@pytest.mark.parametrize("dtype", DTYPES)
def test_typicality_is_one_over_the_mean_distance_of_neighbours(dtype, monkeypatch):
    x, _, _ = linear_pool(dtype=DTYPES[dtype])
    distances = NearestNeighbors(n_neighbors=6).fit(x).kneighbors(x)[0][:, 1:]
    ours = typicality.typicality(x, 5)
    assert ours.dtype == x.dtype
    assert ours == pytest.approx(1 / distances.mean(axis=1), rel=1e-5)
    monkeypatch.setattr(typicality, "_VALUES", 1)  # one sample at a time
    assert typicality.typicality(x, 5) == pytest.approx(ours, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_typicality_takes_the_neighbours_that_there_are(n):
    x, _, _ = linear_pool(n, n_labelled=0, dtype=np.float64)
    others = np.linalg.norm(x[:, None] - x, axis=2).sum(axis=1)
    expected = (n - 1) / others if n > 1 else np.ones(1)
    assert typicality.typicality(x, 20) == pytest.approx(expected)


def test_typicality_of_equal_samples_is_finite_and_equal():
    ours = typicality.typicality(np.full((30, 4), 7, np.float32))
    assert np.isfinite(ours).all() and len(set(ours)) == 1


def test_typicality_needs_a_neighbour():
    with pytest.raises(ValueError, match="n_neighbours=0: expected 1 or more"):
        typicality.typicality(np.ones((3, 2)), 0)


class Given:
    """Clusters that somebody else made, for scikit-activeml."""

    def __init__(self, n_clusters, cluster):
        self.cluster = cluster

    def fit_predict(self, x):
        return self.cluster


@pytest.mark.parametrize("seed", range(3))
def test_typiclust_chooses_as_scikit_activeml_in_the_same_clusters(seed):
    x, _, labelled = linear_pool(200, seed=seed, n_labelled=5)
    # Sizes all different: with equal ones, chance decides.
    sizes = np.array([1, 4, 7, 10, 12, 14, 16, 18, 25, 27, 30, 36])
    cluster = rng(seed).permutation(np.repeat(np.arange(12), sizes))
    y = np.where(labelled, 0.0, np.nan)
    known, free = np.flatnonzero(labelled), np.flatnonzero(~labelled)
    theirs = TypiClust(
        cluster_algo=Given, cluster_algo_dict={"cluster": cluster}, k=5, random_state=0
    ).query(x, y, batch_size=7)
    ours = typicality.typical_of_clusters(x, cluster, known, free, 7, rng(), n_neighbours=5)
    assert list(ours) == list(theirs)


def test_typiclust_goes_round_where_there_are_fewer_clusters_than_wanted():
    x, _, _ = linear_pool(12, n_labelled=0)
    cluster = np.array([0] * 6 + [1] * 4 + [2] * 2)
    nobody, everybody = np.array([], int), np.arange(12)
    chosen = typicality.typical_of_clusters(x, cluster, nobody, everybody, 12, rng())
    assert sorted(chosen) == list(range(12))
    # Round by round, largest first, until each is used up.
    assert list(cluster[chosen]) == [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0, 0]
    assert list(typicality.typical_of_clusters(x, cluster, nobody, everybody, 5, rng())) == list(
        chosen[:5]
    )


def test_typiclust_finds_every_blob_with_one_item_each():
    truth = np.repeat(np.arange(12), 30)
    x = (20 * np.eye(12)[truth] + rng(1).normal(size=(360, 12))).astype(np.float32)
    labelled = np.flatnonzero(truth < 4)[::15]
    free = np.setdiff1d(np.arange(360), labelled)
    chosen = typicality.typiclust(x, labelled[[0, 2, 4, 6]], free, 8, rng())
    assert sorted(truth[chosen]) == list(range(4, 12))


@pytest.mark.parametrize("n_clusters", [3, 60])
def test_clusters_bear_fewer_different_samples_than_clusters(n_clusters, recwarn):
    x = np.repeat(rng().normal(size=(2, 3)), 50, axis=0)
    cluster = typicality.clusters(x, n_clusters, rng())
    assert cluster.shape == (100,) and cluster.max() < n_clusters
    assert not [w for w in recwarn if "distinct clusters" in str(w.message)]
