"""Merges, renamings, imports cut short at every point: before or after, never between."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from alutils.labelling.exchange.importing import Choices, from_bytes, undo
from alutils.labelling.store.store import Store


class Killed(BaseException):
    """The process ends here."""


class Count:
    """Ends at the n-th point of writing."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, name: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed(name)


def begin(folder):
    with Store.open(folder, ["A", "B", "C"], seed=0, random_rate=0) as store:
        for i in range(1, 7):
            file = io.BytesIO()
            Image.fromarray(np.full((3, 3), i, np.uint8)).save(file, "PNG")
            data = file.getvalue()
            store.pictures.add(data, hashlib.sha256(data).hexdigest(), f"{i}.png", 3, 3)
        for item, label in ((1, "A"), (2, "B"), (3, "A")):
            store.queue.label("ann", item, label)


def told(store):
    """Return what the project says: classes, answers."""
    items = store.reader.page(limit=100, order="id").items
    return (
        [(c.name, c.key) for c in store.classes.all()],
        [(i.label, i.label_source, i.rejected) for i in items],
    )


def bring(store):
    text = b"name,label,rejected\n4.png,new,\n5.png,A,\n1.png,B,\n6.png,,blurred\n"
    choices = Choices(add_classes=True, on_conflict="replace")
    from_bytes(store, text, "x.csv", choices).write()


ACTS = {
    "rename": [lambda s: s.class_changes.rename("bob", "A", "Anna")],
    "merge": [lambda s: s.class_changes.merge("bob", "A", "B")],
    "delete": [lambda s: s.class_changes.delete("bob", "A", take_back=True)],
    "order": [lambda s: s.class_changes.order("bob", ["C", "B", "A"])],
    "key": [lambda s: s.class_changes.key("bob", "A", "b")],
    "undo": [
        lambda s: s.class_changes.merge("bob", "A", "B"),
        lambda s: s.class_changes.undo("bob"),
    ],
    "reject": [lambda s: s.grid.reject("bob", [1, 2, 4], "bad picture")],
    "import": [bring],
    "import taken back": [bring, lambda s: undo(s, "bob")],
}


@pytest.mark.parametrize("name", ACTS)
def test_whatever_is_cut_short_is_done_or_not(tmp_path, name):
    *before, act = ACTS[name]
    for n in range(1, 100):
        folder = tmp_path / str(n)
        begin(folder)
        count = Count(0)
        store = Store.open(folder, step=count)
        for each in before:
            each(store)
        earlier = told(store)
        count.left = n
        try:
            act(store)
            is_done = True
        except Killed:
            is_done = False
        later = told(store)  # what is committed, whoever asks
        store.close()
        with Store.open(folder) as again:
            assert told(again) == later
            again.reconcile()
            assert not again.reconcile()
            folders = {c.name: c.folder for c in again.classes.all()}
            wanted = {
                (folders[item.label], item.id)
                for item in again.reader.page(limit=100).items
                if item.label
            }
            links = again.files.classes.rglob("*.png")
            assert {(p.parent.name, int(p.stem.split("-")[1])) for p in links} == wanted
            if later == earlier:  # it was not done: it can be now
                act(again)
                finished = told(again)
            else:
                finished = later
        if is_done:
            assert n > 2
            assert later == finished
            return
    pytest.fail("it did not end")
