"""What a certificate says, built from what the project keeps, at any time the same.

A certificate is a core, which stands in the project's database, and two lists of pictures, which
are not written twice: they follow from the plan's pictures and from the events up to the moment of
the decision. `whole` puts both together, for the file.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alutils.base import manifest
from alutils.guarantee.finishing import CANNOT_TELL, NOTHING, Finishing
from alutils.guarantee.plans import AuditPlan
from alutils.guarantee.terms import percent
from alutils.labelling.store.database import shown_time
from alutils.labelling.store.plan_records import Plan
from alutils.labelling.store.read_back import PERSON
from alutils.labelling.store.store import Store

FORMAT = 1
WAITED = (
    "sha256", "by_hand", "predicted", "confidence", "margin", "rate", "first", "label", "source",
)  # fmt: skip
"""Columns of the pictures that waited. ``first`` is the first answer, ``label`` the label at the
decision: numbers of classes, -1 for one that nobody could name, null for none; ``source`` is
``human`` or ``model``."""
BEFORE = ("sha256", "label")
"""Columns of the pictures that people had labelled before."""
BOUNDS = (
    "It holds for labels at the moment of the decision, and takes what people answered for right: "
    "an error that people make as the model does is seen by no audit. Pictures that came in later, "
    "or had an automatic label before, are no part of it."
)


def versions() -> dict[str, str]:
    """Return the versions of what draws and computes."""
    return {
        "alutils": importlib.metadata.version("alutils"),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def counted(attempt: Finishing, n_before: int, lost: set[int], items: np.ndarray) -> dict[str, int]:
    """Return the numbers of an attempt as it stands; ``lost`` are pictures without their file."""
    by_hand, audited = attempt.now[attempt.by_hand], attempt.audited
    rest = attempt.rest[~np.isin(items[attempt.rest], list(lost))]
    rejected = int((attempt.now == CANNOT_TELL).sum())
    certified = attempt.decision == "certified"
    human = int((attempt.now >= 0).sum())
    return {
        "before": n_before,
        "by_hand": int((by_hand != NOTHING).sum()),
        "audited": len(audited),
        "errors": attempt.errors,
        "rejected": rejected,
        "automatic": len(rest) if certified else 0,
        "labels": n_before + human + (len(rest) if certified else 0),
    }


def core(
    store: Store,
    plan: Plan,
    attempt: Finishing,
    lost: set[int],
    state: str,
    position: int,
    why: str = "",
) -> dict[str, Any]:
    """Return what is kept of an attempt when it ends, within its transaction.

    Parameters
    ----------
    attempt : with all its answers
    lost : pictures without their file
    state : ``certified`` or ``refused``
    position : the last event before the automatic labels
    why : of a refusal
    """
    labels = labels_at(store.database.connection, position)
    n_before = standing_before(store.plans.before(plan.number).tolist(), labels, lost)
    counts = counted(attempt, n_before, lost, store.plans.items(plan.number))
    before = set(store.plans.before(plan.number).tolist()) - lost
    if n_read_back := sum(labels.get(item, NO_LABEL).is_read_back for item in before):
        counts["read_back"] = n_read_back
    share, low, high = attempt.estimate()
    earlier = [each for each in store.plans.all() if each.number < plan.number]
    found = {
        "format": FORMAT,
        "project": store.project_id,
        "number": plan.number,
        "attempt": plan.attempt,
        "state": state,
        "target": plan.target,
        "level": plan.level,
        "attempt_level": attempt.plan.level,
        "allowed": attempt.plan.allowed,
        "seed": plan.seed,
        "model": plan.model,
        "person": plan.person,
        "planned": shown_time(plan.at),
        "decided": shown_time(store.database.clock()),
        "position": position,
        "terms": plan.terms,
        "classes": {str(c.number): c.name for c in store.classes.ever()},
        "counts": counts,
        "estimate": [share, low, high],
        "earlier": [
            {
                "number": each.number, "attempt": each.attempt, "state": each.state,
                "target": each.target, "counts": each.begun is not None,
            }
            for each in earlier
        ],
        "missing": sorted(hashes(store.database.connection, lost)),
        "why": why,
        "versions": versions(),
    }  # fmt: skip
    lists = pictures(store, plan, attempt, position, lost, certified=state == "certified")
    found["digest"] = digest(lists)
    found["text"] = sentences(found)
    return found


def sentences(found: dict[str, Any]) -> list[str]:
    """Say what an attempt came to; the first is the promise, whose words `verify` compares."""
    counts = found["counts"]
    n_errors, n_audited = counts["errors"], counts["audited"]
    audit = f"{n_audited:,} pictures of the audit, {n_errors:,} of which the model had wrong"
    target, level = percent(found["target"]), percent(found["level"])
    cost = counts["by_hand"] + n_audited
    if found["state"] == "certified":
        return [
            f"At least {target} of all {counts['labels']:,} labels are right (confidence {level} "
            f"over all attempts of the project together; this was attempt {found['attempt']}).",
            f"It rests on {audit}. {counts['by_hand']:,} more were labelled by hand, "
            f"{counts['before']:,} had a label of a person before; the model labelled the other "
            f"{counts['automatic']:,}.",
            *_read_back(counts),
            BOUNDS,
        ]
    share, low, high = found["estimate"]
    return [
        f"No certificate that {target} of the labels are right: {found['why']} Nothing was "
        "labelled by the model.",
        f"It took {cost:,} answers: {counts['by_hand']:,} by hand, and {audit}. By these about "
        f"{share:.1%} of the model's labels would have been wrong (95% interval {low:.1%} to "
        f"{high:.1%}).",
        "All answers stay, and train the model from now on. Ways on: train on more labels, label "
        "more of the unsure pictures by hand, or promise less; the forecast says what each is "
        "expected to take. The next attempt is held to a stricter level.",
    ]


def too_many_errors(attempt: Finishing) -> str:
    """Say why an audit refused: too much is wrong, or it could not be proved that it is not."""
    may = attempt.plan.allowed / max(len(attempt.left), 1)
    _, low, _ = attempt.estimate()
    if low > may:
        return "the audit found too many errors of the model."
    return (
        "the audit found more errors of the model than its plan was made for, and could not prove "
        f"it with the answers that it may take. Of the model's labels {may:.1%} may be wrong."
    )


def _read_back(counts: Mapping[str, int]) -> list[str]:
    """Say what is not known of labels that only class folders had kept; nothing without any."""
    if not (n := counts.get("read_back", 0)):
        return []
    return [
        f"{n:,} of the labels from before were read back from class folders, as the database did "
        "not know them. Whether people or a model gave them is not known, nor how many attempts "
        "there were before that; they are taken for right."
    ]


def pictures(
    store: Store,
    plan: Plan,
    attempt: Finishing,
    position: int,
    lost: set[int],
    *,
    certified: bool,
) -> dict[str, list[list[Any]]]:
    """Return the lists of pictures, by `WAITED` and `BEFORE`, as they were at an event."""
    items, before = store.plans.items(plan.number), store.plans.before(plan.number)
    connection = store.database.connection
    sha256 = {r["id"]: r["sha256"] for r in connection.execute("SELECT id, sha256 FROM items")}
    by_hand = np.zeros(len(items), bool)
    by_hand[attempt.by_hand] = True
    rates: list[float | None] = [None] * len(items)
    if not isinstance(attempt.plan, AuditPlan):
        for at, rate in zip(attempt.left.tolist(), attempt.plan.rates.tolist(), strict=True):
            rates[at] = rate
    given = set(attempt.rest.tolist()) if certified else set()
    waited, said = [], attempt.said
    for i, item in enumerate(items.tolist()):
        first, now = int(attempt.first[i]), int(attempt.now[i])
        label: int | None = None if now == NOTHING else now
        source = "human" if now >= 0 else None
        if i in given and item not in lost:
            label, source = int(said.predicted[i]), "model"
        waited.append(
            [
                sha256[item], bool(by_hand[i]), int(said.predicted[i]), float(said.confidence[i]),
                float(said.margin[i]), rates[i], None if first == NOTHING else first, label, source,
            ]
        )  # fmt: skip
    labels = labels_at(connection, position)
    had = [[sha256[item], labels.get(item, NO_LABEL).label] for item in before.tolist()]
    return {"waited": waited, "before": had}


@dataclass(frozen=True)
class Standing:
    """The label that a picture has at some moment: the number of its class, None without one."""

    label: int | None
    is_auto: bool
    is_read_back: bool = False
    """Whether only a class folder says so: a person may have given it, or a model."""

    @property
    def is_human(self) -> bool:
        """Whether it is a label, and one that a person gave."""
        return self.label is not None and not self.is_auto


NO_LABEL = Standing(None, False)


def labels_at(connection: sqlite3.Connection, position: int) -> dict[int, Standing]:
    """Return the label of each picture as it was after an event, by the events alone.

    Pictures to which nothing had happened are not in it.
    """
    # What is taken back brings back the label before, with who gave that one.
    rows = connection.execute(
        """SELECT e.item, e.label, iif(e.undoes IS NULL, e.kind, old.kind) IS 'auto',
            iif(e.undoes IS NULL, e.person, old.person) IS ?
        FROM events AS e
        LEFT JOIN events AS undone ON undone.id = e.undoes
        LEFT JOIN events AS old ON old.id = undone.replaced
        WHERE e.id <= ? AND e.kind NOT IN ('skip', 'second')
            AND coalesce(undone.kind, '') NOT IN ('skip', 'second') ORDER BY e.id""",
        (PERSON, position),
    )
    return {item: Standing(label, bool(auto), bool(back)) for item, label, auto, back in rows}


def standing_before(
    items: Iterable[int], labels: Mapping[int, Standing], lost: Collection[int]
) -> int:
    """Return of how many pictures the label that people gave stands, and the file is there."""
    return sum(labels.get(item, NO_LABEL).is_human and item not in lost for item in items)


def digest(lists: dict[str, list[list[Any]]]) -> str:
    """Return the hash of the lists of pictures."""
    return manifest.digest(json.dumps(lists, sort_keys=True, separators=(",", ":")))


def whole(store: Store, plan: Plan) -> dict[str, Any]:
    """Return the certificate of an attempt that has ended, with its lists, from the database."""
    assert plan.certificate is not None
    lists = _lists(store, plan)
    names = {"names": named(store, wrong(lists["waited"]))}
    columns = {"columns": {"waited": list(WAITED), "before": list(BEFORE)}}
    return plan.certificate | columns | names | lists


def _lists(store: Store, plan: Plan) -> dict[str, list[list[Any]]]:
    """Return the lists of pictures of an attempt that has ended, as they were at its decision."""
    assert plan.certificate is not None
    position, missing = plan.certificate["position"], set(plan.certificate["missing"])
    rows = store.database.connection.execute("SELECT id, sha256 FROM items")
    lost = {row["id"] for row in rows if row["sha256"] in missing}
    attempt = store.plans.replay(plan, lost, position)
    certified = plan.certificate["state"] == "certified"
    return pictures(store, plan, attempt, position, lost, certified=certified)


def attested(store: Store, plan: Plan) -> dict[int, int]:
    """Return what a certificate attests: the class of each picture that it counts, by numbers."""
    assert plan.certificate is not None
    found, position = _lists(store, plan), plan.certificate["position"]
    connection = store.database.connection
    said = {sha256: label for sha256, *_, label, _source in found["waited"]}
    items = {r["sha256"]: r["id"] for r in connection.execute("SELECT id, sha256 FROM items")}
    had = labels_at(connection, position)
    # As `standing_before` counts: somebody may have taken such a label back meanwhile.
    human = {item for item, each in had.items() if each.is_human}
    said |= {sha256: label for sha256, label in found["before"] if items[sha256] in human}
    lost = set(plan.certificate["missing"])
    return {
        items[sha256]: label
        for sha256, label in said.items()
        if label is not None and label >= 0 and sha256 not in lost
    }


def wrong(waited: Iterable[Sequence[Any]]) -> list[str]:
    """Return the hashes of the pictures that counted as wrong in the audit, of rows by `WAITED`."""
    return [
        sha256
        for sha256, by_hand, predicted, *_numbers, first, label, _source in waited
        if not by_hand and first is not None and (first != predicted or label != predicted)
    ]


def named(store: Store, sha256: Iterable[str]) -> dict[str, str]:
    """Return what pictures are called: their path below the folder, else their name, by hash.

    It is told for people to find them, and no part of what a certificate claims: files are moved.
    """
    wanted = json.dumps(list(sha256))
    rows = store.database.connection.execute(
        "SELECT id, sha256, name FROM items WHERE sha256 IN (SELECT value FROM json_each(?))",
        (wanted,),
    ).fetchall()
    paths: dict[int, str] = {}
    if rows:
        for path, item in store.sources.paths().items():
            paths.setdefault(item, path)
    return {row["sha256"]: paths.get(row["id"], row["name"]) for row in rows}


def hashes(connection: sqlite3.Connection, items: set[int]) -> set[str]:
    """Return the hashes of pictures by their numbers."""
    rows = connection.execute(
        "SELECT sha256 FROM items WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(items)),),
    )
    return {row[0] for row in rows}
