"""How the models of a project see its pictures, and what a person has to decide before they may.

Every picture is looked at once. Where pictures differ from what the model at work has seen, or some
of them from all others, that is a question; until a person has answered it, nothing is labelled by
a model: no prediction is offered, no picture filed, no attempt to finish begun. A few odd pictures
are set aside by themselves. The answer is kept with the project and done to each picture before a
model reads it, by the quick learner, the strong ones and a model that was brought alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from alutils.labelling.model.features import FeatureCache
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.models import looks
from alutils.models.conversion import Conversion
from alutils.models.looks import Looks
from alutils.models.prediction import AS_THEY_ARE, CONVERSIONS
from alutils.models.seen import Ground, Seen
from alutils.models.unlike import (
    FEW,
    OTHERWISE,
    Unlike,
    against_seen,
    among_themselves,
    ground_of,
    newcomers,
)

log = logging.getLogger(__name__)
IN_WORDS = {
    "invert": "Invert them for the model",
    "invert-where-needed": "Invert those for the model",
    "stretch-where-needed": "Spread their levels for the model",
    "grey": "Make them grey for the model",
    AS_THEY_ARE: "Read them as they are",
}
_DONE = {
    "invert": "All pictures are inverted for the model",
    "invert-where-needed": "Pictures that are {other} are inverted for the model",
    "stretch-where-needed": "Levels of pictures that have few are spread for the model",
    "grey": "Pictures are made grey for the model",
    AS_THEY_ARE: "Pictures are read as they are",
}
_ABOUT = {
    "background": "whatever their background",
    "levels": "whatever their levels",
    "colour": "in colour or grey",
    "size": "whatever their size",
    "shape": "whatever their proportions",
    "turned": "whichever way they lie",
    "ink": "whatever the size of what is drawn",
}
WAITS = "Until that is decided, no model labels anything."


@dataclass(frozen=True)
class Question:
    """What a person has to decide.

    Attributes
    ----------
    kind : what it is about, as of `alutils.models.seen.Difference`
    text : what differs, in a sentence
    ways : what can be done, ``{"choice": ..., "text": ...}`` each
    """

    kind: str
    text: str
    ways: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class State:
    """What is told of it.

    Attributes
    ----------
    questions : what has to be decided
    holds : whether until then no model labels anything; else only the odd pictures are set aside
    set_aside : pictures that get no prediction meanwhile
    decided : what was decided: ``kind``, ``text``, ``person``, ``when``
    """

    questions: tuple[Question, ...] = ()
    holds: bool = False
    set_aside: int = 0
    decided: tuple[dict[str, str], ...] = ()


class _LooksOf:
    """Looks at pictures, as what computes rows that are kept."""

    identity = "looks 1"

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        return looks.row(picture)

    def __call__(self, prepared: list[np.ndarray], /) -> np.ndarray:
        return np.stack(prepared)


class Reading:
    """How pictures are read; of one project.

    Parameters
    ----------
    store : the project

    Attributes
    ----------
    conversion : what is done to each picture, by what was decided
    state : what is told of it
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.conversion, self.state = Conversion(), State()
        self._decided: dict[str, dict[str, Any]] = {}
        self._found: dict[str, Unlike] = {}
        self._odd = self._looked = np.empty(0, np.int64)
        self._judged: tuple[object, ...] = ()
        self._cache: FeatureCache | None = None
        self.renew()

    @property
    def is_due(self) -> bool:
        """Whether something was decided since `renew`."""
        return self.store.readings.decided() != self._decided

    def renew(self) -> bool:
        """Take over what was decided; returns whether pictures are converted in another way now."""
        self._decided, self._judged = self.store.readings.decided(), ()
        before, self.conversion = self.conversion, conversion_of(self._decided)
        self.state = replace(self.state, decided=told(self._decided))
        return before != self.conversion

    def look(
        self,
        now: Mapping[str, np.ndarray],
        seen: Seen | None,
        learned: Sequence[int],
        stop: Callable[[], bool],
    ) -> None:
        """Look at pictures that are new, and find what has to be decided.

        Parameters
        ----------
        now : as `alutils.labelling.store.reader.Reader.snapshot` gives it
        seen : of the model that was brought; None without one, and where it does not say
        learned : numbers of the pictures that the model at work has learned from here
        stop : is asked whether to end
        """
        if self._cache is None:
            self._cache = FeatureCache(self.store.files.model, _LooksOf())
        sha256 = now["sha256"].tolist()
        self._cache.compute(sha256, self.store.files.picture, stop)
        there = self._cache.has(sha256)
        ids = now["id"][there]
        last = max(learned, default=0)
        judged = (len(ids), int(ids[-1]) if len(ids) else 0, seen, len(learned), last)
        if judged == self._judged or not len(ids):
            return
        self._judged = judged
        of_all = Looks(self._cache.get([s for s, has in zip(sha256, there, strict=True) if has]))
        of_all = of_all.converted(self.conversion)
        found = [] if seen is None else against_seen(of_all, seen)
        kinds = {each.kind for each in found}
        if seen is not None:  # what the model has seen says what is usual
            kinds |= {"levels"} | ({"background"} if ground_of(seen) != "none" else set())
        found += [each for each in among_themselves(of_all) if each.kind not in kinds]
        if learned:
            self._ask_of_newcomers(of_all, np.isin(ids, list(learned)), ids > last, last)
        found += self._asked(ids)
        open_ones: dict[str, Unlike] = {}
        for each in found:
            if self._decided.get(each.kind, {}).get("choice") != AS_THEY_ARE:
                open_ones.setdefault(each.kind, each)
        self._looked = ids
        self._settle(open_ones, ids)

    def _ask_of_newcomers(
        self, of_all: Looks, learned: np.ndarray, new: np.ndarray, last: int
    ) -> None:
        """Compare what came after the pictures that were learned from; a question is kept.

        Otherwise it would be gone as soon as some of them are labelled and learned from.
        """
        for each in newcomers(of_all.take(learned), of_all.take(new)):
            if self._decided.get(each.kind, {}).get("choice") != AS_THEY_ARE:
                self.store.readings.ask(each.kind, asdict(each) | {"odd": None, "after": last})

    def _asked(self, ids: np.ndarray) -> list[Unlike]:
        """Return what is asked of pictures that came after others."""
        kept = []
        for asked in self.store.readings.asked().values():
            parts = {name: value for name, value in asked.items() if name != "after"}
            parts |= {"odd": ids > asked["after"], "ways": tuple(asked["ways"])}
            kept.append(Unlike(**parts | {"whole": tuple(asked["whole"])}))
        return kept

    def _settle(self, found: dict[str, Unlike], ids: np.ndarray) -> None:
        odd = np.zeros(len(ids), bool)
        for each in found.values():
            odd |= each.odd
        questions = tuple(
            Question(
                each.kind,
                _sentence(each.sentence),
                tuple({"choice": way, "text": IN_WORDS[way]} for way in each.ways),
            )
            for each in found.values()
        )
        holds = bool(odd.mean() > FEW)
        before, self._found, self._odd = self.state, found, ids[odd]
        self.state = State(questions, holds, int(odd.sum()), told(self._decided))
        if questions and questions != before.questions:
            log.warning("%s Say above the picture in the queue how these are read.", self.why)

    @property
    def why(self) -> str:
        """What has to be decided, in words; '' for nothing."""
        texts = [question.text for question in self.state.questions]
        if self.state.holds:
            texts.append(WAITS)
        elif texts:
            texts.append("No model labels these until that is decided.")
        return " ".join(texts)

    def may_be_read(self, ids: np.ndarray) -> np.ndarray:
        """(n,) bool, which pictures a model may say something of now."""
        if self.state.holds:
            return np.zeros(len(ids), bool)
        return np.isin(ids, self._looked) & ~np.isin(ids, self._odd)

    def is_odd(self, item: int) -> bool:
        """Whether a picture was looked at, and no model may say anything of it now."""
        return self.state.holds or bool((self._odd == item).any())

    def check(self) -> None:
        """`LabellingError` where something has to be decided before a model labels anything."""
        if self.state.holds:
            raise LabellingError(
                f"{self.why} Say above the picture in the queue how these are read"
            )

    def decide(self, person: str, kind: str, choice: str | None) -> None:
        """Take a decision: one of a question's ways, or None to be asked again.

        `LabellingError` for what is no such question or way; `ConflictError` while an attempt to
        finish goes on.
        """
        if not isinstance(kind, str) or not isinstance(choice, str | None):
            raise LabellingError(f"kind={kind!r}, choice={choice!r}: expected two texts")
        if choice is None:
            if kind not in self.store.readings.decided():
                raise LabellingError(f"kind={kind!r}: nothing was decided about that")
            self.store.readings.decide(person, kind, None)
            return
        found = self._found.get(kind)
        if found is None:
            known = ", ".join(self._found) or "nothing at present"
            raise LabellingError(f"kind={kind!r}: expected what is asked: {known}")
        if choice not in found.ways:
            raise LabellingError(f"choice={choice!r}: expected one of {', '.join(found.ways)}")
        self.store.readings.decide(
            person, kind, choice, ground=found.ground, whole=list(found.whole)
        )


def conversion_of(decided: Mapping[str, Mapping[str, Any]]) -> Conversion:
    """Return what is done to pictures by decisions, as the store keeps them."""
    chosen = {each["choice"]: each for each in decided.values()}
    steps = tuple(name for name in CONVERSIONS if name in chosen and name != AS_THEY_ARE)
    made = Conversion(steps)
    if "invert-where-needed" in chosen:
        made = replace(made, ground=chosen["invert-where-needed"]["ground"])
    if "stretch-where-needed" in chosen:
        low, high = chosen["stretch-where-needed"]["whole"]
        made = replace(made, whole=(float(low), float(high)))
    return made


def told(decided: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], ...]:
    """Return decisions as they are told: ``kind``, ``text``, ``person``, ``when``."""
    return tuple(
        {
            "kind": kind,
            "text": _done(kind, each["choice"], each.get("ground", "none")),
            "person": each["person"],
            "when": each["when"],
        }
        for kind, each in decided.items()
    )


def _done(kind: str, choice: str, ground: Ground) -> str:
    text = _DONE[choice].format(other=OTHERWISE[ground])
    return f"{text}, {_ABOUT[kind]}." if choice == AS_THEY_ARE else f"{text}."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
