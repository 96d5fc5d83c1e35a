"""A certificate checked: all that it says is computed again from what the project keeps.

Nothing in the file is believed, and nothing in the database that can be computed: the plan's own
constructor says whether it holds its level, the seed gives the draws, the events give the answers
and the labels at the moment of the decision, and every picture is read. What holds and what does
not is told line by line.

Who changes the file and everything in the database in the same way, so that both agree, is not
found out; whoever keeps a copy of the file elsewhere finds that out, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alutils.base.errors import ParameterError
from alutils.guarantee.audit import CERTIFIED
from alutils.guarantee.finishing import Finishing
from alutils.guarantee.terms import Terms, allowed_errors, attempt_level, unsure_first
from alutils.guarantee.weighted import WeightedPlan
from alutils.labelling.finish import records, since
from alutils.labelling.store.files import sha256_of
from alutils.labelling.store.plan_records import Plan, may_be_wrong
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store


@dataclass(frozen=True)
class Line:
    """Something that was checked; ``holds`` is None for what is only told."""

    holds: bool | None
    text: str


class _Broken(Exception):
    """Something does not hold, and nothing that comes after it can be checked."""


@dataclass(frozen=True)
class Verdict:
    """What came of a check."""

    lines: tuple[Line, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the certificate."""
        return all(line.holds is not False for line in self.lines)


