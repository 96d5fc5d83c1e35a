"""The best of a pool in parts is the best of the whole, to the row."""

import mmap

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alutils.active import partitions
from alutils.active.strategies import uncertainty
from alutils.models import embeddings


def brute_force(scores, k):
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]


def some_probabilities(n, n_classes=5, dtype=np.float32):
    p = np.random.default_rng(0).dirichlet(np.ones(n_classes), n)
    p = np.round(p, 2)  # many scores are equal
    return (p / p.sum(axis=1, keepdims=True)).astype(dtype)


def first_column(rows):
    return rows[:, 0]


few_values = st.lists(st.sampled_from([0.0, 0.5, 1.0, -2.5, np.inf, -np.inf]), min_size=1)


@settings(deadline=None, max_examples=200)
@given(few_values, st.data())
def test_a_stream_gives_the_top_of_the_whole(values, data):
    k = data.draw(st.integers(1, len(values)))
    rows_at_once = data.draw(st.integers(1, len(values) + 2))
    pool = np.array(values)[:, None]
    found = partitions.streamed_top(pool, first_column, k, rows_at_once=rows_at_once)
    assert found.items.tolist() == brute_force(values, k)
    assert found.scores.tolist() == [values[i] for i in found.items]


@settings(deadline=None, max_examples=40)
@given(few_values, st.data())
def test_a_tree_of_partitions_gives_the_top_of_the_whole(values, data):
    k = data.draw(st.integers(1, len(values)))
    chunks, left = [], len(values)
    while left:
        chunks.append(data.draw(st.integers(1, left)))
        left -= chunks[-1]
    pool = da.from_array(np.array(values)[:, None], chunks=(tuple(chunks), 1))
    split = data.draw(st.integers(2, 4))
    scored = partitions.scores(pool, first_column)
    found = partitions.top_of(scored, k, split_every=split)
    assert found.items.tolist() == brute_force(values, k)


