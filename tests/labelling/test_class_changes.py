"""Classes renamed, merged, deleted, ordered, given keys, and all that taken back."""

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_helpers import auto_label, open_plan
from PIL import Image

from alutils.labelling.store import progress
from alutils.labelling.store.records import ConflictError, LabellingError, Model
from alutils.labelling.store.store import Store


def add(store, i):
    file = io.BytesIO()
    Image.fromarray(np.full((3, 3), i, np.uint8)).save(file, "PNG")
    data = file.getvalue()
    return store.pictures.add(data, hashlib.sha256(data).hexdigest(), f"{i}.png", 3, 3)


@pytest.fixture
def store(tmp_path):
    """Nine pictures; 1, 4, 7 are A, 2, 5 are B, 3, 6 are C by a model, 8 and 9 wait."""
    with Store.open(tmp_path, ["A", "B", "C"], seed=0, random_rate=0) as opened:
        for i in range(1, 10):
            add(opened, i)
        for item, label in ((1, "A"), (2, "B"), (4, "A"), (5, "B"), (7, "A")):
            opened.queue.label("ann", item, label)
        score(opened, {3: 2, 6: 2})
        assert auto_label(opened, 0.5) == 2
        yield opened


def score(store, predicted):
    """Let a model be sure of these pictures and unsure of the others."""
    ids = np.arange(1, 10)
    sure = np.array([0.9 if i in predicted else 0.2 for i in ids])
    classes = np.array([predicted.get(int(i), 0) for i in ids])
    store.models.set_scores(Model("m" * 64, ("A", "B", "C"), 3, "", ""), ids, classes, sure)


def labels(store):
    items = store.reader.page(limit=100, order="id").items
    return {i.id: (i.label, i.label_source) for i in items if i.label is not None}


def folders(store):
    return {
        (path.parent.name, int(path.stem.rsplit("-", 1)[1]))
        for path in store.files.classes.rglob("*.png")
    }


def follow(store):
    """Check that class folders follow the labels, and that nothing is left to mend."""
    names = {c.name: c.folder for c in store.classes.all()}
    assert folders(store) == {(names[label], item) for item, (label, _) in labels(store).items()}
    assert not store.reconcile()


def classes(store):
    return [(c.name, c.key) for c in store.classes.all()]


BEFORE = {
    1: ("A", "human"), 2: ("B", "human"), 3: ("C", "auto"), 4: ("A", "human"), 5: ("B", "human"),
    6: ("C", "auto"), 7: ("A", "human"),
}  # fmt: skip


def test_a_renamed_class_keeps_pictures_key_and_place(store):
    store.class_changes.rename("bob", "A", " Anna/x ")
    assert classes(store) == [("Anna/x", "a"), ("B", "b"), ("C", "c")]
    assert labels(store) == {i: ("Anna/x" if v == "A" else v, s) for i, (v, s) in BEFORE.items()}
    assert ("Anna_x", 1) in folders(store)
    follow(store)
    assert store.class_changes.undo("bob") == "Anna/x is A again."
    assert labels(store) == BEFORE
    follow(store)


def test_two_classes_can_exchange_their_names(store):
    for name, new in (("A", "x"), ("B", "A"), ("x", "B")):
        store.class_changes.rename("bob", name, new)
    assert labels(store)[1] == ("B", "human")
    assert labels(store)[2] == ("A", "human")
    follow(store)


@pytest.mark.parametrize("new", ["B", " ", "x" * 301, None])
def test_a_name_that_cannot_be_is_refused_and_nothing_changes(store, new):
    with pytest.raises(LabellingError):
        store.class_changes.rename("bob", "A", new)
    with pytest.raises(LabellingError, match="no such class"):
        store.class_changes.rename("bob", "Z", "Y")
    assert classes(store) == [("A", "a"), ("B", "b"), ("C", "c")]
    assert labels(store) == BEFORE


