"""What the page Progress says: of people, of classes, of what the model mixes up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_helpers import fill

from alutils.labelling.model.by_class import HeldOut, confusions, shares
from alutils.labelling.store.progress import LONGEST_PAUSE_S, pace, people, together
from alutils.labelling.store.store import Store


class Clock:
    """A clock that is set by hand."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    with Store.open(tmp_path / "p", ("A", "B", "C"), seed=0, clock=clock) as opened:
        fill(opened, 30)
        yield opened


def label(store, clock, person, n, seconds):
    for item in store.queue.hand_out(person, n):
        clock.now += seconds
        store.queue.label(person, item.id, "A")


def test_pauses_do_not_count_as_work():
    assert pace([0, 2, 4, 4 + LONGEST_PAUSE_S + 1, LONGEST_PAUSE_S + 7]).answers == 3
    assert pace([0, 2, 4]).per_minute == 30
    assert pace([]).per_minute == 0 == pace([7]).per_minute


def test_a_clock_that_was_set_back_takes_no_time_away():
    found = pace([100, 102, 50, 52])
    assert (found.answers, found.minutes) == (2, pytest.approx(4 / 60))


@given(st.lists(st.floats(0, 59.9), min_size=1, max_size=50))
def test_the_pace_of_steady_work_is_answers_through_time(gaps):
    found = pace(np.concatenate([[0], np.cumsum(gaps)]))
    assert found.answers == len(gaps)
    assert found.minutes == pytest.approx(sum(gaps) / 60, abs=1e-6)


def test_each_person_has_answers_skips_and_pace_of_their_own(store, clock):
    label(store, clock, "Ada", 6, 2)
    label(store, clock, "Bob", 3, 6)
    (item,) = store.queue.hand_out("Bob", 1)
    store.queue.skip("Bob", item.id)
    store.queue.undo("Ada")
    ada, bob = people(store.database.connection)
    assert (ada.name, ada.answers, ada.skipped, ada.undone) == ("Ada", 6, 0, 1)
    assert (bob.name, bob.answers, bob.skipped, bob.undone) == ("Bob", 3, 1, 0)
    assert ada.pace.per_minute == pytest.approx(30) and bob.pace.per_minute == pytest.approx(10)
    assert bob.share_skipped == 0.25 and ada.share_skipped == 0
    assert together([ada, bob]).per_minute == pytest.approx(7 / (22 / 60))


def test_pictures_labelled_in_one_go_make_nobody_fast(store, clock):
    label(store, clock, "Ada", 4, 3)
    clock.now += 3
    store.queue.relabel("Ada", list(range(10, 25)), "B")
    (ada,) = people(store.database.connection)
    assert ada.answers == 19 and ada.pace.per_minute == pytest.approx(20)


def test_nobody_has_done_anything_in_a_new_project(store):
    assert people(store.database.connection) == [] and together([]).per_minute == 0


def held_out(labels, says, sure, n_classes=3):
    p = np.full((len(labels), n_classes), 0.0)
    p[np.arange(len(labels)), says] = sure
    return HeldOut(np.arange(len(labels)) + 100, np.array(labels), p)


def test_classes_are_judged_each_by_itself():
    found = shares(held_out([0, 0, 0, 1, 1], [0, 0, 1, 1, 0], 0.9), range(3))
    assert [(s.right, s.judged) for s in found] == [(2, 3), (1, 2), (0, 0)]


def test_pairs_are_counted_both_ways_and_the_surest_mistakes_are_shown():
    sure = np.array([0.5, 0.9, 0.7, 0.8, 0.99, 0.6])
    found = confusions(held_out([0, 0, 1, 2, 1, 1], [1, 1, 0, 1, 1, 0], sure), examples=2)
    assert [(c.classes, c.n) for c in found] == [((0, 1), 4), ((1, 2), 1)]
    first, second = found[0].examples
    assert (first.item, first.label, first.predicted) == (101, 0, 1)
    assert (second.item, second.label, second.predicted) == (102, 1, 0)
    assert confusions(held_out([0, 1], [0, 1], 0.9)) == []


def test_where_nothing_was_learned_nothing_is_mixed_up():
    nothing = HeldOut(np.arange(2), np.array([0, 1]), np.zeros((2, 3)))
    assert confusions(nothing) == []
    assert [s.right for s in shares(nothing, range(3))] == [0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=60))
def test_no_mistake_is_lost_or_counted_twice(answers):
    labels, says = np.array(answers, int).reshape(-1, 2).T
    found = confusions(held_out(labels, says, 0.5, 5), most=99, examples=99)
    assert sum(c.n for c in found) == int((labels != says).sum())
    shown = [mistake.item for c in found for mistake in c.examples]
    assert len(shown) == len(set(shown)) == sum(c.n for c in found)
    assert sum(s.right for s in shares(held_out(labels, says, 0.5, 5), range(5))) == int(
        (labels == says).sum()
    )