@pytest.mark.parametrize(
    "score", [uncertainty.margin, uncertainty.least_confident, uncertainty.entropy]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_by_partition_are_the_local_ones(score, dtype):
    p = some_probabilities(1000, dtype=dtype)
    pool = da.from_array(p, chunks=(137, 2))  # divided in classes, too
    assert (partitions.scores(pool, score).compute() == score(p)).all()
    found = partitions.top_of(partitions.scores(pool, score), 50)
    assert found.items.tolist() == brute_force(score(p), 50)
    streamed = partitions.streamed_top(p, score, 50, rows_at_once=99)
    assert streamed.items.tolist() == found.items.tolist()


def test_a_classifier_scores_a_stream():
    class Classifier:
        def predict_proba(self, x):
            return np.stack([x[:, 0], 1 - x[:, 0]], axis=1)

    x = np.random.default_rng(0).random((500, 3))
    classifier = Classifier()
    found = partitions.streamed_top(
        x, lambda rows: uncertainty.margin(classifier.predict_proba(rows)), 20, rows_at_once=64
    )
    whole = uncertainty.margin(classifier.predict_proba(x))
    assert found.items.tolist() == brute_force(whole, 20)


@pytest.mark.slow
def test_a_cluster_gives_the_local_answer():
    from distributed import Client, LocalCluster

    p = some_probabilities(2000)
    local = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1"}
    with (
        LocalCluster(**local, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        pool = da.from_array(p, chunks=(300, 5))
        found = partitions.top_of(partitions.scores(pool, uncertainty.margin), 100, client)
        with pytest.raises(ValueError, match="row 700 is NaN"):
            values = np.where(np.arange(2000) == 700, np.nan, 0.0)
            partitions.top_of(da.from_array(values, chunks=300), 1, client)
    assert found.items.tolist() == brute_force(uncertainty.margin(p), 100)


# Files


@pytest.mark.parametrize("mode", ["r", "r+", "c", "npy", "part", "turned"])
def test_every_kind_of_memory_map_is_read_right(tmp_path, mode):
    p = some_probabilities(700)
    expected = p
    if mode == "npy":
        np.save(tmp_path / "p.npy", p)
        rows = np.load(tmp_path / "p.npy", mmap_mode="r")
    else:
        (tmp_path / "p").write_bytes(b"12345678" + p.tobytes())
        kind = mode if mode in ("r", "r+", "c") else "r"
        rows = np.memmap(tmp_path / "p", np.float32, kind, offset=8, shape=p.shape)
    if mode in ("r+", "c"):
        rows[11] = [0.2, 0.2, 0.2, 0.2, 0.2]  # in memory first; with "c" only there
        expected = p.copy()
        expected[11] = 0.2
    if mode == "part":
        rows, expected = rows[100:], p[100:]
    if mode == "turned":
        rows, expected = rows[::-1], p[::-1]
    found = partitions.streamed_top(rows, uncertainty.margin, 30, rows_at_once=64)
    assert found.items.tolist() == brute_force(uncertainty.margin(expected), 30)


def test_a_memory_map_is_read_without_its_pages(tmp_path):
    """The map of a pool must not fill memory: its pages count for the process that touches them."""
    n = 200_000
    rows = np.memmap(tmp_path / "pool", np.float32, "w+", shape=(n, 64))
    rows[:] = 1 / 64
    rows.flush()
    del rows
    rows = np.memmap(tmp_path / "pool", np.float32, "r", shape=(n, 64))
    found = partitions.streamed_top(rows, uncertainty.margin, 3, rows_at_once=1 << 14)
    assert found.items.tolist() == [0, 1, 2]
    assert isinstance(rows.base, mmap.mmap)
    assert resident_kib(tmp_path / "pool") < n * 64 * 4 / 1024 / 10


def resident_kib(path):
    """Return how much of the maps of a file this process holds in memory."""
    try:
        lines = open("/proc/self/smaps").read().splitlines()  # noqa: PTH123, SIM115
    except FileNotFoundError:
        pytest.skip("only Linux tells what of a map is in memory (/proc/self/smaps)")
    total, inside = 0, False
    for line in lines:
        if "-" in line.split(" ")[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


# Features


@pytest.mark.slow
def test_features_by_partition_are_the_local_ones(tmp_path):
    from pools import random_weights

    weights = random_weights([4, 4, 6, 6, *9 * [8]])
    images = np.random.default_rng(0).integers(0, 256, (21, 28, 28), np.uint8)
    options = {"weights": weights, "backend": "keras", "precision": "float32"}
    local = embeddings.features(images, **options, cache=False, progress=False)
    for pool in (
        da.from_array(images, chunks=(8, 28, 14)),
        da.from_array(images[..., None], chunks=(21, 28, 28, 1)),
    ):
        found = partitions.features(pool, **options, cache=tmp_path / "cache")
        assert (found.shape, found.dtype) == (local.shape, np.float32)
        again = found.compute(scheduler="sync")
        np.testing.assert_allclose(again, local, rtol=1e-4, atol=1e-4)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 4  # three parts, and the whole


# Refused


def test_nan_is_refused_with_its_row():
    values = np.zeros((100, 1))
    values[[70, 90]] = np.nan
    with pytest.raises(ValueError, match=r"row 70 is NaN \(1 of 8"):
        partitions.streamed_top(values, first_column, 5, rows_at_once=8)
    pool = da.from_array(values, chunks=(8, 1))
    with pytest.raises(ValueError, match=r"row (70|90) is NaN"):
        partitions.top_of(partitions.scores(pool, first_column), 5)


def test_what_a_score_refuses_is_told_with_its_place():
    p = some_probabilities(100)
    p[55, 0] = np.nan
    where = r"rows 50 to 60 of the pool, counted from 50: probabilities: row 5 holds NaN"
    with pytest.raises(ValueError, match=where):
        partitions.streamed_top(p, uncertainty.margin, 5, rows_at_once=10)
    with pytest.raises(ValueError, match=where):
        partitions.scores(da.from_array(p, chunks=(10, 5)), uncertainty.margin).compute()


@pytest.mark.parametrize("k", [0, -1, 11, 1.5, True])
def test_a_k_that_cannot_be_is_refused(k):
    values = np.arange(10.0)
    for choose in (
        lambda: partitions.streamed_top(values[:, None], first_column, k),
        lambda: partitions.top_of(da.from_array(values, chunks=3), k),
    ):
        with pytest.raises(ValueError, match=r"batch=.*(ask for 1 to 10|expected a whole number)"):
            choose()


def test_other_wrong_arguments_are_refused():
    p = some_probabilities(10)
    with pytest.raises(ValueError, match="the pool is empty"):
        partitions.streamed_top(p[:0], uncertainty.margin, 1)
    with pytest.raises(ValueError, match="rows_at_once=0: expected 1 or more"):
        partitions.streamed_top(p, uncertainty.margin, 1, rows_at_once=0)
    with pytest.raises(ValueError, match=r"came with shape \(10, 5\); expected \(10,\)"):
        partitions.streamed_top(p, lambda rows: rows, 1)
    with pytest.raises(ValueError, match="split_every=1: expected 2 or more"):
        partitions.top_of(da.zeros(4, chunks=2), 1, split_every=1)
    unknown = da.from_array(p[:, 0], chunks=3)
    with pytest.raises(ValueError, match="partitions of known length"):
        partitions.top_of(unknown[unknown > 0], 1)
