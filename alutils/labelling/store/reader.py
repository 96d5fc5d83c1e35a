"""Questions to the database of a labelling project; nothing here writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from alutils.base.manifest import digest
from alutils.labelling.store.classes import Classes
from alutils.labelling.store.database import Database, shown_time
from alutils.labelling.store.names import checked_text
from alutils.labelling.store.records import (
    Event,
    Filter,
    Item,
    LabellingError,
    Page,
    Progress,
    UnknownError,
    checked_number,
)

PACE_S = 600.0  # over which the labels a minute are counted
MOST = 10_000  # pictures in one answer

OPEN_PLAN = """(SELECT plans.id FROM plans JOIN plan_items ON plan_items.plan = plans.id
    WHERE plan_items.item = items.id AND state = 'open' AND place IS NOT NULL)"""
"""The number of the open attempt to finish that a picture waited for."""
HIDDEN = f"(items.label IS NULL AND items.rejected IS NULL AND {OPEN_PLAN} IS NOT NULL)"
"""The condition of pictures that wait in an open attempt to finish: nobody sees their predictions.
"""
_ITEM = f"""SELECT items.*, label.name AS label_name, predicted.name AS predicted_name,
    {OPEN_PLAN} AS plan, {HIDDEN} AS hidden FROM items
    LEFT JOIN classes AS label ON label.number = items.label
    LEFT JOIN classes AS predicted ON predicted.number = items.predicted """
_EVENT = """SELECT events.id, events.item, events.kind, label.name AS label,
        before.name AS replaced, events.person, models.sha256 AS model, events.at AS "when",
        predicted.name AS predicted, events.confidence, events.threshold, events.hidden,
        events.plan, events.why FROM events
    LEFT JOIN classes AS label ON label.number = events.label
    LEFT JOIN classes AS predicted ON predicted.number = events.predicted
    LEFT JOIN events AS old ON old.id = events.replaced
    LEFT JOIN classes AS before ON before.number = old.label
    LEFT JOIN models ON models.id = events.model """
_ORDERS = {  # column, direction; every order ends in the id, so that pages neither skip nor repeat
    # A place among the others would give away a hidden prediction, so those come last.
    "confidence": (f"CASE WHEN {HIDDEN} THEN 2 ELSE coalesce(items.confidence, 2) END", "ASC"),
    "-confidence": (f"CASE WHEN {HIDDEN} THEN -1 ELSE coalesce(items.confidence, -1) END", "DESC"),
    "id": ("0", "ASC"),
    "-id": ("0", "DESC"),
}


@dataclass
class Reader:
    """What can be asked of the project that a database holds."""

    database: Database
    classes: Classes

    def item(self, item: int) -> Item:
        """One picture; `UnknownError` if there is none."""
        return as_item(self.row(item))

    def row(self, item: int) -> sqlite3.Row:
        """One picture as it is in the table, its prediction too, and `label_name`."""
        number = checked_number(item, "picture", 1, 2**62, UnknownError)
        query = _ITEM + "WHERE items.id = ?"
        row = self.database.connection.execute(query, (number,)).fetchone()
        if row is None:
            raise UnknownError(f"picture {item}: there is none with this number; reload the page")
        return row

    def event(self, event: int) -> Event:
        """One event; there must be one of this number."""
        query = _EVENT + "WHERE events.id = ?"
        return as_event(self.database.connection.execute(query, (event,)).fetchone())

    def events(self, item: int) -> list[Event]:
        """All that happened to a picture, oldest first."""
        query = _EVENT + "WHERE events.item = ? ORDER BY events.id"
        rows = self.database.connection.execute(query, (self.row(item)["id"],))
        return [as_event(row) for row in rows]

    def page(
        self,
        where: Filter | None = None,
        *,
        order: str = "confidence",
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Pictures for the grid, a page at a time.

        Parameters
        ----------
        where : which; all by default
        order : ``confidence`` (lowest first, unscored last), ``-confidence``, ``id`` or ``-id``
        limit : pictures on the page, 1 to `MOST`
        after : what the page before gave as its ``after``
        """
        if not isinstance(order, str) or order not in _ORDERS:
            raise LabellingError(f"order={order!r}: expected one of {', '.join(_ORDERS)}")
        limit = checked_number(limit, "limit", 1, MOST)
        column, direction = _ORDERS[order]
        with self.database.reading() as connection:
            condition, values = self.condition(where)
            if after is not None:
                value, last = _cursor(after)
                sign = ">" if direction == "ASC" else "<"
                condition += f" AND ({column}, items.id) {sign} (?, ?)"
                values += [value, last]
            rows = connection.execute(
                f"{_ITEM.replace('SELECT', f'SELECT {column} AS place,', 1)} WHERE {condition} "
                f"ORDER BY place {direction}, items.id {direction} LIMIT ?",
                (*values, limit + 1),
            ).fetchall()
        more = (
            f"{rows[limit - 1]['place']!r},{rows[limit - 1]['id']}" if len(rows) > limit else None
        )
        return Page([as_item(row) for row in rows[:limit]], more)

    def count(self, where: Filter | None = None) -> int:
        """How many pictures a filter lets through."""
        with self.database.reading() as connection:
            condition, values = self.condition(where)
            query = f"SELECT count(*) FROM items WHERE {condition}"
            return connection.execute(query, values).fetchone()[0]

    def progress(self) -> Progress:
        """How far the labelling is."""
        now = self.database.clock()
        with self.database.reading() as connection:
            row = connection.execute(
                """SELECT count(*) AS total, coalesce(sum(label_source = 'human'), 0) AS human,
                    coalesce(sum(label_source = 'auto'), 0) AS auto,
                    coalesce(sum(label IS NULL AND rejected IS NULL), 0) AS remaining,
                    coalesce(sum(rejected IS NOT NULL), 0) AS rejected,
                    coalesce(sum(label IS NULL AND rejected IS NULL AND skipped > 0), 0) AS skipped,
                    coalesce(sum(unreadable), 0) AS unreadable,
                    coalesce(sum(label IS NULL AND person IS NOT NULL AND until > ?), 0) AS held
                FROM items""",
                (self.database.steady(),),
            ).fetchone()
            per_class = connection.execute(
                """SELECT classes.name, count(items.id) FROM classes
                LEFT JOIN items ON label = number WHERE NOT gone
                GROUP BY number ORDER BY position, number"""
            ).fetchall()
            # One walk through the labels that people gave answers all that is asked of them. Those
            # that were given in one go, or imported, say nothing about the time that one takes.
            people = connection.execute(
                """SELECT events.person, count(*) AS labels,
                    sum(events.at BETWEEN :since AND :now AND events.batch IS NULL) AS recent,
                    min(iif(events.at BETWEEN :since AND :now AND events.batch IS NULL, events.at,
                        NULL)) AS first,
                    sum(events.kind = 'label' AND events.predicted IS NOT NULL) AS judged,
                    sum(events.kind = 'label' AND events.label = events.predicted) AS right
                FROM items JOIN events ON events.id = items.event
                WHERE label_source = 'human' GROUP BY events.person ORDER BY 2 DESC, 1""",
                {"since": now - PACE_S, "now": now},
            ).fetchall()
        recent = sum(one["recent"] for one in people)
        first = min((one["first"] for one in people if one["recent"]), default=now)
        # Over the time that people have been at it, so that the first minute is not divided by ten.
        minutes = max(1.0, (now - first) / 60)
        return Progress(
            **dict(row),
            judged=sum(one["judged"] for one in people),
            right=sum(one["right"] or 0 for one in people),
            per_class=dict(map(tuple, per_class)),
            per_person={one["person"]: one["labels"] for one in people},
            per_minute=recent / minutes,
        )

    def held(self) -> int:
        """How many pictures without a label are with a person now."""
        query = """SELECT count(*) FROM items
            WHERE person IS NOT NULL AND label IS NULL AND until > ?"""
        row = self.database.connection.execute(query, (self.database.steady(),)).fetchone()
        return row[0]

    def unreadable(self) -> int:
        """How many pictures have lost their file."""
        query = "SELECT count(*) FROM items WHERE unreadable <> 0"
        return self.database.connection.execute(query).fetchone()[0]

    def labelled(self, *, rejected: bool = False) -> list[tuple[Item, Event]]:
        """Every picture with a label, by number, and the event that gave it.

        With ``rejected`` those too that people rejected.
        """
        gave = "coalesce(items.event, items.rejected)" if rejected else "items.event"
        with self.database.reading() as connection:
            query = f"{_ITEM} WHERE {gave} IS NOT NULL ORDER BY items.id"
            items = connection.execute(query).fetchall()
            rows = connection.execute(f"{_EVENT} JOIN items ON events.id = {gave}")
            events = {row["item"]: as_event(row) for row in rows}
        return [(as_item(row), events[row["id"]]) for row in items]

    def position(self) -> tuple[int, int, int]:
        """Return the numbers of the last event, picture and change of a class.

        Something new raises one of them.
        """
        row = self.database.connection.execute(
            """SELECT (SELECT max(id) FROM events), (SELECT max(id) FROM items),
                (SELECT max(id) FROM class_events)"""
        ).fetchone()
        return row[0] or 0, row[1] or 0, row[2] or 0

    def history(self) -> dict[int, list[Event]]:
        """All events by picture, oldest first; pictures without events are not in it."""
        found: dict[int, list[Event]] = {}
        for row in self.database.connection.execute(_EVENT + "ORDER BY events.id"):
            found.setdefault(row["item"], []).append(as_event(row))
        return found

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return what a model needs to know at one moment, as arrays over all readable pictures.

        Returns
        -------
        ``id`` (n,) int64, ``sha256`` (n,) str, ``label`` (n,) int64 class numbers given by people,
        -1 elsewhere, ``waits`` (n,) bool, whether it has no label and was not rejected, ``width``
        and ``height`` (n,) int64, in the order of the ids
        """
        rows = self.database.connection.execute(
            """SELECT id, sha256, CASE label_source WHEN 'human' THEN label ELSE -1 END,
                label IS NULL AND rejected IS NULL, width, height FROM items
            WHERE NOT unreadable ORDER BY id"""
        ).fetchall()
        kinds = {"id": np.int64, "sha256": str, "label": np.int64, "waits": bool}
        kinds |= {"width": np.int64, "height": np.int64}
        return as_arrays(rows, kinds)

    def data_hash(self) -> str:
        """Return a hash of which pictures there are, in which order they do not matter."""
        rows = self.database.connection.execute(
            "SELECT sha256 FROM items WHERE NOT unreadable ORDER BY sha256"
        )
        return digest(*(row[0] for row in rows))

    def condition(self, where: Filter | None) -> tuple[str, list[Any]]:
        """Turn a filter into SQL over items, and its values."""
        where = where or Filter()
        values: list[Any] = []
        sources = {
            "human": "items.label_source = 'human'",
            "auto": "items.label_source = 'auto'",
            "none": "items.label IS NULL AND items.rejected IS NULL",
            "rejected": "items.rejected IS NOT NULL",
            "any": "items.label IS NOT NULL",
            None: "1",
        }
        if not isinstance(where.source, str | None) or where.source not in sources:
            raise LabellingError(
                f"source={where.source!r}: expected one of human, auto, none (without a label), "
                "any, rejected"
            )
        parts = [sources[where.source]]
        for column in ("predicted", "label"):
            if (name := getattr(where, column)) is not None:
                parts.append(f"items.{column} = ?")
                values.append(self.classes.number(name))
        for bound, sign in (("low", ">="), ("high", "<=")):
            if (value := getattr(where, bound)) is not None:
                if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
                    raise LabellingError(f"{bound}={value!r}: expected a confidence from 0 to 1")
                parts.append(f"items.confidence {sign} ?")
                # no column holds more, and a whole number can be too large for a float
                values.append(float(min(max(value, -1), 2)))
        if where.name is not None:
            # instr, not LIKE: in a name, % and _ are what they are
            parts.append("instr(lower(items.name), lower(?)) > 0")
            values.append(checked_text(where.name, "name"))
        if where.by_prediction:
            parts.append(f"NOT {HIDDEN}")
        return " AND ".join(parts), values


def as_arrays(rows: Sequence[Sequence[Any]], kinds: dict[str, type]) -> dict[str, np.ndarray]:
    """Turn rows into an array for each column, by the columns' names and kinds in their order."""
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return {n: np.array(c, k) for (n, k), c in zip(kinds.items(), columns, strict=True)}


def _cursor(after: object) -> tuple[float, int]:
    try:
        place, last = str(after).split(",")
        if abs(int(last)) >= 2**63:
            raise OverflowError("no picture has such a number")
        return float(place), int(last)
    except (ValueError, OverflowError):
        raise LabellingError(
            f"after={after!r}: expected what the page before gave; start from the first page"
        ) from None


_AS_THEY_ARE = {each.name for each in fields(Item)} - {
    "hidden", "rejected", "label", "predicted", "confidence",
}  # fmt: skip


def as_item(row: sqlite3.Row) -> Item:
    """Turn a row into an item, without the prediction where it must not be seen."""
    hidden = bool(row["hidden"])
    return Item(
        **{name: row[name] for name in _AS_THEY_ARE},
        hidden=hidden,
        rejected=row["rejected"] is not None,
        label=row["label_name"],
        predicted=None if hidden else row["predicted_name"],
        confidence=None if hidden else row["confidence"],
    )


def as_event(row: sqlite3.Row) -> Event:
    """Turn a row into an event."""
    return Event(**{**row, "when": shown_time(row["when"]), "hidden": bool(row["hidden"])})
