"""Whole projects by chance: people do anything at any time, and each certificate is still true.

What a certificate says is held against what the driver saw itself: what was handed out, what was
answered first, what the pictures have at the moment of the decision. Nothing that the desk says of
a picture that waits in an attempt names its prediction.
"""

import secrets
import tempfile
from pathlib import Path

import numpy as np
import pytest
from finish_helpers import CLASSES, FrozenLoop, add_pictures, project

from alutils.labelling.exchange import importing
from alutils.labelling.exchange.reading import Contents, Said
from alutils.labelling.finish import verify
from alutils.labelling.model.desk import Desk
from alutils.labelling.store.records import Filter, LabellingError

PEOPLE = ("ann", "bob", "cy")


class Project:
    """A project that a driver does things to at random, and what the driver knows of it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        people = int(self.rng.integers(1, 4))
        self.people = PEOPLE[:people]
        n_wrong = int(self.rng.choice([0, 2, 6, 30]))
        twice = float(self.rng.choice([0, 0.3]))
        self.store, loop, self.truth = project(
            folder, n=90, n_before=15, n_wrong=n_wrong, seed=seed, twice=twice
        )
        self.n_wrong, self.n_added, self.key = n_wrong, 0, 0
        self.begun: list[bool] = []  # of each attempt: whether a picture was handed out
        self.first: dict[int, int] = {}  # of the attempt that goes on
        self.n_certified = 0
        self._serve(loop)

    def _serve(self, loop: FrozenLoop) -> None:
        self.desk = Desk(self.store, loop)
        self.desk.loop = self.desk.people.loop = None  # no status, no doubts of this model

    def ask(self, action: str, person: str, first: tuple[int, int] | None = None, **request):
        """Ask the desk; None where it refuses. ``first`` is the answer to a picture, if any."""
        waits = self.waits()
        if action in ("label", "skip", "reject", "undo", "relabel", "settle"):
            self.key += 1
            request["key"] = str(self.key)
        try:
            answer = self.desk.answer(action, person, request)
        except LabellingError:
            self.look()
            return None
        if first is not None:
            self.first.setdefault(*first)
        self.look()
        self.check_hidden(answer, waits & self.waits())
        return answer

    def waits(self) -> set[int]:
        plan = self.store.plans.open()
        if plan is None:
            return set()
        items = self.store.plans.items(plan.number).tolist()
        free = {i.id for i in self.store.reader.page(Filter(source="none"), limit=500).items}
        return free & set(items)

    def check_hidden(self, answer, waits: set[int]) -> None:
        if isinstance(answer, dict):
            number = answer.get("item") if "kind" in answer else answer.get("id")
            if isinstance(number, int) and number in waits and "predicted" in answer:
                assert answer["predicted"] is None and answer["confidence"] is None, answer
            for part in answer.values():
                self.check_hidden(part, waits)
        elif isinstance(answer, list):
            for part in answer:
                self.check_hidden(part, waits)

    # --- what people do ---------------------------------------------------------------------------

    def step(self) -> None:
        acts = {
            self.answer: 60, self.undo: 8, self.mend: 4, self.reject_in_grid: 3, self.lose: 1,
            self.stop: 0.4, self.plan: 6, self.add: 1, self.revoke: 1, self.change_classes: 1,
            self.bring: 1, self.leave: 3, self.peek: 4,
        }  # fmt: skip
        chances = np.array(list(acts.values()), float)
        list(acts)[self.rng.choice(len(acts), p=chances / chances.sum())]()

    def person(self) -> str:
        return str(self.rng.choice(self.people))

    def any_of(self, n: int = 1) -> list[int]:
        return self.rng.choice(sorted(self.truth), n, replace=False).tolist()

    def answer(self) -> None:
        person = self.person()
        plan = self.store.plans.open()
        items = self.ask("next", person, n=int(self.rng.integers(1, 6)))["items"]
        if plan is not None and any(i["id"] in self.waits() for i in items):
            self.begun[-1] = True
        free = {i.id for i in self.store.reader.page(Filter(source="none"), limit=500).items}
        for item in items:
            number = item["id"]
            is_asked_again = number not in free
            chance = self.rng.random()
            if chance < 0.06:
                self.ask("skip", person, item=number)
            elif chance < 0.09:
                first = None if is_asked_again else (number, -1)
                self.ask("reject", person, first, item=number)
            else:
                told = self.truth[number] if chance < 0.97 else int(self.rng.integers(3))
                label = self.label(told)
                first = None if is_asked_again else (number, CLASSES.index(label))
                self.ask("label", person, first, item=number, label=label)

    def label(self, number: int) -> str:
        present = [c.name for c in self.store.classes.all()]
        return CLASSES[number] if CLASSES[number] in present else present[0]

    def undo(self) -> None:
        self.ask("undo", self.person())

    def mend(self) -> None:
        items = self.any_of(2)
        self.ask("relabel", self.person(), items=items, label=self.label(self.truth[items[0]]))
        self.ask("settle", self.person(), item=items[0], label=self.label(self.truth[items[0]]))

    def reject_in_grid(self) -> None:
        self.ask("reject_these", self.person(), items=self.any_of(2))

    def lose(self) -> None:
        (item,) = self.any_of()
        for file in (
            self.store.files.picture(self.store.reader.item(item).sha256),
            *self.store.files.classes.rglob(f"*-{item}.png"),
        ):
            file.unlink(missing_ok=True)

    def stop(self) -> None:
        self.ask("finish_stop", self.person())

    def plan(self) -> None:
        if self.store.plans.open() is not None:
            return
        wait = [i.id for i in self.store.reader.page(Filter(source="none"), limit=500).items]
        wrong = set(self.rng.permutation(wait)[: self.n_wrong].tolist())
        if {c.name for c in self.store.classes.all()} != set(CLASSES):
            return
        self._serve(FrozenLoop(self.store, self.truth, wrong, f"m{self.key}"))
        target = float(self.rng.choice([0.6, 0.8, 0.9]))
        by_hand = int(self.rng.choice([0, 5, 20, 500]))
        self.first = {}
        if self.ask("finish_plan", self.person(), target=target, by_hand=by_hand):
            self.begun.append(False)

    def add(self) -> None:
        self.n_added += 3
        for item in add_pictures(self.store, range(5000 + self.n_added, 5003 + self.n_added)):
            self.truth[item] = int(self.rng.integers(3))

    def revoke(self) -> None:
        auto = [i.id for i in self.store.reader.page(Filter(source="auto"), limit=500).items]
        if auto:
            self.ask("revoke", self.person(), items=auto[:2] if self.rng.random() < 0.7 else auto)

    def change_classes(self) -> None:
        if self.rng.random() < 0.5:
            self.ask("class_merge", self.person(), name="C", into="B")
        else:
            self.ask("class_delete", self.person(), name="A", take_back=True)
        self.ask("class_undo", self.person())

    def bring(self) -> None:
        said = []
        for item in self.any_of(5):
            found = self.store.reader.item(item)
            said.append(Said(1, found.name, found.sha256, self.label(self.truth[item])))
        coming = importing.Import(
            self.store, Contents(said), "file.csv", importing.Choices(on_conflict="keep")
        )
        try:
            coming.write()
            if self.rng.random() < 0.5:
                importing.undo(self.store, "ann")
        except LabellingError:
            pass
        self.look()

    def leave(self) -> None:
        self.ask("release", self.person())

    def peek(self) -> None:
        (item,) = self.any_of()
        self.ask("history", self.person(), item=item)
        for where in ({"source": "none"}, {"low": 0.0}, {"predicted": "A"}, None):
            for order in ("confidence", "-id"):
                self.ask("page", self.person(), where=where, order=order, limit=200)
        self.ask("doubtful", self.person(), limit=500)
        self.ask("status", self.person())

    # --- what must be true ------------------------------------------------------------------------

    def look(self) -> None:
        """Check a certificate at once after it was given."""
        self.desk.finish.state()
        plans = self.store.plans.all()
        counting = [plan for plan in plans if plan.begun is not None]
        assert [p.attempt for p in counting] == list(range(1, len(counting) + 1))
        certified = [plan for plan in plans if plan.state == "certified"]
        if len(certified) == self.n_certified:
            return
        self.n_certified = len(certified)
        found = self.desk.finish.certificate()
        verdict = verify.verify(found, self.store)
        assert verdict.holds, verdict
        items = {i.sha256: i for i in self.store.reader.page(limit=500).items}
        numbers = {c.name: c.number for c in self.store.classes.ever()}
        n_labels = 0
        for row in found["waited"]:
            item, first, label, source = items[row[0]], *row[6:]
            if row[0] in found["missing"]:
                assert source != "model" and label in (None, -1)
                continue
            assert self.first.get(item.id) == first, (row, item)
            present = None if item.label is None else numbers[item.label]
            assert present == (None if label == -1 else label)
            kind = {"human": "human", "model": "auto", None: None}[source]
            assert item.label_source == kind
            n_labels += present is not None
        for sha256, label in found["before"]:
            item = items[sha256]
            assert (None if item.label is None else numbers[item.label]) == label
            n_labels += item.label_source == "human" and sha256 not in found["missing"]
        assert found["counts"]["labels"] == n_labels
        # Nobody is asked again, and no label counts in two certificates that stand.
        both = [{row[0] for row in found[name]} for name in ("waited", "before")]
        assert not both[0] & both[1]

    def end(self) -> None:
        plans = self.store.plans.all()
        assert [p.begun is not None for p in plans] == self.begun
        for plan in plans:
            answered = self.store.database.connection.execute(
                "SELECT 1 FROM events WHERE plan = ? AND kind <> 'auto'", (plan.number,)
            ).fetchone()
            assert plan.begun is not None or answered is None
        if self.n_certified:
            verdict = verify.verify(self.desk.finish.certificate(), self.store)
            bad = [line.text for line in verdict.lines if line.holds is False]
            assert all("picture files" in text for text in bad), bad
        self.store.close()


def drive(folder: Path, seed: int, n_steps: int) -> Project:
    found = Project(folder, seed)
    for _ in range(n_steps):
        found.step()
    found.end()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_whatever_people_do_each_certificate_is_true(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(secrets, "token_hex", lambda n: rng.bytes(n).hex())  # of the draws
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        drive(Path(folder), seed, 80)
