"""Disagreement of committees and where their members come from."""

import numpy as np
import pytest
from pools import DTYPES, PROBABILITIES, tolerance
from scipy.stats import entropy
from skactiveml.pool import average_kl_divergence, batch_bald
from skactiveml.pool import vote_entropy as vote_entropy_theirs
from sklearn.linear_model import LogisticRegression

from alutils.active.strategies import committees
from alutils.models.dense_head import DenseHead

SCORES = {
    "vote_entropy": committees.vote_entropy,
    "consensus_kl": committees.consensus_kl,
    "bald": committees.bald,
}


def committee(kind, dtype, n_members=4):
    draws = [PROBABILITIES[kind](np.random.default_rng(seed)) for seed in range(n_members)]
    return np.stack(draws).astype(DTYPES[dtype])


def by_definition(name, p):
    """Return the scores of a committee by scipy, one sample after the other."""
    out = []
    for sample in p.astype(np.float64).transpose(1, 0, 2):
        if name == "vote_entropy":
            out.append(entropy(np.bincount(sample.argmax(axis=1), minlength=p.shape[2])))
        elif name == "consensus_kl":
            out.append(np.mean([entropy(member, sample.mean(axis=0)) for member in sample]))
        else:
            out.append(entropy(sample.mean(axis=0)) - np.mean(entropy(sample, axis=1)))
    return np.array(out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", PROBABILITIES)
@pytest.mark.parametrize("name", SCORES)
def test_scores_are_what_their_definitions_say(name, kind, dtype):
    p = committee(kind, dtype)[:, :500]
    before = p.copy()
    score = SCORES[name](p)
    assert score.shape == p.shape[1:2]
    assert score == pytest.approx(by_definition(name, p), abs=tolerance(dtype))
    assert np.array_equal(p, before)


@pytest.mark.parametrize("kind", [kind for kind in PROBABILITIES if kind != "one class"])
def test_scores_are_those_of_scikit_activeml(kind):
    p = committee(kind, "float64")[:, :500]
    votes = p.argmax(axis=2).T
    theirs = vote_entropy_theirs(votes, np.arange(p.shape[2]))
    assert committees.vote_entropy(p) == pytest.approx(theirs, abs=1e-12)
    # Theirs lift every probability to 1e-7 at least.
    assert committees.consensus_kl(p) == pytest.approx(average_kl_divergence(p.copy()), abs=2e-5)
    theirs = batch_bald(p.copy(), batch_size=1)[0]
    assert committees.bald(p) == pytest.approx(theirs, abs=2e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", PROBABILITIES)
def test_bald_is_the_mean_divergence_from_the_consensus(kind, dtype):
    p = committee(kind, dtype)
    assert committees.bald(p) == pytest.approx(committees.consensus_kl(p), abs=tolerance(dtype))


@pytest.mark.parametrize("name", SCORES)
def test_members_of_one_mind_have_nothing_to_disagree_about(name):
    p = np.tile(np.random.default_rng(0).dirichlet(np.ones(5), 20), (3, 1, 1))
    assert SCORES[name](p) == pytest.approx(np.zeros(20), abs=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_two_sure_members_who_differ_disagree_by_one_bit(name):
    p = np.array([[[1.0, 0, 0]], [[0, 1.0, 0]]])
    assert SCORES[name](p) == pytest.approx([np.log(2)])


@pytest.mark.parametrize("name", SCORES)
def test_scores_follow_their_samples_and_do_not_care_who_sits_where(name):
    p, rng = committee("random", "float64"), np.random.default_rng(1)
    rows = rng.permutation(p.shape[1])
    assert np.array_equal(SCORES[name](p[:, rows]), SCORES[name](p)[rows])
    assert SCORES[name](p[::-1]) == pytest.approx(SCORES[name](p), abs=1e-12)


def test_votes_shared_out_alike_are_a_tie_whichever_classes_they_went_to():
    votes = np.random.default_rng(0).permuted(
        np.tile([0, 0, 0, 1, 1, 2, 3, 3, 3, 3], (500, 1)), axis=1
    )
    names = np.array([np.random.default_rng(seed).permutation(5) for seed in range(500)])
    p = np.eye(5)[np.take_along_axis(names, votes, axis=1)].transpose(1, 0, 2)
    assert len(set(committees.vote_entropy(p))) == 1


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (np.full((5, 2), 0.5), r"shape \(5, 2\); expected \(n_members, n_samples, n_classes\)"),
        (np.full((1, 5, 2), 0.5), "1 members; at least 2"),
        (np.empty((3, 0, 2)), r"committee\[0\]: 0 samples, the pool is empty"),
        (np.full((3, 5, 2), [0.5, np.nan]), r"committee\[0\]: row 0 holds NaN"),
        (np.stack([np.full((5, 2), 0.5), np.ones((5, 2))]), r"committee\[1\]: row 0 sums to 2"),
    ],
)
@pytest.mark.parametrize("name", SCORES)
def test_a_committee_that_is_none_is_refused(name, p, message):
    with pytest.raises(ValueError, match=message):
        SCORES[name](p)


def blobs(n=60, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    return (3 * np.eye(n_classes)[y] + rng.normal(size=(n, n_classes))).astype(np.float32), y


def logistic(seed):
    return LogisticRegression(random_state=seed)


def head(seed):
    return DenseHead(3, hidden=8, epochs=3, rng=seed)


def test_members_differ_and_come_out_the_same_for_the_same_seed():
    x, y = blobs()
    first, again, other = (
        committees.by_bootstrap(head, x[:20], y[:20], x, 4, 3, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    assert first.shape == (4, 60, 3) and first.dtype == np.float32
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert len({member.tobytes() for member in first}) == 4
    assert committees.bald(first).max() > 0


def test_classes_not_seen_yet_get_a_column_and_no_probability():
    x, y = blobs()
    seen = np.flatnonzero(y != 1)
    p = committees.by_bootstrap(logistic, x[seen], y[seen], x, 3, 5, np.random.default_rng(0))
    assert p.shape == (3, 60, 5)
    assert not p[:, :, [1, 3, 4]].any()
    assert (p.argmax(axis=2)[:, seen] == y[seen]).mean() > 0.9


@pytest.mark.slow
def test_every_known_class_is_in_every_resample():
    x, y = blobs(40)
    y[:] = 0
    y[7], y[11] = 1, 2
    sizes = []

    class Spy(LogisticRegression):
        def fit(self, x, y):
            assert set(y) == {0, 1, 2}
            sizes.append(len(y))
            return super().fit(x, y)

    committees.by_bootstrap(lambda seed: Spy(), x, y, x, 20, 3, np.random.default_rng(0))
    assert sizes == [40 + 3] * 20


def test_a_resample_is_about_what_chance_makes_it():
    x, y = np.arange(200, dtype=np.float32)[:, None], np.eye(200, dtype=int)[0]
    shares = []

    class Spy:
        def fit(self, x, y):
            shares.append(len(np.unique(x[2:])) / 200)  # the first two are there for their classes
            return self

        def predict_proba(self, x):
            return np.full((len(x), 2), 0.5)

    committees.by_bootstrap(lambda seed: Spy(), x, y, x, 200, 2, np.random.default_rng(0))
    assert np.mean(shares) == pytest.approx(1 - np.exp(-1), abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_members": 1}, "n_members=1: at least 2"),
        ({"y": np.zeros(7, int)}, "60 items and 7 labels"),
        ({"x": np.empty((0, 3)), "y": np.empty(0, int)}, "0 items and 0 labels"),
        ({"y": np.full(60, 3)}, "label 3: expected 0 to 2"),
        ({"y": np.full(60, -1)}, "label -1: expected 0 to 2"),
    ],
)
def test_what_members_cannot_learn_from_is_refused(change, message):
    x, y = blobs()
    arguments = {"x": x, "y": y, "x_pool": x, "n_members": 3, "n_classes": 3} | change
    with pytest.raises(ValueError, match=message):
        committees.by_bootstrap(logistic, rng=np.random.default_rng(0), **arguments)
