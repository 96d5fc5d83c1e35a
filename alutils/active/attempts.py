"""How often a promise about one pool was attempted: the pool counts, so that nobody need remember.

Every attempt at a certificate has a chance to give a false one. Six independent ones on one pool
would have six times the chance of one; so each must be held to a stricter level than the one before
(`alutils.guarantee.terms.attempt_level`), and somebody has to count. An `Attempts` travels with the
pool: copies of a `alutils.active.loops.pool.PoolState` share it. `KeptAttempts` finds earlier
attempts by the contents of the pictures, in a file, also after a new start.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from alutils.base.checks import check_count
from alutils.base.content import content_digest
from alutils.base.errors import ParameterError
from alutils.base.files import write_atomically


@dataclass
class Attempts:
    """How many attempts at a promise about one pool were begun.

    Attributes
    ----------
    begun : attempts so far, those included that were broken off
    closed : whether one of them was to be the only one, and got all of the risk
    """

    begun: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        check_count("begun", self.begun)

    def next_number(self, at_least: int = 1) -> int:
        """Return which attempt the next one is, from 1 on; nothing is counted yet.

        at_least : where attempts were made that are not counted here, what the number is at least
        """
        if self.closed:
            raise ParameterError(
                "attempts",
                self.begun,
                "an attempt on this pool was made to be the only one, and got all of the risk: "
                "expected none after it",
                "begin with attempt=1 where another one may follow",
            )
        return max(self.begun + 1, at_least)

    def begin(self, number: int, *, only: bool = False) -> None:
        """Count the attempt of this number, which `next_number` gave; ``only``: none follows."""
        self.begun, self.closed = number, only


@dataclass
class KeptAttempts(Attempts):
    """Attempts that are counted in a file too, by the contents of the pictures.

    Attributes
    ----------
    path : JSON lines, one an attempt, of any pools; made when the first attempt begins
    keys : digests of the pictures of this pool
    """

    path: Path = field(kw_only=True)
    keys: frozenset[str] = field(kw_only=True)

    @classmethod
    def of(cls, path: str | Path, pictures: np.ndarray) -> KeptAttempts:
        """Count on from what the file knows of any of these ``pictures``, (n, ...) any dtype.

        An attempt counts for a pool as soon as one picture was in both. So it is found again
        whatever the order, and where pictures were left out or added.
        """
        keys = frozenset(content_digest(picture) for picture in np.asarray(pictures))
        if not keys:
            raise ParameterError("pictures", len(keys), "expected at least one")
        found = [each for each in _lines(Path(path)) if not keys.isdisjoint(each["pictures"])]
        begun = max([len(found), *(each["number"] for each in found)])
        closed = any(each["only"] for each in found)
        return cls(begun, closed, path=Path(path), keys=keys)

    def begin(self, number: int, *, only: bool = False) -> None:
        """Count the attempt, in the file first: what is not written down is not begun."""
        about = {
            "number": number, "only": only, "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "pictures": sorted(self.keys),
        }  # fmt: skip
        noted = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        write_atomically(self.path, noted + json.dumps(about) + "\n")
        super().begin(number, only=only)


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the attempts that a file knows; ParameterError for a file that is none of ours."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            one = json.loads(line)
            number, only, pictures = one["number"], one["only"], one["pictures"]
            known = isinstance(number, int) and isinstance(only, bool)
            known = known and isinstance(pictures, list)
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ParameterError(
                "path", str(path), f"expected lines with attempts, found {line[:60]!r}",
                "give another file, or mend this one: attempts that are forgotten break promises",
            )  # fmt: skip
        found.append(one)
    return found
