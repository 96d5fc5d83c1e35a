"""Pictures held against what a model has seen, and made like them where a person says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain

import numpy as np

from alutils.base.checks import check_known
from alutils.base.errors import BadInput, ParameterError
from alutils.base.surfaces import Remedy
from alutils.data.streams.entry import Stream
from alutils.models.conversion import Conversion
from alutils.models.prediction import AS_THEY_ARE, CONVERSIONS
from alutils.models.seen import SAMPLE, Difference, Seen

_MOST_PIXELS = 400_000_000  # that are looked at: some 30 photographs, or all of `SAMPLE` letters
_WHOLE = (0.0, 255.0)  # levels, where a model does not say what it has seen


def settle(
    stream: Stream, seen: Seen | None, convert: Sequence[str]
) -> tuple[Conversion, list[str]]:
    """Say what the model has not seen, and how pictures are converted.

    Parameters
    ----------
    stream : the pictures; some of them are read
    seen : facts about the model's training pictures; None where they are not known
    convert : names from `CONVERSIONS`

    Returns
    -------
    the conversion, and sentences for the person: what differs though it is let through, or that
    nothing could be compared

    Raises
    ------
    ParameterError
        For a conversion that does not exist or cannot be done here.
    BadInput
        If the pictures, converted, differ from what the model has seen, and ``convert`` does not
        hold ``as-they-are``.
    """
    for name in convert:
        check_known("convert", name, CONVERSIONS)
    for does, name in (("inverting", "invert"), ("stretching", "stretch")):
        if {name, f"{name}-where-needed"} <= set(convert):
            raise ParameterError("convert", ", ".join(convert), f"expected one way of {does}")
    steps = tuple(name for name in CONVERSIONS if name in convert and name != AS_THEY_ARE)
    conversion = _conversion(steps, stream, seen)
    if seen is None:
        return conversion, [
            "this model does not say what its training pictures looked like (size, levels, "
            "background): whether these are like them was not checked"
        ]
    these = _look(stream, conversion)
    if these is None:
        return conversion, []
    found = seen.compare(these)
    sentences = [each.sentence for each in found]
    if found and AS_THEY_ARE not in convert:
        done = f", after {' and '.join(steps)}" if steps else ""
        raise BadInput(
            f"{stream.path}: the model has not seen such pictures{done}: {'; '.join(sentences)}",
            *_remedies(found, seen, steps),
        )
    return conversion, sentences


def _conversion(steps: tuple[str, ...], stream: Stream, seen: Seen | None) -> Conversion:
    """Settle what the steps depend on."""
    levels, ground = None, ""
    whole = _WHOLE if seen is None else (seen.darkest, seen.lightest)
    grey = Conversion(tuple(step for step in steps if step == "grey"))
    if "stretch" in steps and (these := _look(stream, grey)) is not None:
        if these.lightest == these.darkest:
            given = f"{these.darkest:g} to {these.lightest:g}"
            raise ParameterError("convert", "stretch", f"the pictures only have levels {given}")
        levels = (these.darkest, these.lightest, *whole)
    if "invert-where-needed" in steps:
        if seen is None or max(seen.dark, seen.light) <= 0.5:
            expected = "the model's pictures have no one background that is known"
            raise ParameterError("convert", "invert-where-needed", expected, "use invert")
        ground = "dark" if seen.dark > seen.light else "light"
    return Conversion(steps, levels, ground, whole)


def _look(stream: Stream, conversion: Conversion) -> Seen | None:
    """Return facts about some of the pictures, converted; None if none can be read."""
    with closing(stream.sample()) as pictures:
        sample = (conversion(picture) for picture in _some(pictures))
        first = next(sample, None)
        return None if first is None else Seen.of_sample(chain([first], sample), len(stream))


def _some(pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    pixels = 0
    for n, picture in enumerate(pictures, 1):
        yield picture
        pixels += picture.shape[0] * picture.shape[1]
        if n == SAMPLE or pixels >= _MOST_PIXELS:
            return


def _remedies(found: Sequence[Difference], seen: Seen, steps: tuple[str, ...]) -> list[Remedy]:
    """Return the conversions that would help against these differences."""
    kinds = {each.kind: each.sentence for each in found}
    ways = []
    if "background" in kinds and not {"invert", "invert-where-needed"} & set(steps):
        if "% of these" in kinds["background"]:
            ways.append(Remedy("invert those that differ", "convert", "invert-where-needed"))
        else:
            ways.append(Remedy("invert them", "convert", "invert"))
    if "levels" in kinds and not {"stretch", "stretch-where-needed"} & set(steps):
        ways.append(Remedy("stretch their levels", "convert", "stretch"))
    if "colour" in kinds and seen.colour < 0.5 and "grey" not in steps:
        ways.append(Remedy("make them grey", "convert", "grey"))
    return [*ways, Remedy("have them read all the same", "convert", AS_THEY_ARE)]
