"""Who is asked a second time, whatever people are called and whoever leaves."""

import pytest
from finish_helpers import CLASSES, project

from alutils.labelling.exchange import tables
from alutils.labelling.finish.project import Finish
from alutils.labelling.model.doubtful import doubtful, people

ODD = ["Ann", "ann", "é", "o'x; --", "a: b; c", "import: x.csv", "=1+1", "人"]


@pytest.mark.parametrize("names", [ODD[:1], ODD[:2], ODD])
def test_every_second_question_is_answered_and_nobody_answers_twice(tmp_path, names):
    store, _, truth = project(tmp_path, n=40, n_before=1, twice=1)
    with store:
        for turn in range(400):
            person = names[turn % len(names)]
            items = store.queue.hand_out(person, 2)
            if not items and turn > 300:
                break
            for item in items:
                assert item.label is None
                store.queue.label(person, item.id, CLASSES[truth[item.id]])
        assert store.reader.progress().remaining == 0
        found = people(store)
        for item in truth:
            said = [e.person for e in store.reader.events(item)]
            assert len(set(said)) == len(said)
        assert (found.waiting == 0) or len(names) == 1
        if len(names) > 1:
            assert found.agreement.n >= 40 - len(names) * 2  # not those of before there were two
        assert doubtful(store, None) == []
        rows = list(tables.rows(store))
        assert len(rows) == 40


def test_who_leaves_holds_nothing_up(tmp_path):
    now = [1_000_000.0]
    store, _, truth = project(tmp_path, n=12, n_before=1, twice=1, clock=lambda: now[0])
    with store:
        (one,) = store.queue.hand_out("bob", 1)
        store.queue.label("bob", one.id, "A")
        for item in store.queue.hand_out("ann", 12):
            store.queue.label("ann", item.id, CLASSES[truth[item.id]])
        held = store.queue.hand_out("bob", 12)
        assert held
        assert not {i.id for i in store.queue.hand_out("cy", 12)} & {i.id for i in held}
        now[0] += 1000  # bob is gone
        assert {i.id for i in store.queue.hand_out("cy", 12)} >= {i.id for i in held}


def test_an_attempt_of_two_goes_on_where_one_leaves(tmp_path):
    now = [1_000_000.0]
    store, loop, truth = project(tmp_path, clock=lambda: now[0])
    with store:
        finish = Finish(store, loop)
        finish.plan(0.9, by_hand=10, person="ann")
        by_hand = store.plans.said(1)[1]
        audit = set(store.plans.items(1)[~by_hand].tolist())
        item = next(i for i in finish.next("ann", 100) if i.id in audit)
        finish.answer("ann", item.id, CLASSES[(truth[item.id] + 1) % 3])
        finish.next("bob", 100)  # bob is asked, and goes home
        now[0] += 1000
        while finish.state().phase == "asking":
            items = finish.next("ann", 5)
            assert items, "nothing is handed out, and nothing is decided"
            for each in items:
                if finish.state().phase == "asking":
                    finish.answer("ann", each.id, CLASSES[truth[each.id]])
        assert finish.state().phase in ("certified", "refused")
