"""Pictures that two people answer: who gets them, what it leaves unchanged, what undo does."""

import sqlite3
from collections import Counter

import numpy as np
import pytest
from label_helpers import bare_pictures, scores

from alutils.labelling.store.records import ConflictError, Filter, LabellingError
from alutils.labelling.store.seconds import BETWEEN
from alutils.labelling.store.store import Store


class Clock:
    """Seconds that pass when they are told to."""

    now = 1_000_000.0

    def __call__(self):
        self.now += 0.001
        return self.now


@pytest.fixture
def store(tmp_path):
    with Store.open(
        tmp_path, ["A", "B", "C"], twice=1, random_rate=0, seed=0, clock=Clock()
    ) as opened:
        bare_pictures(opened, 40)
        yield opened


def answer(store, person, n, label="A"):
    """Let a person label the next n pictures; return their numbers."""
    done = []
    for _ in range(n):
        (item,) = store.queue.hand_out(person)
        store.queue.label(person, item.id, label)
        done.append(item.id)
    return done


def others(store, person, label="A"):
    """Let a person label all that nobody has labelled, without the queue."""
    for item in store.reader.page(Filter(source="none"), limit=100).items:
        store.queue.label(person, item.id, label)


def kinds(store, item):
    return [(e.kind, e.person, e.label) for e in store.reader.events(item)]


def test_a_second_answer_is_kept_and_changes_no_label(store):
    first = answer(store, "ann", 40)
    second = answer(store, "bob", 40, "B")
    assert sorted(first) == sorted(second)
    assert store.queue.hand_out("bob") == [] and store.queue.hand_out("ann") == []
    for item in first:
        assert kinds(store, item) == [("label", "ann", "A"), ("second", "bob", "B")]
        assert store.reader.item(item).label == "A"
    assert store.reader.progress().per_person == {"ann": 40}


def test_where_two_disagree_a_third_is_asked_once(store):
    answer(store, "ann", 40)
    answer(store, "bob", 10, "A")
    disputed = answer(store, "bob", 30, "B")
    third = answer(store, "cy", 30, "B")
    assert sorted(third) == sorted(disputed)
    assert [store.queue.hand_out(p, 5) for p in ("ann", "bob", "cy", "dan")] == [[], [], [], []]


def test_nobody_can_tell_a_first_question_from_a_second(store):
    scores(store, 0.9)
    first = answer(store, "ann", 20)
    shown, second = [], []
    for _ in range(40):  # bob's first answer comes before anybody knows of two people
        (item,) = store.queue.hand_out("bob")
        shown.append(item)
        second.append(item.id in first)
        store.queue.label("bob", item.id, "A")
    assert 0 < sum(second[:30]) < 30, "mixed into the queue"
    told = {(i.label, i.label_source, i.predicted, i.confidence, i.hidden, i.rejected, i.skipped,
             i.person) for i in shown}  # fmt: skip
    assert told == {(None, None, None, None, True, False, 0, "bob")}


def test_alone_nothing_is_hidden_and_nothing_comes_back(store):
    scores(store, 0.9)
    shown = store.queue.hand_out("ann", 40)
    assert {(i.predicted, i.hidden) for i in shown} == {("C", False)}
    answer(store, "ann", 40)
    assert store.queue.hand_out("ann") == []


@pytest.mark.parametrize("share", [0, 0.05, 0.3, 1])
def test_the_share_is_drawn_at_random_and_kept(tmp_path, share):
    with Store.open(tmp_path, ["A"], twice=share, seed=0) as store:
        bare_pictures(store, 1500)
        first = [i.id for i in store.queue.hand_out("ann", 1500)]
        for item in first:
            store.queue.label("ann", item, "A")
        second = store.queue.hand_out("bob", 1500)
        expected = 1500 * share
        assert abs(len(second) - expected) <= 4 * np.sqrt(expected * (1 - share)) + 1e-9
    with Store.open(tmp_path) as store:
        assert store.seconds.share() == share


def test_a_wrong_share_is_refused(tmp_path):
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(LabellingError, match="twice"):
            Store.open(tmp_path, twice=share)


def test_what_is_held_comes_again_in_its_order_after_a_reload(store):
    answer(store, "ann", 20)
    answer(store, "bob", 1)
    shown = [i.id for i in store.queue.hand_out("bob", 12)]
    assert [i.id for i in store.queue.hand_out("bob", 12)] == shown
    assert set(shown) & {i.id for i in store.queue.hand_out("cy", 40)} == set()
    store.queue.label("bob", shown[0], "A")
    assert [i.id for i in store.queue.hand_out("bob", 11)] == shown[1:]
    held = [i for i in shown[1:] if store.reader.item(i).label]
    assert held, "some of them are second questions"
    assert store.queue.release("bob") == 11
    store.queue.release("cy")
    assert set(held) & {i.id for i in store.queue.hand_out("dan", 40)}


def test_a_lease_that_ends_gives_the_question_to_another(store):
    answer(store, "ann", 40)
    (item,) = store.queue.hand_out("bob")
    assert item.id not in {i.id for i in store.queue.hand_out("cy", 40)}
    store.queue.release("cy")
    store.database.clock.now += 601
    assert item.id in {i.id for i in store.queue.hand_out("cy", 40)}
    with pytest.raises(ConflictError, match="has label"):
        store.queue.label("bob", item.id, "B")


