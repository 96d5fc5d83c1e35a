"""Items in whatever holds them: the loops take the same rows from all of it, or say why not."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from alutils import Estimator, Perfect, PoolState, by_strategy, pool_based
from alutils.active.labels import Source
from alutils.active.loops import members
from alutils.active.loops.autolabel import confident_first
from alutils.active.loops.stream import stream_based
from alutils.base.errors import ParameterError
from alutils.base.rows import as_rows
from alutils.models.out_of_fold import dealt, out_of_fold

N = 80
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, N)
X = (RNG.normal(size=(N, 4)) + 3 * np.eye(4)[Y]).astype(np.float32)
HOLDERS = {
    "frame": lambda x: pd.DataFrame(x),
    "frame with names": lambda x: pd.DataFrame(x, columns=list("abcd"), index=np.arange(N) + 7),
    "csr": scipy.sparse.csr_matrix,
    "coo": scipy.sparse.coo_matrix,
    "csc array": scipy.sparse.csc_array,
    "list": lambda x: x.tolist(),
    "masked nowhere": lambda x: np.ma.array(x, mask=False),
}


def asked(features, strategy="margin"):
    """Return the items that a loop asks for, and what its classifier says in the end."""
    state, query = PoolState.start(N), by_strategy(strategy, np.random.default_rng(1))
    loop = pool_based(features, Perfect(Y), Estimator(3), query, state, batch=10, budget=40)
    return np.concatenate([each.items for each in loop]), state.pool


@pytest.mark.parametrize("holder", HOLDERS)
def test_loops_take_the_same_rows_from_whatever_holds_them(holder):
    for expected, found in zip(asked(X), asked(HOLDERS[holder](X)), strict=True):
        assert np.array_equal(expected, found)


@pytest.mark.parametrize("holder", HOLDERS)
def test_labels_of_the_classifiers_own_and_streams_do_so_too(holder):
    labels = []
    for features in (X, HOLDERS[holder](X)):
        state = PoolState.start(N)
        state.book.add(np.arange(20), Y[:20], Source.HUMAN, 0)
        state.pool = state.pool[20:]
        model = Estimator(3).fit(X[:20], Y[:20])
        list(confident_first(features, model, state, batch=20, number=0))
        steps = list(
            stream_based(features, Perfect(Y), Estimator(3), lambda u: u > 0.3, n_classes=3,
                         budget=30, first=9)
        )  # fmt: skip
        labels.append((state.book.label.copy(), steps[-1].n_asked))
    assert np.array_equal(labels[0][0], labels[1][0]) and labels[0][1] == labels[1][1]


@pytest.mark.parametrize("holder", HOLDERS)
def test_predictions_out_of_fold_do_so_too(holder):
    fold = dealt(Y, 4, np.random.default_rng(0))
    p = [
        out_of_fold(lambda: Estimator(3), each, Y, fold, n_classes=3)
        for each in (X, HOLDERS[holder](X))
    ]
    assert np.allclose(p[0], p[1], atol=1e-4)


def test_a_strategy_that_computes_with_features_takes_tables_and_says_no_to_sparse_ones():
    assert np.array_equal(
        asked(X, "k_center_greedy")[0], asked(pd.DataFrame(X), "k_center_greedy")[0]
    )
    with pytest.raises(ParameterError, match=r"an array for the strategy k_center_greedy; give it"):
        asked(scipy.sparse.csr_matrix(X), "k_center_greedy")


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (np.ma.array(X, mask=X > 2), r"features=an array with \d+ masked values: expected values"),
        (np.ma.masked_invalid([[1.0, np.nan], [2.0, 3.0]]), "an array with 1 masked values"),
        ([[1, 2], [3]], "features=a list: its rows are not alike"),
    ],
)
def test_what_cannot_be_taken_is_one_clear_line(items, says):
    with pytest.raises(ParameterError, match=says):
        as_rows(items)
    with pytest.raises(ParameterError, match=says):
        pool_based(items, Perfect(Y), Estimator(3), None, PoolState.start(N), batch=1,
                   budget=2).__next__()  # fmt: skip


@pytest.mark.parametrize("holder", HOLDERS)
def test_committees_take_the_same_rows(holder):
    asked = []
    for features in (X, HOLDERS[holder](X)):
        rng, state = np.random.default_rng(1), PoolState.start(N)
        query = by_strategy("consensus_kl", rng, committee=members.committee(3))
        loop = pool_based(features, Perfect(Y), Estimator(3), query, state, batch=20, budget=40)
        asked.append(np.concatenate([each.items for each in loop]))
    assert np.array_equal(*asked)


def test_models_that_are_retrained_take_tables_and_say_no_to_sparse_ones():
    asked = []
    for features in (X, pd.DataFrame(X), scipy.sparse.csr_matrix(X)):
        rng, state = np.random.default_rng(1), PoolState.start(N)
        query = by_strategy("one_step_error_reduction", rng, retrained=members.retrained(20, 1))
        loop = pool_based(features, Perfect(Y), Estimator(3), query, state, batch=20, budget=22)
        if scipy.sparse.issparse(features):
            with pytest.raises(ParameterError, match="expected an array for"):
                list(loop)
        else:
            asked.append(np.concatenate([each.items for each in loop]))
    assert np.array_equal(*asked)