def read(path: Path) -> dict[str, Any]:
    """Read a certificate's file; `LabellingError` for a file that is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabellingError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
        raise LabellingError(f"{path}: is no certificate: {error}") from error
    if not isinstance(found, dict) or "format" not in found:
        raise LabellingError(f"{path}: is no certificate of the labelling tool")
    return found


def verify(found: dict[str, Any], store: Store) -> Verdict:
    """Check a certificate against the project that gave it.

    Parameters
    ----------
    found : what `read` returned
    store : the project, which is only read
    """
    lines: list[Line] = []
    try:
        for line in _Check(found, store).lines():
            lines.append(line)  # one by one: those before a fault are told, too
    except _Broken as broken:
        lines.append(Line(False, str(broken)))
    except (ParameterError, LabellingError, KeyError, TypeError, ValueError, IndexError) as error:
        what = f"{type(error).__name__}: {error}"
        lines.append(Line(False, f"The project or the file is damaged, this cannot be: {what}"))
    return Verdict(tuple(lines))


class _Check:
    """The steps of a check; each needs those before it."""

    plan: Plan
    attempt: Finishing
    items: np.ndarray
    lost: set[int]
    sha256: dict[int, str]

    def __init__(self, found: dict[str, Any], store: Store) -> None:
        self.found, self.store = found, store

    def lines(self) -> Iterator[Line]:
        """Yield what holds; `_Broken` where something does not and the rest depends on it."""
        for step in (
            self._same_project, self._same_file, self._fixed_before, self._level, self._drawn_from,
            self._answers, self._decision, self._labels, self._promise,
        ):  # fmt: skip
            yield Line(True, step())
        yield self._files()
        items = [*self.items.tolist(), *self.store.plans.before(self.plan.number).tolist()]
        yield from (Line(*told) for told in since.changes(self.found, self.store, items))

    def _need(self, holds: bool, text: str) -> None:
        if not holds:
            raise _Broken(text)

    def _same_project(self) -> str:
        self._need(self.found["format"] == records.FORMAT, "The file is of another version")
        self._need(
            self.found["project"] == self.store.project_id, "The certificate is another project's"
        )
        number = self.found["number"]
        plans = {plan.number: plan for plan in self.store.plans.all()}
        self._need(number in plans, f"The project has no attempt of number {number!r}")
        self.plan = plans[number]
        said = self.plan.certificate
        is_certified = self.plan.state == CERTIFIED and said is not None
        self._need(is_certified, "The project's attempt of this number gave no certificate")
        return f"The project gave this certificate: attempt {self.plan.attempt}, number {number}."

    def _same_file(self) -> str:
        kept = self.plan.certificate
        assert kept is not None
        lists = ("waited", "before", "columns", "names")
        core = {name: value for name, value in self.found.items() if name not in lists}
        changed = sorted(
            name for name in kept.keys() | core.keys() if kept.get(name) != core.get(name)
        )
        self._need(not changed, f"The file differs from what the project keeps: {changed}")
        written = {name: self.found[name] for name in ("waited", "before")}
        self._need(
            records.digest(written) == kept["digest"], "The file's lists of pictures were changed"
        )
        columns = {"waited": list(records.WAITED), "before": list(records.BEFORE)}
        self._need(
            self.found["columns"] == columns, "The file calls the columns of its lists otherwise"
        )
        wrong = set(records.wrong(self.found["waited"]))
        self._need(
            set(self.found["names"]) == wrong,
            "The file names other pictures than those that the model had wrong",
        )
        return "The file is what the project keeps of it, and its lists have their hash."

    def _fixed_before(self) -> str:
        plan, terms = self.plan, self.plan.terms
        said = self.found
        for name in ("target", "level", "seed", "model", "attempt", "terms"):
            self._need(
                said[name] == getattr(plan, name), f"The plan says another {name} than the file"
            )
        first = self.store.database.connection.execute(
            "SELECT min(id) FROM events WHERE plan = ?", (plan.number,)
        ).fetchone()[0]
        self._need(
            first is None or first > terms["position"], "The plan is younger than its first answer"
        )
        return "Terms, seed and model are those of the plan, which is older than its first answer."

    def _level(self) -> str:
        plan = self.plan
        self.sha256 = {
            row["id"]: row["sha256"]
            for row in self.store.database.connection.execute("SELECT id, sha256 FROM items")
        }
        self.items = self.store.plans.items(plan.number)
        # A plan that breaks its level cannot be made.
        self.attempt = self.store.plans.attempt(plan)
        terms: Terms = self.attempt.terms
        before = [p for p in self.store.plans.all() if p.number < plan.number]
        attempt = 1 + sum(each.begun is not None for each in before)
        self._need(
            plan.attempt == terms.attempt == attempt,
            f"It was attempt {attempt} of the project, not {plan.attempt}",
        )
        for each in before:
            answered = self.store.database.connection.execute(
                "SELECT 1 FROM events WHERE plan = ? AND kind <> 'auto' LIMIT 1", (each.number,)
            ).fetchone()
            self._need(
                answered is None or each.begun is not None,
                f"Attempt number {each.number} has answers, and does not count",
            )
        level = attempt_level(plan.level, attempt)
        same = (terms.target, terms.level) == (plan.target, plan.level)
        self._need(same, "The plan was made for another target or level")
        self._need(
            self.attempt.plan.level >= level - 1e-12,
            f"The plan holds {self.attempt.plan.level}, attempt {attempt} must hold {level}",
        )
        granted = allowed_errors(self.attempt.n_items - terms.room, plan.target)
        self._need(
            self.attempt.plan.allowed <= granted,
            f"The plan allows {self.attempt.plan.allowed} errors, {granted} are granted",
        )
        return (
            f"The plan holds its level, {level:.4g}, which all attempts together keep to "
            f"{plan.level:g}, and allows no more errors than {plan.target:g} grants."
        )

    def _drawn_from(self) -> str:
        plan, attempt = self.plan, self.attempt
        said, by_hand, _ = self.store.plans.said(plan.number)
        expected = np.zeros(len(said), bool)
        expected[unsure_first(said.margin, attempt.terms.by_hand)[0]] = True
        self._need(
            np.array_equal(by_hand, expected),
            "Those by hand are not those of which the model was least sure",
        )
        known = (said.confidence >= 0) & (said.confidence <= 1) & np.isfinite(said.margin)
        self._need(bool(known.all()), "There are confidences that are none")
        counts = plan.terms["waiting"], plan.terms["before"]
        before = self.store.plans.before(plan.number)
        self._need(
            counts == (len(self.items), len(before)),
            "The plan was drawn from more or fewer pictures than it says",
        )
        if isinstance(attempt.plan, WeightedPlan):
            self._need(len(attempt.plan.rates) == len(attempt.left), "Rates are missing")
        had = records.labels_at(self.store.database.connection, plan.terms["position"])
        self._need(
            all(had.get(i, records.NO_LABEL).label is None for i in self.items.tolist()),
            "Pictures that had a label are said to have waited",
        )
        self._need(
            records.standing_before(before.tolist(), had, ()) == len(before),
            "Pictures that had no label by a person are said to have had one",
        )
        self._need_counted_once(set(before.tolist()), had)
        models = self.store.models.all()
        known_model = any(model.sha256 == plan.model for model in models)
        self._need(known_model, "The project knows no such model")
        return (
            f"It was drawn from {len(self.items):,} pictures that waited; those by hand are those "
            "of which the model was least sure."
        )

    def _need_counted_once(self, before: set[int], had: dict[int, records.Standing]) -> None:
        """Break off where labels stand for an earlier certificate by which others still stood."""
        for each in self.store.plans.all():
            if each.state != CERTIFIED or each.number >= self.plan.number:
                continue
            waited = self.store.plans.items(each.number).tolist()
            if any(had.get(item, records.NO_LABEL).is_auto for item in waited):
                again = before & {*waited, *self.store.plans.before(each.number).tolist()}
                self._need(
                    not again,
                    f"{len(again):,} labels of certificate {each.number} are counted once more",
                )

    def _answers(self) -> str:
        plan, found = self.plan, self.found
        hashes = set(found["missing"])
        self.lost = {item for item, sha256 in self.sha256.items() if sha256 in hashes}
        self.attempt = self.store.plans.replay(plan, self.lost, found["position"])
        lists = records.pictures(
            self.store, plan, self.attempt, found["position"], self.lost, certified=True
        )
        for name, kind in (("waited", "waited"), ("before", "had a label before")):
            rows = zip(lists[name], found[name], strict=False)
            wrong = [there[0] for there, said in rows if there != said]
            same = len(lists[name]) == len(found[name]) and not wrong
            first = f", the first {wrong[0][:16]}" if wrong else ""
            self._need(
                same,
                f"{len(wrong) or 'Some'} of the pictures that {kind} are not as the file says"
                f"{first}",
            )
        return f"The {self.attempt.n_answered:,} answers are those that the project's events tell."

    def _decision(self) -> str:
        attempt, counts = self.attempt, self.found["counts"]
        self._need(
            attempt.decision == CERTIFIED,
            f"Drawn again from the seed, these answers do not certify: {attempt.decision}"
            + _of_another_numpy(self.found["versions"]["numpy"]),
        )
        again = records.core(
            self.store, self.plan, attempt, self.lost, CERTIFIED, self.found["position"]
        )
        again = json.loads(json.dumps(again))
        # These are not computed: when, by which programs, and how classes were called then.
        said = {"decided", "versions", "classes", "text"}
        changed = sorted(
            name for name in again.keys() - said if again[name] != self.found.get(name)
        )
        self._need(not changed, f"Something else comes out than the file says: {changed}")
        return (
            f"Drawn again from the seed, {counts['audited']:,} answers of the audit with "
            f"{counts['errors']:,} errors certify it."
        )

    def _labels(self) -> str:
        connection = self.store.database.connection
        rows = connection.execute(
            """SELECT item, label, confidence, models.sha256 FROM events
            JOIN models ON models.id = model WHERE plan = ? AND kind = 'auto'""",
            (self.plan.number,),
        ).fetchall()
        said, rest = self.attempt.said, self.attempt.rest
        expected = {
            item: (int(said.predicted[at]), float(said.confidence[at]), self.plan.model)
            for item, at in zip(self.items[rest].tolist(), rest.tolist(), strict=True)
            if item not in self.lost
        }
        given = {row[0]: tuple(row)[1:] for row in rows}
        self._need(len(given) == len(rows), "Pictures got two automatic labels")
        self._need(
            given == expected,
            f"The model gave {len(given):,} labels, of which "
            f"{sum(expected.get(i) == v for i, v in given.items()):,} are among the "
            f"{len(expected):,} that the certificate allows",
        )
        return f"The model labelled the {len(given):,} pictures that were left, as it had said."

    def _promise(self) -> str:
        counts = self.found["counts"]
        left = may_be_wrong(self.attempt, self.items, self.lost)
        granted = allowed_errors(counts["labels"], self.plan.target)
        self._need(
            left <= granted, f"{left:,} errors may be left, {granted:,} of the labels are granted"
        )
        # What stands below the promise may be worded in another way by another version.
        promise = records.sentences(self.found)[0]
        self._need(
            self.found["text"][:1] == [promise], f"It promises something else than: {promise}"
        )
        return f"At most {left:,} labels may be wrong; the promise grants {granted:,}."

    def _files(self) -> Line:
        before = self.store.plans.before(self.plan.number).tolist()
        items = [item for item in (*self.items.tolist(), *before) if item not in self.lost]
        bad = [self.sha256[item] for item in items if not self._is_there(self.sha256[item])]
        if bad:
            text = f"{len(bad):,} picture files are missing or changed, the first {bad[0][:16]}"
            return Line(False, text)
        return Line(True, f"The {len(items):,} picture files are those that were labelled.")

    def _is_there(self, sha256: str) -> bool:
        path = self.store.files.picture(sha256)
        return path.is_file() and sha256_of(path) == sha256


def _of_another_numpy(version: str) -> str:
    """Say that the draws may differ for another reason, '' where there is none."""
    here = records.versions()["numpy"]
    return "" if version == here else f" (drawn with numpy {version}, here is {here}: try that one)"
