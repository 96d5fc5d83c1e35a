"""Which frozen network gives a project its features: at first by its pictures, then by its labels.

The first choice goes by size and kind of the pictures. After 50, 100 and 200 labels the candidates
are compared on these, out of fold; another one is taken if it is clearly better.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alutils.base.artefacts import ArtefactError
from alutils.base.errors import ParameterError
from alutils.labelling.model.at_work import Labelled
from alutils.labelling.model.features import some_pictures
from alutils.labelling.store.store import Store
from alutils.models.backbones import choice
from alutils.models.backbones.extractors import Extractor, extractor
from alutils.models.backbones.names import Backbone
from alutils.models.conversion import UNCHANGED, Conversion
from alutils.models.seen import Seen
from alutils.models.softmax_penalised import PenalisedSoftmax

log = logging.getLogger(__name__)
REVIEWS = (50, 100, 200)
"""Labels at which the choice is looked at again."""
SIGNS = ("vgg16-block3+4", "vgg16-block3", "pixels")
PHOTOGRAPHS = ("lite0@128", "lite0", "lite0,centre", "vgg16-block4@96")
"""What is compared, for small grey pictures and for all others."""
_LOOKED_AT = 30  # pictures that tell what kind they all are
_SETTING = "backbone"


class BackboneChoice:
    """The choice of one project; it is kept with the project.

    Parameters
    ----------
    store : the project
    given : a name, as people write it, a `Backbone`, or what computes features; then nothing is
        compared. None: it is chosen here

    Attributes
    ----------
    why : one line
    """

    def __init__(self, store: Store, given: Any = None) -> None:
        self._store, self._given = store, given
        kept: dict[str, Any] = json.loads(store.database.setting(_SETTING, "{}"))
        self.why: str = kept.get("why", "")
        self._reviewed: int = kept.get("reviewed", 0)
        self._kept = Backbone.from_json(kept["backbone"]) if "backbone" in kept else None

    def first(self, sha256: Sequence[str]) -> Extractor:
        """Return what computes features: as given, as kept, or chosen by some of these pictures."""
        if self._given is not None:
            made = extractor(self._given)
            self.why = f"Features: {made.backbone}, as asked for."
            return made
        if self._kept is not None:
            return extractor(self._kept)
        pictures = some_pictures(self._store.files, sha256, UNCHANGED, _LOOKED_AT)
        colour = bool(pictures) and Seen.of(pictures).colour > 0.5
        sizes = [each.shape[:2] for each in pictures] or [(32, 32)]
        backbone, why = choice.first_choice(sizes, colour)
        self._keep(backbone, f"Features: {why}.", 0)
        return extractor(backbone)

    def review(
        self, labelled: Labelled, current: Extractor, conversion: Conversion = UNCHANGED
    ) -> Extractor | None:
        """Compare the candidates, where as many labels are there as a review takes.

        Parameters
        ----------
        labelled : what to compare them on
        current : what gave its features
        conversion : of pictures before they are read

        Returns
        -------
        what to go on with if another one is clearly better, else None
        """
        n = len(labelled.y)
        reached = max((each for each in REVIEWS if each <= n), default=0)
        if self._given is not None or reached <= self._reviewed:
            return None
        name = str(current.backbone)
        names = SIGNS if name in SIGNS else PHOTOGRAPHS
        extractors: dict[str, Callable[[Any], np.ndarray] | Extractor] = {}
        features = {name: labelled.x}
        pictures = some_pictures(self._store.files, labelled.sha256, conversion, n)
        for other in names:
            if other == name or len(pictures) < n:
                continue
            try:
                made = extractor(other)
                prepared = np.stack([made.prepare(each) for each in pictures])
                features[other], extractors[other] = made(prepared), made
            except (ArtefactError, ImportError) as error:
                log.warning("%s is not compared: %s", other, str(error).splitlines()[0])
        found = choice.compare(
            features, np.unique(labelled.y, return_inverse=True)[1], current=name,
            make=PenalisedSoftmax, rng=np.random.default_rng(0),
        )  # fmt: skip
        chosen = current if found.chosen == name else extractors[found.chosen]
        assert isinstance(chosen, Extractor)
        self._keep(chosen.backbone, f"Features: {found.why}.", reached)
        return None if found.chosen == name else chosen

    def _keep(self, backbone: Backbone, why: str, reviewed: int) -> None:
        self.why, self._reviewed, self._kept = why, reviewed, backbone
        kept = {"backbone": backbone.to_json(), "why": why, "reviewed": reviewed}
        with self._store.database.transaction():
            self._store.database.set_setting(_SETTING, json.dumps(kept))


def checked(name: str) -> Backbone:
    """Read a backbone's name as ``--features`` gives it; ParameterError for one that is none."""
    try:
        return Backbone.parse(name)
    except ParameterError as error:
        raise ParameterError("--features", name, error.expected, error.hint) from error
