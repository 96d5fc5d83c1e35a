"""Which backbone: at first by the pictures' size and colour, then by accuracy out of fold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alutils.base.artefacts import ArtefactError
from alutils.base.errors import ParameterError, nearest
from alutils.base.lite_weights import lite_weights
from alutils.models import out_of_fold
from alutils.models.backbones.names import Backbone
from alutils.models.classifier import Classifier

_log = logging.getLogger("alutils")

SMALL = 64
"""Pictures of at most so many pixels a side are small: letters, digits, signs."""
FOR_SIGNS = Backbone("vgg16-block3+4")
FOR_PHOTOGRAPHS, FOR_SMALL_PHOTOGRAPHS = Backbone("lite0"), Backbone("lite0", (128, 128))
WITHOUT_LITE = Backbone("vgg16-block4", (96, 96))
FOLDS, LEVEL, LEAST_GAIN = 5, 0.05, 0.01
"""Folds; error level of a switch, over all candidates; and the least gain in accuracy for one."""


def first_choice(
    sizes: Sequence[tuple[int, int]],
    colour: bool,
    is_there: Callable[[str], bool] | None = None,
) -> tuple[Backbone, str]:
    """Choose a backbone before there are labels, by what kind of pictures these are.

    Parameters
    ----------
    sizes : (height, width) of the pictures, or of some of them
    colour : whether they are in colour
    is_there : whether the weights of ``lite0`` can be had; None to try, which may download them

    Returns
    -------
    backbone
    why : one line

    Raises
    ------
    ParameterError
        If there are no sizes, or they are not pairs of numbers above 0.
    """
    sides = np.asarray(sizes)
    if sides.ndim != 2 or sides.shape[1:] != (2,) or not len(sides) or sides.min() < 1:
        raise ParameterError("sizes", sizes, "expected (height, width) of one picture or more")
    long_side = int(np.median(sides.max(axis=1)))
    kind = f"pictures of {long_side} pixels in {'colour' if colour else 'grey'}"
    if long_side <= SMALL and not colour:
        return FOR_SIGNS, f"{kind} are taken for signs such as letters: {FOR_SIGNS}"
    if not (is_there or _can_be_had)("lite0"):
        return WITHOUT_LITE, f"{kind}: {WITHOUT_LITE}, as EfficientNet's weights cannot be had here"
    chosen = FOR_SMALL_PHOTOGRAPHS if long_side <= 2 * SMALL else FOR_PHOTOGRAPHS
    return chosen, f"{kind} are taken for photographs: {chosen}"


def _can_be_had(name: str) -> bool:
    try:
        lite_weights(name)
    except ArtefactError as error:
        _log.warning("%s", str(error).splitlines()[0])
        return False
    return True


@dataclass(frozen=True)
class Comparison:
    """How well the same labels are learned on the features of several backbones.

    Attributes
    ----------
    accuracy : name -> accuracy out of fold, in the order that was given
    chosen : the name to go on with
    why : one line
    """

    accuracy: dict[str, float]
    chosen: str
    why: str


def compare(
    features: Mapping[str, np.ndarray],
    labels: np.ndarray,
    *,
    current: str,
    make: Callable[[], Classifier],
    rng: np.random.Generator,
    folds: int = FOLDS,
) -> Comparison:
    """Compare backbones by the accuracy of a quick learner out of fold, and say whether to switch.

    Another backbone is chosen only if it is clearly better on the same items in the same folds: its
    gain is at least `LEAST_GAIN`, and an exact test on the items that only one of the two has right
    rejects, at `LEVEL` divided by the number of candidates, that both are equally good. What was
    switched to becomes ``current``, so that coming back takes as clear a result: it does not flap.

    Parameters
    ----------
    features : name of a backbone -> (n, n_features) of the labelled pictures, the same pictures in
        the same order for all
    labels : (n,) int, classes from 0
    current : the name that is in use
    make : gives a new quick learner; if it has ``classes_``, its columns are those classes
    rng : deals the items into folds
    folds : 2 or more

    Returns
    -------
    Comparison

    Raises
    ------
    ParameterError
        For features and labels that do not fit, fewer labels than folds, an unknown ``current``.

    Source: McNemar (1947), in its exact form.
    """
    labels = np.asarray(labels)
    if current not in features:
        raise ParameterError("current", current, nearest(current, features))
    for name, each in features.items():
        if len(each) != len(labels):
            raise ParameterError(f"features[{name}]", len(each), f"expected {len(labels)} rows")
    fold = out_of_fold.dealt(labels, folds, rng)
    n_classes = int(labels.max()) + 1
    right = {
        name: _right(make, np.asarray(each), labels, fold, n_classes)
        for name, each in features.items()
    }
    accuracy = {name: float(each.mean()) for name, each in right.items()}
    others = [name for name in features if name != current]
    seen = ", ".join(f"{name} {accuracy[name]:.1%}" for name in features)
    about = f"out of fold on {len(labels):,} labels: {seen}"
    clear = [name for name in others if _is_clear(right[name], right[current], len(others))]
    if not clear:
        return Comparison(accuracy, current, f"{current} stays ({about}); none is clearly better")
    best = max(clear, key=accuracy.__getitem__)
    return Comparison(accuracy, best, f"{best} instead of {current} ({about})")


def _right(
    make: Callable[[], Classifier],
    features: np.ndarray,
    labels: np.ndarray,
    fold: np.ndarray,
    n_classes: int,
) -> np.ndarray:
    """(n,) bool, which items a learner that has not seen them has right."""
    p = out_of_fold.out_of_fold(make, features, labels, fold, n_classes=n_classes)
    return p.any(axis=1) & (p.argmax(axis=1) == labels)


def _is_clear(right: np.ndarray, before: np.ndarray, candidates: int) -> bool:
    """Whether a candidate is clearly better than what is in use."""
    from scipy.stats import binomtest

    won, lost = int((right & ~before).sum()), int((before & ~right).sum())
    if won - lost < LEAST_GAIN * len(right) or not won:
        return False
    return binomtest(won, won + lost, alternative="greater").pvalue <= LEVEL / candidates
