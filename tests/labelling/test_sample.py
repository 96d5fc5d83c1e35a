"""The queue's random picks: a random sample of all pictures, whatever else is labelled."""

from itertools import pairwise

import numpy as np
import pytest
from label_helpers import bare_pictures

from alutils.labelling.store.records import Filter, LabellingError, Model
from alutils.labelling.store.store import Store

CLASSES = ("A", "B")


def scored(store, ids, confidence):
    model = Model("m" * 64, CLASSES, 1, "", "")
    store.models.set_scores(model, np.array(ids), np.zeros(len(ids), int), np.array(confidence))


def in_random_order(store):
    query = "SELECT id FROM items ORDER BY shuffle, id"
    return [row[0] for row in store.database.connection.execute(query)]


def answer(store, n, label="A", person="ann"):
    for item in store.queue.hand_out(person, n):
        store.queue.label(person, item.id, label)


@pytest.fixture
def project(tmp_path):
    with Store.open(tmp_path, CLASSES, seed=0, random_rate=0.3) as store:
        store.ids = bare_pictures(store, 400)
        yield store


def test_the_sample_is_the_beginning_of_the_random_order_and_nothing_else(project):
    answer(project, 30)
    scored(project, project.ids, np.random.default_rng(1).random(400))
    for _ in range(12):
        answer(project, 10)
    found = project.sample.labelled().tolist()
    assert found == in_random_order(project)[: len(found)]
    # Thirty before the first scores, then three in ten.
    assert 30 + 15 < len(found) < 30 + 60
    assert project.reader.progress().human - len(found) > 40


def test_what_a_models_doubt_has_picked_is_told_from_the_rest(project):
    store, ids = project, project.ids
    answer(store, 20)  # nobody knows anything yet
    before = {item.id for item, _ in store.reader.labelled()}
    scored(store, ids, np.linspace(0.5, 1, 400))
    waiting = [i for i in ids if i not in before]
    store.models.put_first(np.array(waiting[-10:]), {})
    answer(store, 30)  # ten typical ones, then those of which the model is unsure
    typical = set(waiting[-10:])
    assert typical <= {item.id for item, _ in store.reader.labelled()}
    found = set(store.sample.not_by_doubt().tolist())
    assert found == before | typical | set(store.sample.labelled().tolist())
    picked = {item.id for item, _ in store.reader.labelled()} - found
    assert len(picked) > 5
    # A label that is corrected later stays what it was; typical pictures that are chosen anew do.
    one = min(picked)
    store.queue.relabel("bob", [one], "B")
    store.models.put_first(np.array(waiting[50:60]), {})
    assert set(store.sample.not_by_doubt().tolist()) == found

    from alutils.labelling.exchange.importing import Choices, from_bytes

    sha256 = store.reader.item(waiting[100]).sha256
    from_bytes(store, f"sha256,label\n{sha256},A\n".encode(), "x.csv", Choices()).write()
    assert set(store.sample.not_by_doubt().tolist()) == found | {waiting[100]}


def test_how_far_the_walk_comes_does_not_depend_on_what_is_labelled(tmp_path):
    places = set()
    for k, label in enumerate(("A", "B")):
        with Store.open(tmp_path / str(k), CLASSES, seed=3, random_rate=0.5) as store:
            ids = bare_pictures(store, 200)
            scored(store, ids, np.linspace(0, 1, 200)[:: 1 if k else -1])
            for _ in range(6):
                answer(store, 10, label)
            places.add(store.sample.place())
    assert len(places) == 1


def test_the_sample_gives_the_accuracy_on_all_pictures_where_the_labelled_are_the_hard_ones(
    tmp_path,
):
    estimates, labelled = [], []
    for seed in range(12):
        with Store.open(tmp_path / str(seed), CLASSES, seed=seed, random_rate=0.3) as store:
            ids = bare_pictures(store, 300)
            confidence = np.random.default_rng(seed).permutation(np.linspace(0, 1, 300))
            right = dict(zip(ids, confidence > 0.25, strict=True))  # 75% of all
            scored(store, ids, confidence)
            for _ in range(10):
                answer(store, 10)
            estimates.append(np.mean([right[i] for i in store.sample.labelled().tolist()]))
            people = store.reader.page(Filter(source="human"), limit=300).items
            labelled.append(np.mean([right[item.id] for item in people]))
    assert np.mean(labelled) < 0.5
    assert abs(np.mean(estimates) - 0.75) < 3 * np.std(estimates) / 12**0.5 + 0.01


def test_pictures_that_come_later_take_their_places_and_are_asked_about_next(project):
    answer(project, 60)
    before = len(project.sample.labelled())
    place = project.sample.place()
    bare_pictures(project, 400)
    assert len(project.sample.labelled()) < before
    for _ in range(12):
        answer(project, 10)
    found = project.sample.labelled().tolist()
    assert found == in_random_order(project)[: len(found)]
    assert project.sample.place() >= place
    assert len(found) > before


def test_what_is_held_or_given_back_stops_the_sample_and_what_is_skipped_does_not(project):
    first = [item.id for item in project.queue.hand_out("ann", 20)]
    assert project.sample.labelled().tolist() == []
    for item in first[1:]:
        project.queue.label("ann", item, "A")
    assert project.sample.labelled().tolist() == []
    project.queue.skip("ann", first[0])
    assert project.sample.labelled().tolist() == first[1:]
    project.queue.undo("ann")
    assert project.sample.labelled().tolist() == []
    project.queue.label("ann", first[0], "B")
    assert project.sample.labelled().tolist() == first


def test_a_filtered_queue_picks_nothing_at_random(project):
    scored(project, project.ids, np.random.default_rng(1).random(400))
    handed = project.queue.hand_out("ann", 50, Filter(high=1.0))
    confidence = [item.confidence for item in handed]
    assert all(a <= b for a, b in pairwise(confidence))
    assert project.sample.place() == 0


def test_two_people_never_get_the_same_random_pick(project):
    scored(project, project.ids, np.random.default_rng(1).random(400))
    handed = [
        item.id for k in range(40) for item in project.queue.hand_out(f"p{k % 4}", 4 * (k // 4 + 1))
    ]
    held = {
        person: {i.id for i in project.queue.hand_out(person, 40)} for person in ("p0", "p1", "p2")
    }
    assert len(set.union(*held.values())) == sum(map(len, held.values()))
    assert len(set(handed)) == 160


def test_the_rate_is_kept_with_the_project_and_a_wrong_one_is_refused(tmp_path):
    with pytest.raises(LabellingError, match=r"random_rate=1\.5: expected 0 to 1"):
        Store.open(tmp_path, CLASSES, random_rate=1.5)
    with Store.open(tmp_path, CLASSES, random_rate=0.25):
        pass
    with Store.open(tmp_path) as again:
        assert again.sample.rate() == 0.25


def test_a_project_from_before_there_were_random_picks_opens_and_gets_them(tmp_path):
    with Store.open(tmp_path, CLASSES, seed=0) as store:
        bare_pictures(store, 50)
        with store.database.transaction() as connection:
            connection.execute("DELETE FROM meta WHERE name LIKE 'random%'")
    with Store.open(tmp_path) as store:
        answer(store, 20)
        assert len(store.sample.labelled()) == 20
