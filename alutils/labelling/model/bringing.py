"""The model that was brought along: loaded once, and what it says of the pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alutils.labelling.model.at_work import AtWork, Brought
from alutils.labelling.model.contest import BROUGHT
from alutils.labelling.model.features import Answers, Converted, FeatureCache
from alutils.labelling.store.names import checked_name
from alutils.labelling.store.records import LabellingError
from alutils.labelling.store.store import Store
from alutils.models.conversion import Conversion
from alutils.models.model_files import SavedModelError
from alutils.models.picture_models import PictureModel


class Bringing:
    """Takes in a model that was brought, and gives it up where it cannot be used.

    Parameters
    ----------
    store : the project
    folder : of the saved model; None for none
    load : loads it

    Attributes
    ----------
    model : None before it is loaded, without one, and once it was given up
    refusal : why it was given up, '' if it was not
    """

    def __init__(
        self, store: Store, folder: Path | str | None, load: Callable[[Path | str], PictureModel]
    ) -> None:
        self._store, self._folder, self._load = store, folder, load
        self.model: PictureModel | None = None
        self.refusal = ""

    @property
    def is_coming(self) -> bool:
        """Whether there is one, which says something of each picture sooner or later."""
        return self.model is not None

    def begin(self) -> None:
        """Load it; an empty project takes its classes over."""
        if self._folder is None or self.model is not None:
            return
        try:
            model = self._load(self._folder)
            self._take_classes(model.classes)
            self.model = model
        except (LabellingError, SavedModelError) as error:
            self._folder, self.refusal = None, f"The model cannot be used: {error}"

    def _take_classes(self, classes: tuple[str, ...]) -> None:
        """Check a model's classes against the project's; an empty project takes them over."""
        names = [c.name for c in self._store.classes.all()]
        other = next((each for each in classes if checked_name(each) != each), None)
        if other is not None and other not in names:
            raise LabellingError(
                f"its class {other!r} is written in another form than names are kept in here; "
                f"train it again with the class {checked_name(other)!r}"
            )
        if not names:
            self._store.classes.add(classes)
            return
        strange = [name for name in classes if name not in names]
        if strange:
            raise LabellingError(
                f"it has {len(strange)} classes that the project has not ({', '.join(strange[:5])}"
                f"{', ...' if len(strange) > 5 else ''}); add them, or begin another project"
            )

    def read(
        self,
        at_work: AtWork,
        sha256: list[str],
        conversion: Conversion,
        stop: Callable[[], bool],
    ) -> None:
        """Let it read all pictures, each once."""
        if self.model is None:
            return
        before = at_work.brought
        if before is not None and len(before.row) == len(sha256):
            return
        try:
            reads = Converted(Answers(self.model), conversion)
            answers = FeatureCache(self._store.files.model, reads)
            answers.compute(sha256, self._store.files.picture, stop)
            missing = set(answers.missing(sha256))
            known = [each for each in sha256 if each not in missing]
            row = {each: i for i, each in enumerate(known)}
            at_work.brought = Brought(self.model, answers.get(known), row)
            at_work.name = at_work.name or BROUGHT
        except ValueError as error:
            self.give_up(at_work, error)

    def give_up(self, at_work: AtWork, error: Exception) -> None:
        """Go on without it: it will not get better by trying again."""
        self.refusal = f"The model cannot be used: {error}"
        self.model = at_work.brought = None
        if at_work.name == BROUGHT:
            at_work.name = ""
            self._store.models.clear_scores()
