"""Which pictures of a set a model must not be trusted with, before a person has looked.

Three things are held against each other: what a model has seen and all pictures (`against_seen`),
the pictures of one set among themselves (`among_themselves`: half of them may be inverted), and
pictures that came later with those that a model has learned from (`newcomers`).

What can be told of single pictures is told of them: a black letter on white where all others are
white on black, one that only has the levels 0 and 1. A letter counts as inverted if its background
is the other one *and* it fits the average of the others as a negative does: letters that fill their
picture have an edge that is mostly ink, and are no negatives. Of 4,000 real digits and letters with
a margin none passed for one, and all of them did once inverted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alutils.models.conversion import FULL
from alutils.models.looks import Looks
from alutils.models.prediction import AS_THEY_ARE
from alutils.models.seen import Difference, Ground, Seen

FEW = 0.05
"""Share of odd pictures up to which only they are set aside; of more, nothing is taken for sure."""
NEW = 20
"""Pictures of each kind that tell whether new ones differ from those learned from."""
_ALL = 0.98  # a share that counts as all
_MOST, _PLAIN = 0.5, 0.8  # of the pictures that have one background; that have any
_NEGATIVE = -0.1  # correlation with the average of the others, below which one is a negative
_TIGHT = 0.02  # share without a plain background, from which pictures fill their frame
_AVERAGE = 5  # pictures whose average says something
_DIM = 8.0  # times fewer levels than the others have
_MODEL, _OTHERS = "the model's pictures are", "the others are"
_ON: dict[Ground, str] = {"dark": "light on dark", "light": "dark on light", "none": ""}
_OTHER: dict[Ground, Ground] = {"dark": "light", "light": "dark", "none": "none"}
OTHERWISE: dict[Ground, str] = {each: _ON[other] for each, other in _OTHER.items()}
"""What pictures are called that have another background than this."""
_OF_LEARNED = ("background", "levels", "colour", "turned")


@dataclass(frozen=True, eq=False)
class Unlike:
    """One thing in which pictures differ.

    Attributes
    ----------
    kind : as of `alutils.models.seen.Difference`
    sentence : what it is, in words
    ways : what can be done, names of `alutils.models.prediction.CONVERSIONS`; the last is to have
        the pictures read as they are
    odd : (n,) bool, which of the pictures it is about
    ground : the background that the others have, where it is about that
    whole : the levels that the others have
    """

    kind: str
    sentence: str
    ways: tuple[str, ...]
    odd: np.ndarray
    ground: Ground = "none"
    whole: tuple[float, float] = FULL


def against_seen(looks: Looks, seen: Seen) -> list[Unlike]:
    """Say in what pictures differ from those that a model has seen.

    Parameters
    ----------
    looks : of one picture or more
    seen : what the model keeps of its training pictures
    """
    differences = {each.kind: each for each in seen.compare(looks.seen())}
    ground = ground_of(seen)
    average = None if seen.average is None else np.array(seen.average)
    whole = (seen.darkest, seen.lightest)
    found = [
        _background(looks, ground, average, _MODEL, 1 - seen.dark - seen.light > _TIGHT)
        if ground != "none"
        else None,
        _levels(looks, whole, "the model's pictures have"),
    ]
    told = {each.kind: each for each in found if each is not None}
    for kind, difference in differences.items():
        told.setdefault(kind, _of_all(difference, looks, seen))
    return list(told.values())


def among_themselves(looks: Looks) -> list[Unlike]:
    """Say in what some of the pictures differ from the others: a part inverted, or nearly black.

    Parameters
    ----------
    looks : of one picture or more
    """
    found = []
    grey = ~looks.colour
    dark, light = grey & looks.is_on("dark"), grey & looks.is_on("light")
    ground: Ground = "dark" if dark.sum() >= light.sum() else "light"
    usual = dark if ground == "dark" else light
    if usual.sum() >= _AVERAGE and (dark | light).mean() >= _PLAIN:
        average = looks.small[usual].mean(axis=0)
        is_tight = bool((grey & looks.is_on("none")).mean() > _TIGHT)
        found.append(_background(looks, ground, average, _OTHERS, is_tight, grey))
    span = looks.high - looks.low
    if (span > 0).any():
        upper = span >= np.median(span[span > 0])
        whole = float(np.median(looks.low[upper])), float(np.median(looks.high[upper]))
        if (whole[1] - whole[0]) * _DIM <= FULL[1] - FULL[0]:
            found.append(_nearly_one_level(looks))
        else:
            found.append(_levels(looks, whole, "the others have"))
    return [each for each in found if each is not None]


def newcomers(learned: Looks, new: Looks) -> list[Unlike]:
    """Say in what new pictures as a whole differ from those that a model here has learned from.

    Sizes and the like are not compared: what a model learned from is a part of the same pictures.
    Nothing is said of fewer than `NEW` of either.
    """
    if min(len(learned), len(new)) < NEW:
        return []
    seen = learned.seen()
    differences = [each for each in seen.compare(new.seen()) if each.kind in _OF_LEARNED]
    return [_of_all(each, new, seen) for each in differences]


def ground_of(seen: Seen) -> Ground:
    """Return the one background of a model's pictures, ``"none"`` where there is none."""
    if seen.dark > _MOST and seen.light <= FEW:
        return "dark"
    return "light" if seen.light > _MOST and seen.dark <= FEW else "none"


