"""Handing out pictures: what a person gets next, and no other while the person holds it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alutils.labelling.store.database import Database
from alutils.labelling.store.names import checked_person
from alutils.labelling.store.plan_records import Plan
from alutils.labelling.store.plans import Plans
from alutils.labelling.store.reader import MOST, Reader, as_item
from alutils.labelling.store.records import ConflictError, Filter, Item, checked_number
from alutils.labelling.store.sample import RandomSample
from alutils.labelling.store.seconds import MIXED, Seconds, as_new

LEASE_S = 600.0
AT_ONCE = 500  # pictures of an attempt to finish that are looked up in one go
UNSCORED = 2.0  # ranks from here on are those of pictures that no model has scored
WAITS = "label IS NULL AND rejected IS NULL AND unreadable = 0"
"""The condition of pictures that can be handed out."""


@dataclass
class Handing:
    """Gives pictures to people; `alutils.labelling.store.queue.Queue` takes their answers, too."""

    database: Database
    reader: Reader
    sample: RandomSample  # what is picked at random among all others
    plans: Plans  # attempts to finish: while one goes on, its pictures are handed out
    seconds: Seconds  # what is asked of another person again
    rng: np.random.Generator  # draws what comes from the sample, and what is asked again
    lease_s: float  # for so long a person may hold a picture

    def hand_out(self, person: str, n: int = 1, where: Filter | None = None) -> list[Item]:
        """Give a person pictures to label; no other gets them while the person holds them.

        What the person holds already comes first and is held for longer, so asking again after a
        reload gives the same pictures. Then, of those never skipped, the ones that come first in
        any case (`Models.put_first`) and those with the least margin, with a share picked at random
        from all (`alutils.labelling.store.sample`); without scores all in random order. Among them
        are pictures that another person has answered (`alutils.labelling.store.seconds`), which
        look like all others. While an attempt to finish goes on, its pictures come instead, in its
        order, and no more of them than it takes.

        Parameters
        ----------
        n : how many pictures the person is to hold, 1 to `MOST`
        where : only such pictures, none of them picked at random or asked again; without effect
            while an attempt to finish goes on

        Returns
        -------
        ``n`` items in the order to show them, fewer where no more are left for this person
        """
        person = checked_person(person)
        n = checked_number(n, "n", 1, MOST)
        now = self.database.steady()
        with self.database.transaction() as connection:
            plan = self.plans.open()
            where = where if plan is None else None
            condition, values = self.reader.condition(where)
            rows = connection.execute(
                f"""SELECT id, handed FROM items WHERE person = ? AND until > ? AND {WAITS}
                    AND {condition} ORDER BY handed LIMIT ?""",
                (person, now, *values, n),
            )
            first = {row["id"]: row["handed"] for row in rows}
            again = {} if where else self.seconds.held(connection, person, now)
            until, handed = now + self.lease_s, first | again
            held = sorted(handed, key=handed.__getitem__)[:n]
            # Looked up before anything is written: see `Plans.look`.
            wanted = None if plan is None else self._wanted(plan, n - len(held), now)
            for item in held:
                hold = self.seconds.hold if item in again else self._hold
                hold(connection, person, item, until, handed[item])
            if plan is not None and wanted:
                self.plans.begin(connection, plan)
            new = self._mixed(connection, person, n - len(held), where, now, wanted)
            for place, (item, is_second) in enumerate(new):
                hold = self.seconds.hold if is_second else self._hold
                hold(connection, person, item, until, now + 1e-6 * place)
                held.append(item)
            self.database.step("handed out")
            return [self._as_asked(connection, item, person) for item in held]

    def _mixed(
        self,
        connection: sqlite3.Connection,
        person: str,
        n: int,
        where: Filter | None,
        now: float,
        wanted: list[int] | None,
    ) -> Iterator[tuple[int, bool]]:
        """Choose what is handed out next, and whether another person has answered it before.

        Each must be held before the next is asked for. ``wanted`` are those of an attempt to
        finish, None where none goes on.
        """
        new = self._draw(connection, n, where, now) if wanted is None else iter(wanted)
        again = [] if where else self.seconds.waiting(connection, person, n, now)
        for _ in range(n):
            item = None if again and self.rng.random() < MIXED else next(new, None)
            if item is not None:
                yield item, False
                continue
            if not again and not where:
                again = self.seconds.waiting(connection, person, n, now, nothing_else=True)
            if not again:
                return
            yield again.pop(0), True

    def _wanted(self, plan: Plan, n: int, now: float) -> list[int]:
        """Return n free pictures of an attempt to finish, in its order; fewer if there are not."""
        wanted = self.plans.look(plan).wanted.tolist() if n > 0 else []
        skipped: dict[int, int] = {}
        for start in range(0, len(wanted), AT_ONCE):
            rows = self.database.connection.execute(
                f"""SELECT id, skipped FROM items WHERE {WAITS} AND (until IS NULL OR until <= ?)
                    AND id IN (SELECT value FROM json_each(?))""",
                (now, json.dumps(wanted[start : start + AT_ONCE])),
            )
            skipped |= {row["id"]: row["skipped"] for row in rows}
            if sum(times == 0 for times in skipped.values()) >= n:
                break
        # What was put off comes after all others.
        free = (item for item in wanted if item in skipped)
        return sorted(free, key=skipped.__getitem__)[:n]

    def _as_asked(self, connection: sqlite3.Connection, item: int, person: str) -> Item:
        """Return a picture as this person sees it, who holds it or has it back."""
        row = self.reader.row(item)
        found = as_item(row)
        if self.seconds.of(connection, person, item) is not None:
            return replace(as_new(found), person=person)
        if row["label"] is None and self.seconds.is_hidden(connection, row, person):
            return replace(found, predicted=None, confidence=None, hidden=True)
        return found

    def _draw(
        self,
        connection: sqlite3.Connection,
        n: int,
        where: Filter | None,
        now: float,
    ) -> Iterator[int]:
        """Choose pictures that nobody has answered, in the order to show them; some at random.

        Each must be held before the next is asked for.
        """
        if n < 1:
            return
        condition, values = self.reader.condition(where)
        rate = 0.0 if where else self.sample.rate()
        rows = connection.execute(
            f"""SELECT id, rank FROM items WHERE {WAITS} AND (until IS NULL OR until <= ?)
                AND {condition} ORDER BY skipped, rank LIMIT ?""",
            (now, *values, n),
        )
        queue = [tuple(row) for row in rows]
        for _ in range(n):
            if not queue:
                return
            # Before the first scores, the queue is in the random order, and is the random walk.
            picked = None
            if rate and (queue[0][1] >= UNSCORED or self.rng.random() < rate):
                picked = self.sample.step(connection, now)
            if picked is None or picked == queue[0][0]:
                picked = queue.pop(0)[0]
            else:
                queue = [row for row in queue if row[0] != picked]
            yield picked

    def claim(self, person: str, item: int) -> Item:
        """Give a person this very picture, as after an upload; raises as `label`."""
        person = checked_person(person)
        with self.database.transaction() as connection:
            row, now = self._free_row(item, person), self.database.steady()
            if row["hidden"] and (plan := self.plans.open()) is not None:
                self.plans.begin(connection, plan)
            self._hold(connection, person, row["id"], now + self.lease_s, now)
            return self._as_asked(connection, row["id"], person)

    def _hold(
        self, connection: sqlite3.Connection, person: str, item: int, until: float, handed: float
    ) -> None:
        connection.execute(
            "UPDATE items SET person = ?, until = ?, handed = ? WHERE id = ?",
            (person, until, handed, item),
        )

    def shorten(self, connection: sqlite3.Connection) -> None:
        """Let nobody hold a picture for longer than from now on, within a transaction.

        Where the system's clock was set back since the pictures were handed out, they would be held
        for hours more.
        """
        most = {"most": self.database.steady() + self.lease_s}
        for table in ("items", "seconds"):
            connection.execute(f"UPDATE {table} SET until = :most WHERE until > :most", most)

    def holders(self) -> dict[int, tuple[str, float]]:
        """Return who holds which picture, also as a second, and for how many seconds at most."""
        now = self.database.steady()
        rows = self.database.connection.execute(
            f"""SELECT id, person, until FROM items
                WHERE person IS NOT NULL AND until > :now AND {WAITS}
            UNION ALL SELECT item, asked_of, until FROM seconds
                WHERE asked_of IS NOT NULL AND until > :now AND event IS NULL""",
            {"now": now},
        )
        return {item: (person, until - now) for item, person, until in rows}

    def release(self, person: str, items: Sequence[int] | None = None) -> int:
        """Give back what a person holds, all of it or these; returns how many."""
        person = checked_person(person)
        with self.database.transaction() as connection:
            query = "SELECT id FROM items WHERE person = ? AND label IS NULL AND rejected IS NULL"
            held = {row["id"] for row in connection.execute(query, (person,))}
            ids = held if items is None else held & set(items)
            connection.executemany(
                "UPDATE items SET person = NULL, until = NULL WHERE id = ?", [(i,) for i in ids]
            )
            chosen = None if items is None else set(items)
            return len(ids) + self.seconds.release(connection, person, chosen)

    def _free_row(self, item: int, person: str) -> sqlite3.Row:
        """Return a picture that this person may label."""
        row = self.reader.row(item)
        if row["label"] is not None:
            raise ConflictError(
                f"picture {row['id']} ({row['name']!r}): has label {row['label_name']!r} already; "
                "change it in the grid"
            )
        if row["rejected"] is not None:
            raise ConflictError(
                f"picture {row['id']} ({row['name']!r}): was rejected; give it a label in the grid"
            )
        self._check_holder(row, person)
        return row

    def _handed_row(self, item: int, person: str) -> sqlite3.Row:
        """Return a picture that this person may answer now.

        What was on the screen before an attempt to finish began was seen with its prediction.
        """
        row = self._free_row(item, person)
        if row["hidden"] and row["person"] != person:
            raise ConflictError(
                f"picture {row['id']} ({row['name']!r}): an attempt to finish has begun since, and "
                "it was not handed out to you in it; take the next"
            )
        return row

    def _check_holder(self, row: sqlite3.Row, person: str) -> None:
        other = row["person"] not in (None, person) and row["until"] > self.database.steady()
        if row["label"] is None and other:
            raise ConflictError(
                f"picture {row['id']} ({row['name']!r}): {row['person']!r} has it; take the next"
            )