def test_skipping_a_second_question_leaves_it_to_others(store):
    answer(store, "ann", 1)
    others(store, "bob")
    (skipped,) = store.queue.hand_out("bob", 40)
    event = store.queue.skip("bob", skipped.id)
    assert (event.kind, event.label) == ("skip", None)
    assert skipped.id not in {i.id for i in store.queue.hand_out("bob", 40)}
    (back,) = store.queue.undo("bob")
    assert back.id == skipped.id and back.label is None
    store.queue.skip("bob", skipped.id)
    store.queue.release("bob")
    assert skipped.id in {i.id for i in store.queue.hand_out("cy", 40)}


def test_undo_takes_a_second_answer_back_and_asks_again(store):
    (first,) = answer(store, "ann", 1)
    others(store, "bob")
    (item,) = store.queue.hand_out("bob")
    assert item.id == first
    store.queue.label("bob", first, "B")
    (back,) = store.queue.undo("bob")
    assert (back.id, back.label, back.hidden) == (first, None, True)
    assert store.queue.hand_out("bob")[0].id == first, "it comes first"
    assert first not in {i.id for i in store.queue.hand_out("cy", 40)}, "no third is asked"
    store.queue.label("bob", first, "A")
    assert kinds(store, first)[1:] == [
        ("second", "bob", "B"), ("undo", "bob", "A"), ("second", "bob", "A"),
    ]  # fmt: skip
    assert store.reader.item(first).label == "A"


def test_nobody_is_asked_about_an_answer_that_was_taken_back(store):
    (item,) = answer(store, "ann", 1)
    store.queue.undo("ann")
    store.queue.label("ann", item, "B")
    others(store, "bob")
    assert [i.id for i in store.queue.hand_out("bob", 5)] == [item]
    with store.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM seconds").fetchone()[0] == 40


def test_a_label_that_was_taken_back_with_its_class_is_asked_of_two_people_anew(store):
    (item,) = answer(store, "ann", 1, "C")
    store.class_changes.delete("ann", "C", take_back=True)
    store.queue.label("ann", item, "A")
    with store.database.reading() as connection:
        rows = connection.execute("SELECT first FROM seconds WHERE item = ?", (item,)).fetchall()
    assert [row[0] for row in rows] == [store.reader.events(item)[-1].id]


def test_a_picture_that_the_second_cannot_name_is_an_answer_of_its_own(store):
    (item,) = answer(store, "ann", 1)
    others(store, "bob")
    store.queue.hand_out("bob")
    event = store.queue.reject("bob", item, "blurred")
    assert (event.kind, event.label, event.why) == ("second", None, "blurred")
    assert store.reader.item(item).label == "A" and not store.reader.item(item).rejected
    (back,) = store.queue.undo("bob")
    assert back.id == item


def test_a_contradicting_answer_comes_back_to_who_is_alone_but_not_at_once(store):
    (item,) = answer(store, "ann", 1)
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM seconds")
        assert store.seconds.ask(connection, item, "audit")
        assert not store.seconds.ask(connection, item, "audit")
    between = answer(store, "ann", 1)
    while between[-1] != item:
        between += answer(store, "ann", 1)
    assert len(between) > BETWEEN
    assert kinds(store, item) == [("label", "ann", "A"), ("second", "ann", "A")]
    assert item not in answer(store, "ann", 40 - len(between))
    assert store.queue.hand_out("ann") == []


def test_with_another_there_it_goes_to_the_other(store):
    (item,) = answer(store, "ann", 1)
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM seconds")
        store.seconds.ask(connection, item, "audit")
    answer(store, "bob", 1)
    assert item not in answer(store, "ann", 30)
    assert item in answer(store, "bob", 9)


def test_a_request_that_is_sent_again_is_answered_once(store):
    (item,) = answer(store, "ann", 1)
    others(store, "bob")
    store.queue.hand_out("bob")
    one = store.queue.label("bob", item, "B", "key")
    assert store.queue.label("bob", item, "B", "key") == one
    assert Counter(e.kind for e in store.reader.events(item)) == {"label": 1, "second": 1}


def test_a_crash_between_two_writes_leaves_all_or_nothing(tmp_path):
    for stop_at in ("event written", "second answered", "second asked", "before commit"):
        armed = set()

        def step(name, armed=armed):
            if name in armed:
                raise KeyboardInterrupt

        with Store.open(tmp_path / stop_at, ["A", "B"], twice=1, seed=0, step=step) as store:
            bare_pictures(store, 2)
            answer(store, "ann", 2)
            (item,) = store.queue.hand_out("bob")
            armed.add(stop_at)
            with pytest.raises(KeyboardInterrupt):
                store.queue.label("bob", item.id, "B")
            armed.clear()
            assert len(store.reader.events(item.id)) == 1
            store.queue.label("bob", item.id, "B")
            assert len(store.reader.events(item.id)) == 2
            with sqlite3.connect(store.database.path) as connection:
                found = connection.execute("SELECT why, event IS NULL FROM seconds ORDER BY id")
                assert sorted(found.fetchall()) == [("doubt", 1), ("share", 0), ("share", 1)]
