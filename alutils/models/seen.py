"""What a model's training pictures look like, and in what others differ from them.

A model that has only seen white letters on black says "Z, 100% sure" of a black B on white: it is
asked about something that it never saw, and does not notice. So a model keeps a few facts about the
pictures that it was trained on, and new pictures are held against these facts before it reads them.

The facts are shares and quantiles of a random sample, so that a few odd pictures change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np

from alutils.base.errors import ParameterError
from alutils.models import turned

SAMPLE = 1000  # pictures that are looked at
_ODD = 0.02  # share of pictures at either end that no fact depends on
_SAME = 1 - _ODD  # a share from which all pictures count as alike
_FEW, _MANY = 0.05, 0.2  # what at most 5% of the model's pictures were, and 20% of others are
_PLAIN = 0.6  # share of a picture's edge that has to be of one level to be a background
_FACTOR = 2.0  # between sizes that count as different
_SHAPE = 1.5  # between proportions of width and height that count as different
_INK = 3.0  # between shares of ink that count as different
CONTRAST = 3.0
"""Between ranges of levels that count as different."""
_MOST = 0.5
_ENOUGH = 20  # pictures whose ink, which differs from one to the next, says something about others

Ground = Literal["dark", "light", "none"]
Images = np.ndarray | Sequence[np.ndarray]


class Difference(NamedTuple):
    """One thing that a model has not seen.

    Attributes
    ----------
    kind : ``"background"``, ``"levels"``, ``"colour"``, ``"size"``, ``"shape"``, ``"turned"`` or
        ``"ink"``
    sentence : what it is, in words
    """

    kind: str
    sentence: str


@dataclass(frozen=True)
class Seen:
    """Facts about a set of pictures.

    Attributes
    ----------
    n : how many pictures there are; the facts are of a random sample of at most `SAMPLE`
    smallest, largest : (height, width) in pixels, but for the 2% at either end
    one_size : whether all have one size, but for 2% of them
    narrowest, widest : width through height, but for the 2% at either end
    colour : share of the pictures in colour: RGB with channels that differ
    darkest, lightest : levels of a picture's darkest and lightest pixel, medians over the pictures
    dark, light : share of the pictures with a plain dark and a plain light background, compared
        with what is on it; photographs mostly have neither
    ink : share of a picture's pixels that are not its background, median over the pictures with a
        plain background; None if no picture has one
    average : of the pictures with a plain background, as `alutils.models.turned.small` makes each
        of them, row by row; None where they are few
    """

    n: int
    smallest: tuple[int, int]
    largest: tuple[int, int]
    one_size: bool
    narrowest: float
    widest: float
    colour: float
    darkest: float
    lightest: float
    dark: float
    light: float
    ink: float | None
    average: tuple[float, ...] | None = None

    @classmethod
    def of(cls, images: Images, *, seed: int = 0) -> Seen:
        """Look at a random sample of pictures.

        Parameters
        ----------
        images : (n, height, width) or (n, height, width, 3) array, or a list of (height, width) or
            (height, width, 3) arrays of any sizes; uint8 or other numbers
        seed : of the sample: the same pictures give the same facts

        Raises
        ------
        ParameterError
            If there is no picture, or one is of another shape.
        """
        n = len(images)
        if not n:
            raise ParameterError("images", "none", "expected one picture or more")
        chosen = np.arange(n)
        if n > SAMPLE:
            chosen = np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
        return cls.of_sample((np.asarray(images[int(i)]) for i in chosen), n)

    @classmethod
    def of_sample(cls, sample: Iterable[np.ndarray], n: int) -> Seen:
        """Look at pictures one after another: only one needs to be in memory at a time.

        Parameters
        ----------
        sample : pictures as in `of`, chosen at random
        n : how many there are in all

        Raises
        ------
        ParameterError
            As `of` does.
        """
        return cls.of_looks([look(picture) for picture in sample], n)

    @classmethod
    def of_looks(cls, looks: Sequence[Look], n: int) -> Seen:
        """Put the facts of single pictures together; ``n`` is how many pictures there are in all.

        Raises
        ------
        ParameterError
            If there is none.
        """
        if not looks:
            raise ParameterError("images", "none", "expected one picture or more")
        sizes = np.array([each.size for each in looks])
        shapes = sizes[:, 1] / sizes[:, 0]
        counts = np.unique(sizes, axis=0, return_counts=True)[1]
        inks = [each.ink for each in looks if each.ground != "none"]
        plain = [each.small for each in looks if each.ground != "none"]
        average = np.mean(plain, axis=0).ravel() if len(plain) >= turned.ENOUGH else []
        low, high = (np.quantile(sizes, q, axis=0, method="nearest") for q in (_ODD, _SAME))
        return cls(
            n=n,
            smallest=(int(low[0]), int(low[1])),
            largest=(int(high[0]), int(high[1])),
            one_size=bool(counts.max() >= _SAME * len(looks)),
            narrowest=float(np.quantile(shapes, _ODD, method="nearest")),
            widest=float(np.quantile(shapes, _SAME, method="nearest")),
            colour=float(np.mean([each.colour for each in looks])),
            darkest=float(np.median([each.low for each in looks])),
            lightest=float(np.median([each.high for each in looks])),
            dark=float(np.mean([each.ground == "dark" for each in looks])),
            light=float(np.mean([each.ground == "light" for each in looks])),
            ink=float(np.median(inks)) if inks else None,
            average=tuple(round(float(each), 4) for each in average) or None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON takes them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Seen:
        """Return what `to_json` has written; ParameterError for anything else."""
        names = [each.name for each in fields(cls)]
        if isinstance(facts, Mapping):  # older models do not have it
            facts = {"average": None, **facts}
        if not isinstance(facts, Mapping) or sorted(facts) != sorted(names):
            found = ", ".join(map(str, facts)) if isinstance(facts, Mapping) else repr(facts)
            raise ParameterError("seen", found, f"expected the facts {', '.join(names)}")
        for name in names:
            if not _fits(name, facts[name]):
                raise ParameterError(f"seen.{name}", facts[name], "no such fact is written here")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
        return cls(**values)

    def compare(self, other: Seen) -> list[Difference]:
        """Say in what other pictures differ from these, which a model was trained on.

        Returns
        -------
        the differences, the worst kind first; none if a model may be expected to read the others
        """
        found = [
            ("levels", self._levels(other)),
            ("background", self._background(other)),
            ("colour", self._colour(other)),
            ("size", self._size(other)),
            ("shape", self._shape(other)),
            ("turned", self._turned(other)),
            ("ink", self._ink(other)),
        ]
        return [Difference(kind, sentence) for kind, sentence in found if sentence]

    def differences(self, other: Seen) -> list[str]:
        """Say in plain sentences what in other pictures a model trained on these has not seen."""
        return [each.sentence for each in self.compare(other)]

    def _levels(self, other: Seen) -> str:
        ours, theirs = self.lightest - self.darkest, other.lightest - other.darkest
        if max(ours, theirs) <= CONTRAST * min(ours, theirs):
            return ""
        return (
            f"the model's pictures have levels from {self.darkest:g} to {self.lightest:g}; these "
            f"only have {other.darkest:g} to {other.lightest:g}"
            if theirs < ours
            else f"the model's pictures only have levels from {self.darkest:g} to "
            f"{self.lightest:g}; these have {other.darkest:g} to {other.lightest:g}"
        )

    def _background(self, other: Seen) -> str:
        for ours, theirs, share in (
            ("light on dark", "dark on light", (self.dark, self.light, other.light)),
            ("dark on light", "light on dark", (self.light, self.dark, other.dark)),
        ):
            if share[0] > _MOST and share[1] <= _FEW and share[2] >= _MANY:
                how_many = "these" if share[2] >= _SAME else f"{share[2]:.0%} of these"
                return f"the model's pictures are {ours}; {how_many} are {theirs}"
        return ""

    def _colour(self, other: Seen) -> str:
        for ours, theirs, few, many in (
            ("grey", "in colour", self.colour, other.colour),
            ("in colour", "grey", 1 - self.colour, 1 - other.colour),
        ):
            if few <= _FEW and many >= _MANY:
                how_many = "these" if many >= _SAME else f"{many:.0%} of these"
                return f"the model's pictures are {ours}; {how_many} are {theirs}"
        return ""

    def _size(self, other: Seen) -> str:
        smaller = any(b * _FACTOR < a for a, b in zip(self.smallest, other.smallest, strict=True))
        larger = any(b > a * _FACTOR for a, b in zip(self.largest, other.largest, strict=True))
        if not smaller and not larger:
            return ""
        return (
            f"the model's pictures are {self._sizes()} pixels (height × width); these are "
            f"{other._sizes()}"
        )

    def _sizes(self) -> str:
        text = "{} × {}".format(*self.smallest)
        if self.smallest != self.largest:
            text += " to {} × {}".format(*self.largest)
        return text

    def _shape(self, other: Seen) -> str:
        if other.narrowest * _SHAPE < self.narrowest:
            how = f"these are narrower, down to {other.narrowest:.2g}"
        elif other.widest > self.widest * _SHAPE:
            how = f"these are wider, up to {other.widest:.2g}"
        else:
            return ""
        ours = f"{self.narrowest:.2g} times"
        if self.narrowest == self.widest == 1:
            return f"the model's pictures are square; {how} times as wide as high"
        if f"{self.widest:.2g} times" != ours:
            ours = f"{self.narrowest:.2g} to {self.widest:.2g} times"
        return f"the model's pictures are {ours} as wide as high; {how} times"

    def _turned(self, other: Seen) -> str:
        if self.average is None or other.average is None:
            return ""
        how = turned.how_turned(self.average, other.average)
        return f"these do not lie as the model's pictures do: {how}" if how else ""

    def _ink(self, other: Seen) -> str:
        if self.ink is None or other.ink is None or min(self.n, other.n) < _ENOUGH:
            return ""
        plain = min(self.dark + self.light, other.dark + other.light) >= _MOST
        if not plain or max(self.ink, other.ink) <= _INK * min(self.ink, other.ink):
            return ""
        return (
            f"what is drawn covers {self.ink:.0%} of the model's pictures and {other.ink:.0%} of "
            "these: it is of another size or thickness"
        )


class Look(NamedTuple):
    """One picture's facts.

    Attributes
    ----------
    size : (height, width) in pixels
    colour : whether it is RGB with channels that differ
    low, high : its darkest and lightest level
    ground : as `background` says
    ink : share of its pixels that are not its background
    small : as `alutils.models.turned.small` makes it
    """

    size: tuple[int, int]
    colour: bool
    low: float
    high: float
    ground: Ground
    ink: float
    small: np.ndarray


def look(image: np.ndarray) -> Look:
    """Return the facts of one picture; ParameterError for a shape that is none."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or 0 in image.shape:
        expected = "expected pictures of shape (height, width) or (height, width, 3)"
        raise ParameterError("images", f"one of shape {image.shape}", expected)
    colour = image.ndim == 3 and bool((image != image[..., :1]).any())
    grey = image if image.ndim == 2 else image.mean(axis=2)
    low, high = float(grey.min()), float(grey.max())
    side = background(grey)
    light = grey > (low + high) / 2
    ink = float(light.mean()) if side == "dark" else float(1 - light.mean())
    size = image.shape[0], image.shape[1]
    return Look(size, colour, low, high, side, ink, turned.small(grey))


