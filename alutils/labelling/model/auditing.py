"""Which automatic labels may be believed: the audit slice, asked for certificates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alutils.guarantee.anytime import anytime_labels_needed, certify_anytime, spent_level
from alutils.guarantee.certificates import Certificate
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store

TARGET, LEVEL = 0.98, 0.95


@dataclass(frozen=True)
class Permission:
    """Whether pictures may be labelled automatically."""

    threshold: float | None  # the certified confidence, None where it is not allowed
    reason: str  # a sentence
    missing: int | None  # audit labels, at the least; None where that cannot be told


class Auditor:
    """Certifies thresholds for the present model and the present pictures of a project.

    The audit slice is drawn when pictures come in and labelled in random order, without its
    predictions being shown; it never trains a model. Certificates hold however often they are asked
    for while it grows (`alutils.guarantee.anytime`), and only answers count that stand in the
    slice's random order with no gap before them (`AuditSlice.answers`). Each further model asked
    about, or the same one about other pictures, gets a smaller part of the risk, so that all
    promises ever made to a project hold together at the level. That is so as long as nobody picks a
    model by how it does on the slice: its accuracy there is told only after it was asked about
    (`alutils.labelling.model.loop.Status`), but who counts it in the grid and asks then, cheats.

    Parameters
    ----------
    store : the project
    target, level : promise that this share of the automatic labels is right, at this level
    """

    def __init__(self, store: Store, target: float = TARGET, level: float = LEVEL) -> None:
        for name, value in (("target", target), ("level", level)):
            if not 0 < value < 1:
                raise LabellingError(f"{name}={value}: expected more than 0 and less than 1")
        self.store, self.target, self.level = store, target, level

    def certify(self) -> Certificate:
        """Ask which threshold may be believed.

        Pictures of the audit slice that were only skipped count as wrong: leaving out what is hard
        would flatter the model. A question that so few labels cannot answer is not asked: it would
        cost its part of the risk for nothing.

        Raises
        ------
        LabellingError
            Where there is no model, or the audit slice has too few labels even if all are right.
        """
        model, data = self._question()
        if not self.store.audit.was_asked(model, data):
            permission = self.permission()
            if permission.missing:
                raise LabellingError(permission.reason)
        return self._certificate(model, data, self.store.audit.number_of_question(model, data))

    def auto_label(self) -> int:
        """Label every picture over the certified threshold; returns how many.

        `LabellingError` where there is no valid certificate: why not, and what is missing.
        """
        found = self.certify()
        if found.threshold is None or not found.valid_for(*self._question()):
            raise LabellingError(found.sentence())
        return self.store.models.auto_label(found.model, found.threshold, found.to_dict())

    def permission(self) -> Permission:
        """Tell whether automatic labels are allowed now, without asking a new question."""
        try:
            model, data = self._question()
            if self.store.audit.was_asked(model, data):
                number = self.store.audit.number_of_question(model, data)
                found = self._certificate(model, data, number)
                too_small = self._too_small(found.n_audit + (found.missing or 0))
                reason = f"{found.sentence()} {too_small}".rstrip()
                return Permission(found.threshold, reason, found.missing)
        except LabellingError as error:
            return Permission(None, str(error), None)
        level = spent_level(self.level, self.store.audit.number_of_question(model, data, ask=False))
        needed = anytime_labels_needed(self.target, level)
        answered = self.store.audit.answers()["answered"][:needed]  # further on count only then
        missing = needed - int(answered.sum())
        if not missing:
            what = "there may be enough labels in the audit slice, so ask for one."
        else:
            what = f"{missing} more labels in the audit slice are needed at the least. " + (
                self._too_small(needed) or "Its pictures come by themselves among the others."
            )
        reason = f"This model has no certificate for these pictures: {what}"
        return Permission(None, reason, missing)

    def _too_small(self, needed: int) -> str:
        """Say what to do if the slice has fewer pictures, '' if it has so many."""
        # It must not grow by pictures that were not drawn when they came: the unsure ones of these
        # are labelled and trained on, so what is left would flatter the model.
        size, share = self.store.audit.size(), self.store.audit.settings()["audit_share"]
        lacking = needed - size
        if lacking <= 0:
            return ""
        if not share:
            return "This project has no audit slice: begin another with one (--audit)."
        return (
            f"The slice has only {size:,} pictures, so label by hand; or add about "
            f"{math.ceil(lacking / share):,} pictures, of which a share of {share:g} is drawn into "
            "it; or begin another project with a larger share (--audit)."
        )

    def _question(self) -> tuple[str, str]:
        present = self.store.models.present()
        if present is None:
            raise LabellingError("There is no model yet: label on, it comes by itself.")
        return present.sha256, self.store.reader.data_hash()

    def _certificate(self, model: str, data: str, number: int) -> Certificate:
        audit = self.store.audit.answers()
        asked = audit["asked"]
        if not asked.any():  # taken back after the question
            raise LabellingError("Nothing in the audit slice has been labelled: label on.")
        return certify_anytime(
            audit["confidence"][asked],
            (audit["predicted"] == audit["label"])[asked],
            target=self.target,
            level=self.level,
            pool=audit["confidence"],
            planned=len(asked),
            model_number=number,
            model=model,
            data=data,
        )
