"""What was changed in a project after a certificate was given, and whether its present is sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alutils.labelling.finish import records
from alutils.labelling.store.store import Store

Told = tuple[bool | None, str]
"""Whether something holds, None for what is only told; and what."""
_SHOWN = 5  # classes of another name that are told


def changes(found: dict[str, Any], store: Store, items: Sequence[int]) -> Iterator[Told]:
    """Tell what is otherwise now than at the decision.

    Parameters
    ----------
    found : the certificate, as its file has it
    store : the project
    items : numbers of the pictures that it is about
    """
    connection = store.database.connection
    now = records.labels_at(connection, 2**62)
    rows = connection.execute("SELECT id, sha256, label FROM items").fetchall()
    wrong = [row for row in rows if row["label"] != now.get(row["id"], records.NO_LABEL).label]
    if wrong:
        text = f"{len(wrong):,} pictures have another label than their events say"
        yield False, f"{text}, the first {wrong[0]['sha256'][:16]}"
    yield from _labels(found, store, items)
    yield from _names(found, store)
    yield from _classes(found, store)
    if later := len(rows) - len(items):
        yield None, f"{later:,} pictures of the project are no part of it."


def _labels(found: dict[str, Any], store: Store, items: Sequence[int]) -> Iterator[Told]:
    there, changed = set(items), dict[str, int]()
    for row in store.database.connection.execute(
        """SELECT item, person, max(id) FROM events
        WHERE id > ? AND kind NOT IN ('skip', 'second') AND NOT (kind = 'auto' AND plan IS ?)
        GROUP BY item""",
        (found["position"], found["number"]),
    ):
        if row["item"] in there:
            who = row["person"] or "the tool"
            changed[who] = changed.get(who, 0) + 1
    for who, n in sorted(changed.items()):
        labels = "label" if n == 1 else "labels"
        yield None, f"{n:,} {labels} changed since by {who}; it holds for those before."


def _names(found: dict[str, Any], store: Store) -> Iterator[Told]:
    """Tell of pictures of other names, no part of what is claimed; but people look for them."""
    said = found["names"]
    other = {s: n for s, n in records.named(store, said).items() if said[s] != n}
    for sha256, name in sorted(other.items())[:1]:
        many = "1 picture has" if len(other) == 1 else f"{len(other):,} pictures have"
        text = f"{many} another name now than in the file"
        yield None, f"{text}, the first {name!r}; the file says {said[sha256]!r}."


def _classes(found: dict[str, Any], store: Store) -> Iterator[Told]:
    now = {str(each.number): each.name for each in store.classes.ever()}
    then = found["classes"]
    renamed = [(then[n], now.get(n)) for n in then if then[n] != now.get(n)]
    if renamed:
        names = ", ".join(f"{before!r} is {name!r}" for before, name in renamed[:_SHOWN])
        more = f" and {len(renamed) - _SHOWN:,} more" if len(renamed) > _SHOWN else ""
        text = f"Classes were renamed since, {names} now{more}"
        yield None, f"{text}; it holds for the names in the file."
