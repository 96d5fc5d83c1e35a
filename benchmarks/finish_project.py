"""One whole project, really: from the first picture through the queue, the forecast and the audit.

`benchmarks.finish` replays recorded runs, many audits each. This is one of them without any
shortcut: a scripted person answers what the tool hands out until everything has a label, and what
it took is counted in the project's own events.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from alutils.labelling.finish.project import Finish
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.store import Store
from benchmarks.finish_runs import AT_ONCE, Run, pictures
from benchmarks.tool_learning import Person, begin, open_copy, settle

FROM, EVERY = 40, 20
"""Labels from which the person looks at the forecast, and after how many more again."""
MOST_ATTEMPTS = 4


def whole(run: Run, seed: int, target: float) -> dict[str, Any] | None:
    """Label and finish a project; return what it took, None where the pictures are not here."""
    data = pictures(run.data, run.n)
    if data is None:
        return None
    memory, start = Path("/dev/shm"), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as temporary:
        base = Path(temporary) / "base"
        truth = begin(base, data)
        store = open_copy(base, Path(temporary) / "project", seed)
        learning = Learning(pause_s=0, seed=seed, polite=False, **run.learning)
        loop = LabellingLoop(store, learning)
        finish, person = Finish(store, loop), Person(store, truth)
        try:
            trained = []
            for _ in range(MOST_ATTEMPTS):
                trained.append(_train(person, loop, finish, target, run.labels))
                finish.plan(target, person="person")
                _answer(person, finish)
                if finish.certificate() is not None:
                    break
                settle(loop, train=True)
            return _counted(store, truth) | {
                "run": run.name, "seed": seed, "target": target, "trained": trained[0],
                "attempts": len(trained), "at_work": loop.training.at_work.name,
                "wall_s": round(time.perf_counter() - start),
            }  # fmt: skip
        finally:
            loop.stop()
            store.close()


def _train(person: Person, loop: LabellingLoop, finish: Finish, target: float, most: int) -> int:
    """Label until the forecast says that training on saves little; return the labels then."""
    n = person.store.reader.progress().human
    while n < most:
        if n >= FROM and n % EVERY == 0 and finish.forecast([target]).of(target).best == 0:
            break
        person.label(AT_ONCE)
        settle(loop)
        n = person.store.reader.progress().human
    return n


def _answer(person: Person, finish: Finish) -> None:
    """Answer what the attempt asks until it is decided."""
    while (state := finish.state()) is not None and state.phase == "asking":
        for item in finish.next("person", AT_ONCE):
            finish.answer("person", item.id, person.truth[item.sha256])


def _counted(store: Store, truth: dict[str, str]) -> dict[str, Any]:
    """Return what the events say that it took, and how many of the labels are right."""
    rows = store.database.connection.execute(
        """SELECT sha256, classes.name, label_source FROM items
        LEFT JOIN classes ON number = label WHERE NOT unreadable"""
    ).fetchall()
    asked = store.database.connection.execute(
        "SELECT count(*) FROM events WHERE kind IN ('label', 'second')"
    ).fetchone()[0]
    human = sum(source == "human" for _, _, source in rows)
    return {
        "pictures": len(rows), "labels": human, "answers": asked,
        "automatic": sum(source == "auto" for _, _, source in rows),
        "accuracy": round(sum(truth[sha] == name for sha, name, _ in rows) / len(rows), 5),
    }  # fmt: skip
