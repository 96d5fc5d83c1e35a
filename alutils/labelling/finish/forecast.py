"""What a certificate for this project will cost, from what its model got right out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alutils.guarantee import cost, error_chances
from alutils.guarantee.cost import Choice, Waiting
from alutils.guarantee.cost_forecasts import TARGETS, Forecasts, Pool, forecasts
from alutils.guarantee.error_chances import ErrorChances
from alutils.guarantee.terms import attempt_level, percent
from alutils.labelling.model.training import Training
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store


class Forecaster:
    """Forecasts for one project; each is computed once, until something happens in the project.

    Parameters
    ----------
    store : the project
    training : its models
    """

    def __init__(self, store: Store, training: Training) -> None:
        self._store, self._training = store, training
        self._kept: tuple[tuple[object, ...], Forecasts] | None = None

    def forecasts(
        self,
        targets: Sequence[float] = TARGETS,
        *,
        attempt: int = 1,
        level: float = 0.95,
        spare: int = 0,
    ) -> Forecasts:
        """Forecast what certificates cost now, and after more labels to train on.

        Parameters
        ----------
        targets : shares of right labels
        attempt : which attempt it would be
        level : of all attempts together
        spare : errors that are kept back for pictures that nobody can name

        Raises
        ------
        LabellingError
            Where there is no model yet.
        """
        pool, waiting, chances, n_judged = self._known(attempt, level, spare)
        about = (
            self._store.reader.position(),
            self._training.said,
            tuple(targets),
            pool,
            self._training.n_new,
        )
        if self._kept is None or self._kept[0] != about:
            found = forecasts(pool, waiting, chances, n_judged=n_judged, targets=targets)
            note = f"{found.note}{self._also_known()}{_held_to(attempt, level)}"
            self._kept = about, replace(found, note=note)
        return self._kept[1]

    def _also_known(self) -> str:
        """Say how good the model is on which pictures, and what it has not learned from yet."""
        training, said = self._training, ""
        right, points = training.right, training.points
        if right is not None:
            said += (
                f" By these the model is right on about {right.middle:.0%} of all pictures "
                f"(likely {right.low:.0%} to {right.high:.0%})"
            )
            hard = points[-1].labelled if points else None
            if hard is not None and hard.judged:
                said += f"; on the labelled ones alone, mostly the hard ones, on {hard.value:.0%}"
            said += "."
        if training.n_new:
            said += f" Newer labels or changes ({training.n_new:,}) count when it learns again."
        return said

    def choice(
        self,
        target: float,
        *,
        by_hand: int | None = None,
        attempt: int = 1,
        level: float = 0.95,
        spare: int = 0,
    ) -> Choice:
        """Choose how one finishes now: the number by hand and the kind of audit.

        Parameters
        ----------
        target : share of right labels
        by_hand : a number that is settled already; None: the one that costs least
        attempt, level, spare : as in `forecasts`
        """
        pool, waiting, chances, _ = self._known(attempt, level, spare)
        p = chances.of(waiting.margin)
        return cost.chosen(waiting, p, pool.promise(target), by_hand=by_hand)

    def _known(
        self, attempt: int, level: float, spare: int
    ) -> tuple[Pool, Waiting, ErrorChances, int]:
        """Return the pool, what waits in it, how likely the model is wrong, and from how many."""
        said, judged = self._training.said, self._training.judged
        present = self._store.models.present()
        if said is None or judged is None or present is None or said.model != present.sha256:
            raise LabellingError(
                "There is no forecast without a model that was tried on labelled pictures: label "
                "on, it comes by itself."
            )
        now = self._store.reader.snapshot()
        place = np.searchsorted(said.ids, now["id"])
        known = said.ids[np.minimum(place, len(said.ids) - 1)] == now["id"]
        waits = now["waits"] & known
        labelled = now["id"][now["label"] >= 0]
        n_before = len(np.setdiff1d(labelled, self._store.plans.counted()))
        pool = Pool(n_before, int(waits.sum()), attempt, level, spare)
        waiting = Waiting.of(said.p[place[waits]])
        return pool, waiting, error_chances.fitted(judged), len(judged.margin)


def _held_to(attempt: int, level: float) -> str:
    """Say how strict an attempt is that is not the first; '' for the first."""
    if attempt == 1:
        return ""
    strict = percent(round(attempt_level(level, attempt), 9))
    return (
        f" This would be attempt {attempt}, held to {strict}, so that all attempts together keep "
        f"{percent(level)}."
    )