def test_merged_labels_stay_with_who_gave_them_and_come_back(store):
    assert store.class_changes.merge("bob", "A", "B") == 3
    assert store.class_changes.merge("bob", "C", "B") == 2
    assert classes(store) == [("B", "b")]
    assert labels(store) == {i: ("B", s) for i, (_, s) in BEFORE.items()}
    assert store.reader.progress().per_person == {"ann": 5}
    follow(store)
    assert store.class_changes.undo("ann") == "C is there again, with 2 labels."
    assert store.class_changes.undo("ann") == "A is there again, with 3 labels."
    assert store.class_changes.undo("ann") == ""
    assert labels(store) == BEFORE
    assert classes(store) == [("A", "a"), ("B", "b"), ("C", "c")]
    follow(store)


def test_a_merge_is_nobodys_labelling(store):
    before = store.reader.progress().per_minute, progress.people(store.database.connection)
    store.class_changes.merge("bob", "A", "B")
    assert (store.reader.progress().per_minute <= before[0]) and before[0] > 0
    assert progress.people(store.database.connection) == before[1]


def test_what_was_changed_since_a_merge_stays_when_it_is_taken_back(store):
    store.class_changes.merge("bob", "A", "B")
    store.queue.relabel("ann", [1], "C")
    store.grid.reject("ann", [4])
    store.class_changes.undo("bob")
    assert labels(store)[1] == ("C", "human")
    assert 4 not in labels(store)
    assert labels(store)[7] == ("A", "human")
    follow(store)


def test_undo_in_the_queue_takes_back_no_merge(store):
    store.class_changes.merge("ann", "A", "B")
    assert [item.id for item in store.queue.undo("ann")] == [5]  # the last label that still stands
    assert [item.id for item in store.queue.undo("ann")] == [2]
    assert store.queue.undo("ann") == []


def test_a_class_with_pictures_is_deleted_only_with_their_labels(store):
    with pytest.raises(ConflictError, match="3 pictures have it"):
        store.class_changes.delete("bob", "A")
    assert labels(store) == BEFORE
    assert store.class_changes.delete("bob", "A", take_back=True) == 3
    assert labels(store) == {i: v for i, v in BEFORE.items() if v[0] != "A"}
    assert {item.id for item in store.queue.hand_out("eve", 9)} == {1, 4, 7, 8, 9}
    follow(store)
    store.queue.label("eve", 4, "B")
    assert store.class_changes.undo("bob") == "A is there again, with 2 labels."
    assert labels(store) == BEFORE | {4: ("B", "human")}
    follow(store)


def test_a_deleted_class_that_is_added_again_has_its_number_and_no_picture(store):
    store.class_changes.delete("bob", "C", take_back=True)
    (again,) = store.classes.add(["C"])
    assert (again.number, again.key) == (2, "c")
    assert store.reader.progress().per_class["C"] == 0
    store.class_changes.undo("bob")
    assert labels(store) == BEFORE


def test_a_name_of_a_class_that_is_gone_is_free(store):
    store.class_changes.merge("bob", "A", "B")
    store.class_changes.rename("bob", "C", "A")
    assert labels(store)[3] == ("A", "auto")
    assert labels(store)[1] == ("B", "human")
    follow(store)
    store.class_changes.undo("bob")
    store.class_changes.undo("bob")
    assert labels(store) == BEFORE
    follow(store)


def test_a_class_comes_back_only_where_its_name_is_free(store):
    store.class_changes.merge("bob", "A", "B")
    store.class_changes.rename("bob", "C", "A")
    store.class_changes.undo("bob")  # C again
    store.class_changes.rename("bob", "B", "A")
    with store.database.transaction() as connection:  # pass over the renaming
        connection.execute("UPDATE class_events SET kind = 'add' WHERE kind = 'rename'")
    with pytest.raises(LabellingError, match="another of this name"):
        store.class_changes.undo("bob")


def test_classes_are_put_in_order_and_that_is_taken_back(store):
    store.class_changes.order("bob", ["C", "A", "B"])
    assert [c.name for c in store.classes.all()] == ["C", "A", "B"]
    assert list(store.reader.progress().per_class) == ["C", "A", "B"]
    assert labels(store) == BEFORE
    store.class_changes.undo("bob")
    assert [c.name for c in store.classes.all()] == ["A", "B", "C"]