def background(picture: np.ndarray) -> Ground:
    """Say whether a picture has a plain background, and whether that is its dark or light side.

    Parameters
    ----------
    picture : (height, width) or (height, width, 3) numbers

    Returns
    -------
    ``"dark"`` or ``"light"``: the edge of the picture is mostly of one level, which lies in the
    darker or lighter half of the picture's own levels; else ``"none"``
    """
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    low, high = float(grey.min()), float(grey.max())
    edge = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]]).astype(np.float64)
    level, reach = float(np.median(edge)), (high - low) / 6
    if high == low or np.mean(np.abs(edge - level) <= reach) < _PLAIN:
        return "none"
    return "light" if level > (low + high) / 2 else "dark"


def _fits(name: str, value: object) -> bool:
    """Whether JSON may hold this value for a fact."""
    if name in ("smallest", "largest"):
        return (
            isinstance(value, list | tuple)
            and len(value) == 2
            and all(type(side) is int and side > 0 for side in value)
        )
    if name == "one_size":
        return isinstance(value, bool)
    if name == "n":
        return type(value) is int and value > 0
    if name in ("ink", "average") and value is None:
        return True
    if name == "average":
        sides = isinstance(value, list | tuple) and len(value) == turned.SIDE**2
        return sides and all(_fits("darkest", each) for each in value)  # type: ignore[attr-defined]
    return isinstance(value, int | float) and type(value) is not bool and bool(np.isfinite(value))
