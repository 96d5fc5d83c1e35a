"""What a whole set of labelled pictures shows to be wrong, though each of them is sound."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from alutils.base.errors import BadInput

_DARK = 31  # pixels of 5 bits and fewer: a model that has seen 0 to 255 sees black
_SHOWN = 3  # pictures that are named


def dark(brightest: float, where: object) -> list[str]:
    """Say so if all pixels are all but black; BadInput if they are all 0 and 1.

    Parameters
    ----------
    brightest : of all pixels
    where : what they were read from, for the message
    """
    if brightest == 1:
        raise BadInput(
            f"{where}: the brightest pixel of all is 1, expected levels from 0 to 255",
            "multiply the pixels by 255",
        )
    if brightest == 0:
        return ["all pixels are 0: every picture is black"]
    if brightest > _DARK:
        return []
    return [
        f"the brightest pixel of all is {brightest:g}, where 255 is white: were the pixels saved "
        "with fewer than 8 bits? Scale them then"
    ]


def from_one(counts: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Say so if labels seem to count from 1.

    Parameters
    ----------
    counts : (n_classes,) int, pictures of each label
    classes : their names
    """
    used = np.flatnonzero(counts)
    if len(used) < 2 or used[0] == 0:
        return []
    return [
        f"no label is 0 ({classes[0]}), they are {used[0]} to {used[-1]}: if they count from 1, "
        f"take 1 from each; as they are, {used[0]} is {classes[used[0]]}"
    ]


def copies(images: np.ndarray, labels: np.ndarray, name: Callable[[int], str]) -> list[str]:
    """Name pictures that are there more than once, and those of them with several labels.

    Copies stand in training and test; of two labels, one is wrong.

    Parameters
    ----------
    images : (n, height, width[, 3]) uint8
    labels : (n,) int
    name : says what a picture is called, by its place
    """
    first: dict[bytes, int] = {}
    groups: dict[int, list[int]] = {}  # the first of several copies -> all of them
    for place, image in enumerate(images):
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        start = first.setdefault(digest, place)
        if start != place:
            groups.setdefault(start, [start]).append(place)
    several = [groups[start] for start in sorted(groups)]
    torn = [group for group in several if len(set(labels[group].tolist())) > 1]
    notes = []
    if torn:
        have = "1 picture has" if len(torn) == 1 else f"{len(torn):,} pictures have"
        notes.append(f"{have} more than one label ({_named(torn, name)})")
    if several:
        are = "1 picture is" if len(several) == 1 else f"{len(several):,} pictures are"
        notes.append(f"{are} there more than once ({_named(several, name)})")
    return notes


def _named(groups: Sequence[list[int]], name: Callable[[int], str]) -> str:
    """Name some of the copies of some pictures."""
    shown = [
        ", ".join(map(name, group[:_SHOWN])) + ", ..." * (len(group) > _SHOWN)
        for group in groups[:_SHOWN]
    ]
    return "; ".join(shown) + "; ..." * (len(groups) > _SHOWN)