@pytest.mark.parametrize(
    "names", [["A", "B"], ["A", "B", "B"], ["A", "B", "C", "D"], "ABC", [1, 2, 3]]
)
def test_an_order_of_other_classes_is_refused(store, names):
    with pytest.raises(LabellingError, match="each of the 3 classes once"):
        store.class_changes.order("bob", names)


def test_a_key_is_given_exchanged_and_taken_back(store):
    store.class_changes.key("bob", "A", "X")
    assert classes(store) == [("A", "x"), ("B", "b"), ("C", "c")]
    store.class_changes.key("bob", "B", "x")
    assert classes(store) == [("A", "b"), ("B", "x"), ("C", "c")]
    store.class_changes.key("bob", "C", None)
    assert classes(store) == [("A", "b"), ("B", "x"), ("C", None)]
    for _ in range(3):
        assert store.class_changes.undo("bob") == "The keys are as before."
    assert classes(store) == [("A", "a"), ("B", "b"), ("C", "c")]


@pytest.mark.parametrize("key", ["", "ab", "-", " ", "猫", 7, "Enter"])
def test_a_key_that_is_no_letter_or_digit_is_refused(store, key):
    with pytest.raises(LabellingError, match="one letter or digit"):
        store.class_changes.key("bob", "A", key)


def test_what_a_model_said_is_forgotten_with_the_class(store):
    store.class_changes.merge("bob", "B", "A")
    assert store.models.present() is None
    assert all(i.predicted is None for i in store.reader.page(limit=100).items)


def test_no_class_changes_while_an_attempt_to_finish_goes_on(store):
    store.class_changes.merge("bob", "B", "A")
    score(store, {})
    open_plan(store, [8, 9])
    for act in (
        lambda: store.class_changes.rename("bob", "A", "X"),
        lambda: store.class_changes.merge("bob", "A", "C"),
        lambda: store.class_changes.delete("bob", "C", take_back=True),
        lambda: store.class_changes.undo("bob"),
    ):
        with pytest.raises(ConflictError, match="attempt to finish"):
            act()
    store.class_changes.key("bob", "A", "z")  # changes no label


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("rename"), st.sampled_from("ABCDE"), st.sampled_from("ABCDE")),
        st.tuples(st.just("merge"), st.sampled_from("ABCDE"), st.sampled_from("ABCDE")),
        st.tuples(st.just("delete"), st.sampled_from("ABCDE")),
        st.tuples(st.just("add"), st.sampled_from("ABCDE")),
        st.tuples(st.just("key"), st.sampled_from("ABCDE"), st.sampled_from("abcde")),
        st.tuples(st.just("order"), st.randoms()),
    ),
    max_size=6,
)


def change(store, kind, *given):
    if kind == "add":
        store.classes.add(given)
    elif kind == "order":
        names = [c.name for c in store.classes.all()]
        given[0].shuffle(names)
        store.class_changes.order("bob", names)
    else:
        more = {"take_back": True} if kind == "delete" else {}
        getattr(store.class_changes, kind)("bob", *given, **more)


@settings(max_examples=40, deadline=None)
@given(CHANGES)
def test_any_changes_keep_the_project_whole_and_all_are_taken_back(tmp_path_factory, changes):
    with Store.open(tmp_path_factory.mktemp("any"), ["A", "B", "C"], seed=0) as store:
        for i in range(1, 7):
            store.queue.label("ann", add(store, i), "ABC"[i % 3])
        before, has_added = labels(store), False
        for one in changes:
            try:
                change(store, *one)
                has_added |= one[0] == "add"
            except LabellingError:
                pass  # no such class, or there is one of this name
            follow(store)
            assert sum(store.reader.progress().per_class.values()) == len(labels(store))
            keys = [c.key for c in store.classes.all() if c.key]
            assert len(set(keys)) == len(keys)
        try:
            while store.class_changes.undo("bob"):
                follow(store)
        except LabellingError:
            assert has_added  # a class that was added since has the name
        else:
            assert labels(store) == before
        follow(store)
