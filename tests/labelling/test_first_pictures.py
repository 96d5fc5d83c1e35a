"""Which pictures people are asked about first: typical ones, whatever a model says of them."""

import numpy as np
import pytest
from label_helpers import bare_pictures
from loop_helpers import Plain, brought, label, learning, project

from alutils.labelling.model import first_pictures
from alutils.labelling.model.first_pictures import TYPICAL, put_typical_first
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store.records import LabellingError, Model
from alutils.labelling.store.store import Store

CLASSES = ("A", "B", "C")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "project", CLASSES, seed=0, random_rate=0, twice=0) as opened:
        bare_pictures(opened, 300)
        yield opened


def in_groups(store, n_groups=TYPICAL, seed=0):
    """Return features in narrow groups far apart, by hash, and the group of each picture."""
    now = store.reader.snapshot()
    group = np.random.default_rng(seed).integers(n_groups, size=len(now["id"]))
    group[:n_groups] = np.arange(n_groups)
    noise = np.random.default_rng(seed + 1).normal(0, 0.01, (len(group), 4))
    x = np.random.default_rng(seed + 2).normal(0, 100, (n_groups, 4))[group] + noise
    place = {sha: i for i, sha in enumerate(now["sha256"].tolist())}
    by_id = dict(zip(now["id"].tolist(), group.tolist(), strict=True))
    return lambda hashes: x[[place[each] for each in hashes]].astype(np.float32), by_id


def put(store, features):
    return put_typical_first(store, store.reader.snapshot(), features)


def scored(store, margin=None):
    now = store.reader.snapshot()
    n = len(now["id"])
    confidence = np.linspace(0.4, 1, n)
    model = Model("m" * 64, CLASSES, 1, "", "")
    store.models.set_scores(model, now["id"], np.zeros(n, int), confidence, margin=margin)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_first_pictures_are_of_as_many_groups_as_there_are(store, seed):
    features, group = in_groups(store, seed=seed)
    assert put(store, features)
    first = store.queue.hand_out("ann", TYPICAL)
    # k-means may take two near groups for one.
    assert len({group[item.id] for item in first}) >= TYPICAL - 12


def test_groups_that_have_a_label_come_last(store):
    features, group = in_groups(store)
    for item in store.queue.hand_out("ann", 10):
        store.queue.label("ann", item.id, "A")
    known = {group[i] for i in store.reader.snapshot()["id"][store.reader.snapshot()["label"] >= 0]}
    put(store, features)
    first = [group[item.id] for item in store.queue.hand_out("ann", TYPICAL - 10)]
    assert len(set(first) & known) <= 3
    assert len(set(first)) > 30


def test_they_keep_their_place_whatever_models_say_and_forget(store):
    features, _ = in_groups(store)
    put(store, features)
    first = [item.id for item in store.queue.hand_out("ann", 20)]
    store.queue.release("ann")
    scored(store)
    assert [item.id for item in store.queue.hand_out("ann", 20)] == first
    store.queue.release("ann")
    store.models.clear_scores()
    assert [item.id for item in store.queue.hand_out("ann", 20)] == first


def test_after_them_the_least_margin_comes_first(store):
    features, _ = in_groups(store)
    put(store, features)
    n = len(store.reader.snapshot()["id"])
    margin = np.random.default_rng(5).random(n)
    scored(store, margin)
    of = dict(zip(store.reader.snapshot()["id"].tolist(), margin, strict=True))
    for item in store.queue.hand_out("ann", TYPICAL):
        store.queue.label("ann", item.id, "A")
    rest = [of[item.id] for item in store.queue.hand_out("ann", 100)]
    assert rest == sorted(rest)


def test_they_are_chosen_once_and_again_when_the_pictures_have_doubled(store):
    features, _ = in_groups(store)
    assert put(store, features)
    assert not put(store, features)
    bare_pictures(store, 299)
    features, _ = in_groups(store)
    assert not put(store, features)
    bare_pictures(store, 1)
    features, _ = in_groups(store)
    assert put(store, features)
    first = [item.id for item in store.queue.hand_out("ann", TYPICAL)]
    ranks = dict(store.database.connection.execute("SELECT id, rank FROM items WHERE rank < 0"))
    assert sorted(ranks) == sorted(first)


def test_that_they_were_chosen_is_known_after_a_restart(store):
    features, _ = in_groups(store)
    put(store, features)
    first = [item.id for item in store.queue.hand_out("ann", 20)]
    folder = store.folder
    store.close()
    with Store.open(folder) as again:
        assert not put(again, features)
        again.queue.release("ann")
        assert [item.id for item in again.queue.hand_out("ann", 20)] == first


def test_few_pictures_and_many_labels_have_no_first_ones(tmp_path):
    with Store.open(tmp_path / "few", CLASSES, seed=0, twice=0) as few:
        bare_pictures(few, TYPICAL)
        assert not put(few, in_groups(few, 5)[0])
    with Store.open(tmp_path / "many", CLASSES, seed=0, twice=0) as many:
        bare_pictures(many, 200)
        for item in many.queue.hand_out("ann", TYPICAL):
            many.queue.label("ann", item.id, "A")
        assert not put(many, in_groups(many)[0])


def test_of_many_pictures_a_random_part_is_looked_at(store, monkeypatch):
    monkeypatch.setattr(first_pictures, "AMONG", 80)
    features, _ = in_groups(store)
    asked = []
    put(store, lambda hashes: (asked.append(len(hashes)), features(hashes))[1])
    assert asked == [80]


def test_equal_pictures_are_no_trouble(store):
    assert put(store, lambda hashes: np.ones((len(hashes), 3), np.float32))
    assert len(store.queue.hand_out("ann", TYPICAL)) == TYPICAL


def first_ones(store):
    return dict(store.database.connection.execute("SELECT id, rank FROM items WHERE rank < 0"))


def test_the_tool_asks_for_typical_pictures_until_all_have_labels(tmp_path):
    store, truth = project(tmp_path / "here", n=120)
    with store:
        loop = LabellingLoop(store, learning(Plain(), typical=True))
        loop.work()
        typical = set(first_ones(store))
        assert len(typical) == TYPICAL
        answered = set()
        while len(answered) < TYPICAL:
            now = store.queue.hand_out("ann", 10)
            answered |= {item.id for item in now}
            label(store, truth, 10)
            loop.work()
        assert answered == typical
        assert store.models.present() is not None
        loop.stop()


def test_a_model_that_was_brought_knows_what_to_ask_from_the_start(tmp_path):
    store, _ = project(tmp_path / "here", n=120)
    with store:
        model = brought()
        loop = LabellingLoop(
            store, learning(Plain(), typical=True), "somewhere", load=lambda _: model
        )
        loop.work()
        assert first_ones(store) == {}
        loop.stop()


@pytest.mark.parametrize(
    ("margin", "says"),
    [
        (np.full(300, 1.5), "margins are no numbers from 0 to 1"),
        (np.full(300, np.nan), "margins are no numbers from 0 to 1"),
        (np.zeros(299), "299,\\) margins: expected one each"),
    ],
)
def test_margins_that_are_none_leave_the_queue_as_it_was(store, margin, says):
    scored(store)
    before = [item.id for item in store.queue.hand_out("ann", 20)]
    store.queue.release("ann")
    with pytest.raises(LabellingError, match=says):
        scored(store, margin)
    assert [item.id for item in store.queue.hand_out("ann", 20)] == before
