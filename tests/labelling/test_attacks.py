"""Dishonest and unlucky projects: nothing around an attempt makes a certificate untrue."""

import secrets
import tempfile
from pathlib import Path

import pytest
from finish_helpers import CLASSES, FrozenLoop, add_pictures, answer_all, project

from alutils.labelling.exchange import tables
from alutils.labelling.finish import verify
from alutils.labelling.finish.project import Finish
from alutils.labelling.store.records import Filter


@pytest.fixture
def tmp_path():
    """Make a folder, in memory where that can be: thousands of syncs to a busy disk take long."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _the_same_draws(monkeypatch):
    monkeypatch.setattr(secrets, "token_hex", lambda n: f"{1:0{2 * n}x}")


@pytest.fixture
def begun(tmp_path):
    """Make a project whose model has 3 of 210 wrong, and an attempt at 90%."""
    store, loop, truth = project(tmp_path)
    finish = Finish(store, loop)
    finish.plan(0.9, by_hand=10, person="ann")
    yield store, finish, truth
    store.close()


def holds(store) -> bool:
    verdict = verify.verify(Finish(store).certificate(), store)
    assert verdict.holds, verdict
    return True


def kinds(store):
    """Return the pictures of the attempt by hand and for the audit, and what the model said."""
    said, by_hand, _ = store.plans.said(1)
    items = store.plans.items(1).tolist()
    predicted = dict(zip(items, said.predicted.tolist(), strict=True))
    return (
        [i for i, is_hand in zip(items, by_hand, strict=True) if is_hand],
        [i for i, is_hand in zip(items, by_hand, strict=True) if not is_hand],
        predicted,
    )


def has_labels(store, found) -> dict[str, int]:
    """Count labels by what the pictures of a certificate really have."""
    items = {i.sha256: i for i in store.reader.page(limit=1000).items}
    there = [items[row[0]] for name in ("waited", "before") for row in found[name]]
    return sum(item.label is not None for item in there)


def test_a_picture_of_the_attempt_that_is_rejected_in_the_grid_gets_no_label(begun):
    store, finish, truth = begun
    by_hand, _, _ = kinds(store)
    items = [i.id for i in finish.next("ann", 200)]
    hand = next(i for i in items if i in by_hand)
    finish.answer("ann", hand, CLASSES[truth[hand]])
    store.grid.reject("bob", [hand])
    assert store.plans.replay(store.plans.open()).now.tolist().count(-1) == 1
    answer_all(finish, truth)
    found = finish.certificate()
    assert found["counts"]["labels"] == has_labels(store, found) == 239
    assert holds(store)


def test_a_label_from_before_that_is_rejected_is_not_counted(begun):
    store, finish, truth = begun
    store.grid.reject("bob", store.plans.before(1).tolist()[:2])
    answer_all(finish, truth)
    found = finish.certificate()
    assert found["counts"]["labels"] == has_labels(store, found) == 238
    assert holds(store)


def test_undo_of_a_second_answer_leaves_the_first(begun):
    store, finish, _truth = begun
    _, audit, predicted = kinds(store)
    item = next(i.id for i in finish.next("ann", 200) if i.id in audit)
    finish.answer("ann", item, CLASSES[(predicted[item] + 1) % 3])
    store.queue.release("ann")
    assert item in [i.id for i in finish.next("bob", 200)]
    finish.answer("bob", item, CLASSES[predicted[item]])
    now = store.plans.replay(store.plans.open()).n_answered
    store.queue.undo("bob")
    assert store.plans.replay(store.plans.open()).n_answered == now


def test_taking_back_a_skip_from_before_is_a_hand_out_of_the_attempt(tmp_path):
    store, loop, truth = project(tmp_path)
    with store:
        (item,) = store.queue.hand_out("ann", 1)
        store.queue.skip("ann", item.id)
        finish = Finish(store, loop)
        finish.plan(0.9, by_hand=10, person="ann")
        back = store.queue.undo("ann")
        if back:
            assert back[0].predicted is None
            finish.answer("ann", item.id, CLASSES[truth[item.id]])
            finish.stop("ann")
            assert store.plans.next_attempt() == 2


def test_lost_files_never_widen_what_may_be_wrong(begun):
    store, finish, truth = begun
    while store.plans.look(store.plans.open()).decision == "go on":
        for item in finish.next("ann", 5):
            store.queue.label("ann", item.id, CLASSES[truth[item.id]])
    left = [i.id for i in store.reader.page(Filter(source="none"), limit=300).items]
    for item in left[:120]:
        store.files.picture(store.reader.item(item).sha256).unlink()
    finish.settle()
    state = finish.state()
    if state.phase == "certified":
        found = finish.certificate()
        may = found["allowed"] - sum(
            r[6] is not None and (r[6] != r[2] or r[7] != r[2])
            for r in found["waited"]
            if not r[1] and r[0] not in found["missing"]
        )
        assert may <= 0.1 * state.labels
    else:
        assert state.phase == "asking" and "missing" in state.text[0]


def test_lost_files_of_labels_from_before_hold_the_attempt_up(tmp_path):
    store, loop, truth = project(tmp_path, n=100, n_before=60, n_wrong=0)
    with store:
        finish = Finish(store, loop)
        finish.plan(0.9, by_hand=10, person="ann")
        for item in store.plans.before(1).tolist():
            store.files.picture(store.reader.item(item).sha256).unlink()
            for link in store.files.classes.rglob(f"*-{item}.png"):
                link.unlink()
        while finish.state().phase == "asking" and (items := finish.next("ann", 5)):
            for item in items:
                finish.answer("ann", item.id, CLASSES[truth[item.id]])
        state = finish.state()
        assert state.phase == "asking" and "missing" in state.text[0]
        add_pictures(store, range(100))  # they are brought again
        finish.settle()
        assert finish.state().phase == "certified" and holds(store)


def test_lost_files_are_no_pictures_of_the_audit(begun):
    store, finish, truth = begun
    while store.plans.look(store.plans.open()).decision == "go on":
        for item in finish.next("ann", 5):
            store.queue.label("ann", item.id, CLASSES[truth[item.id]])
    answered = store.plans.look(store.plans.open()).answered
    left = [i.id for i in store.reader.page(Filter(source="none"), limit=300).items]
    for item in left[:2]:
        store.files.picture(store.reader.item(item).sha256).unlink()
    finish.settle()
    found = finish.certificate()
    assert found["counts"]["audited"] + found["counts"]["by_hand"] == answered
    assert found["counts"]["labels"] == has_labels(store, found) == 238
    assert holds(store)


def test_a_later_second_answer_certifies_no_changed_label(begun):
    store, finish, truth = begun
    _, audit, predicted = kinds(store)
    (one,) = finish.next("bob", 1)  # two people: what ann contradicts waits for bob
    finish.answer("bob", one.id, CLASSES[truth[one.id]])
    item = next(i.id for i in finish.next("ann", 200) if i.id in audit)
    finish.answer("ann", item, CLASSES[(predicted[item] + 1) % 3])
    answer_all(finish, truth)
    assert finish.state().phase == "certified"
    auto = store.reader.page(Filter(source="auto"), limit=1).items[0]
    new = next(name for name in CLASSES if name != auto.label)
    store.queue.relabel("cy", [auto.id], new)
    later = add_pictures(store, range(2000, 2003))
    for each in store.queue.hand_out("bob", 10):
        store.queue.label("bob", each.id, "A")
    assert any(e.kind == "second" for e in store.reader.events(item))
    row = next(r for r in tables.rows(store) if r["id"] == auto.id)
    assert row["certificate"] is None and later
    assert holds(store)


def test_a_label_counts_in_one_certificate_only(begun):
    store, finish, truth = begun
    answer_all(finish, truth)
    assert finish.state().phase == "certified"
    new = add_pictures(store, range(1000, 1010))
    truth = truth | {i: 0 for i in new}
    again = Finish(store, FrozenLoop(store, truth, set(new), "worse"))
    again.plan(0.9, by_hand=0, person="ann")
    answer_all(again, truth)
    wrong = [i for i in new if store.reader.item(i).label not in (None, CLASSES[truth[i]])]
    assert len(wrong) <= 1


def test_an_attempt_that_needed_no_answer_spoils_no_later_certificate(tmp_path):
    store, loop, truth = project(tmp_path, n=60, n_before=50, n_wrong=0)
    with store:
        finish = Finish(store, loop)
        finish.plan(0.5, by_hand=0, person="ann")  # so many may be wrong that all ten may
        assert finish.state().phase == "certified" and finish.state().asked == 0
        truth |= dict.fromkeys(add_pictures(store, range(1000, 1060)), 1)
        finish = Finish(store, FrozenLoop(store, truth, set(), "better"))
        assert finish.plan(0.9, by_hand=5, person="ann").attempt == 1
        answer_all(finish, truth)
        assert finish.state().phase == "certified" and holds(store)


def test_what_a_merge_changes_after_the_certificate_is_told(begun):
    store, finish, truth = begun
    answer_all(finish, truth)
    n = store.class_changes.merge("bob", "C", "B")
    verdict = verify.verify(finish.certificate(), store)
    assert verdict.holds, verdict
    told = [line.text for line in verdict.lines if line.holds is None]
    assert sum(int(text.split()[0]) for text in told if "changed since" in text) == n