def _of_all(difference: Difference, looks: Looks, seen: Seen) -> Unlike:
    """Return a difference of pictures as a whole: nobody knows of which of them it is true."""
    kind, ways = difference.kind, [AS_THEY_ARE]
    if kind == "background":
        ways.insert(0, "invert-where-needed")
    elif kind == "levels" and looks.seen().lightest - looks.seen().darkest < (
        seen.lightest - seen.darkest
    ):
        ways.insert(0, "stretch-where-needed")
    elif kind == "colour" and seen.colour < _MOST:
        ways.insert(0, "grey")
    whole = (seen.darkest, seen.lightest)
    odd = np.ones(len(looks), bool)
    return Unlike(kind, difference.sentence, tuple(ways), odd, ground_of(seen), whole)


def _background(
    looks: Looks, ground: Ground, average: np.ndarray | None, whose: str, is_tight: bool,
    among: np.ndarray | None = None,
) -> Unlike | None:  # fmt: skip
    """Find the negatives among pictures; ``among`` is where they are looked for.

    Where pictures fill their frame, one in several hundred passes for a negative: of those, only
    many are told.
    """
    odd = looks.is_on(_OTHER[ground])
    if among is not None:
        odd &= among
    if average is not None and average.std() and odd.any():
        odd[odd] = _correlations(looks.small[odd], average) < _NEGATIVE
    if not odd.any() or (is_tight and len(odd) >= NEW and odd.mean() <= FEW):
        return None
    invert = "invert" if len(odd) >= NEW and odd.mean() >= _ALL else "invert-where-needed"
    text = f"{_share(odd, 'is', 'are')} {_ON[_OTHER[ground]]}; {whose} {_ON[ground]}"
    return Unlike("background", text, (invert, AS_THEY_ARE), odd, ground)


def _levels(looks: Looks, whole: tuple[float, float], whose: str) -> Unlike | None:
    """Find the pictures with far fewer levels than others; one of a single level is no such."""
    span = looks.high - looks.low
    odd = (span > 0) & (span * _DIM <= whole[1] - whole[0])
    if not odd.any():
        return None
    low, high = looks.low[odd].min(), looks.high[odd].max()
    text = (
        f"{_share(odd, 'only has', 'only have')} levels from {low:g} to {high:g}; {whose} "
        f"{whole[0]:g} to {whole[1]:g}"
    )
    return Unlike("levels", text, ("stretch-where-needed", AS_THEY_ARE), odd, whole=whole)


def _nearly_one_level(looks: Looks) -> Unlike:
    low, high = float(looks.low.min()), float(looks.high.max())
    text = (
        f"these pictures only have levels from {low:g} to {high:g} of 0 to 255: they look like one "
        "level"
    )
    odd = np.ones(len(looks), bool)
    return Unlike("levels", text, ("stretch-where-needed", AS_THEY_ARE), odd)


def _share(odd: np.ndarray, one: str, many: str) -> str:
    """Say how many pictures these are, with the verb that fits."""
    n, total = int(odd.sum()), len(odd)
    if total == 1:
        return f"this picture {one}"
    if n == total:
        return f"all {n:,} pictures {many}"
    return f"{n:,} of {total:,} pictures {one if n == 1 else many}"


def _correlations(small: np.ndarray, average: np.ndarray) -> np.ndarray:
    """(n,) float: how well each picture fits an average; 0 for one of a single level."""
    x = small - small.mean(axis=1, keepdims=True)
    y = average - average.mean()
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y)
    return np.divide(x @ y, norms, out=np.zeros(len(x)), where=norms > 0)
