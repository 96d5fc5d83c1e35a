"""From pictures to features, whatever the backbone: `extractor` gives what does both steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from alutils.base.errors import ParameterError
from alutils.base.lite_weights import LITE
from alutils.models.backbones import named, planning
from alutils.models.backbones.names import COLOUR, OWN, PIXELS, Backbone

Compute = Callable[[np.ndarray], np.ndarray]
"""Prepared pictures, (n, height, width, 3) uint8, to (n, n_features) float32."""

_AT_ONCE = 64
"""Pictures that a network of another package or of the user's gets in one call."""


class Extractor:
    """What turns pictures into features.

    Parameters
    ----------
    backbone : name, size and fit
    identity : differs wherever the features would: it keeps caches apart
    compute : prepared pictures, (n, height, width, 3) uint8, to (n, n_features) float32
    n_features : numbers for each picture; None to find out when it is asked for
    """

    def __init__(
        self, backbone: Backbone, identity: str, compute: Compute, n_features: int | None = None
    ) -> None:
        self.backbone, self.identity = backbone, identity
        self._compute, self._n_features = compute, n_features

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the prepared pictures."""
        return self.backbone.size

    @property
    def n_features(self) -> int:
        """Numbers for each picture."""
        if self._n_features is None:
            self._n_features = self(np.zeros((1, *self.size, 3), np.uint8)).shape[1]
        return self._n_features

    def prepare(self, picture: np.ndarray) -> np.ndarray:
        """Bring one picture to the size, in three channels, as Pillow does it (bicubic).

        Parameters
        ----------
        picture : (h, w), (h, w, 1) or (h, w, 3) uint8, grey or RGB

        Returns
        -------
        (height, width, 3) uint8

        Raises
        ------
        ParameterError
            For a picture of another shape or type.
        """
        picture = np.asarray(picture)
        if picture.ndim == 3 and picture.shape[2] == 1:
            picture = picture[..., 0]
        if picture.dtype != np.uint8 or picture.shape[2:] not in ((), (3,)) or 0 in picture.shape:
            found = f"{picture.dtype} of shape {picture.shape}"
            raise ParameterError("picture", found, "expected (height, width[, 3]) uint8")
        if picture.ndim < 2:
            raise ParameterError("picture", picture.shape, "expected (height, width[, 3])")
        if self.backbone.fit == "centre":
            picture = _centre(picture, self.size)
        image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
        return np.asarray(image.resize(self.size[::-1], Image.Resampling.BICUBIC))

    def __call__(self, prepared: np.ndarray, /) -> np.ndarray:
        """Compute the features of prepared pictures.

        Parameters
        ----------
        prepared : (n, height, width, 3) uint8, each as `prepare` gives it

        Returns
        -------
        (n, n_features) float32

        Raises
        ------
        ParameterError
            For pictures of another shape or type, and for a function of the user's that does not
            give a row of finite numbers for each picture.
        """
        prepared = np.asarray(prepared)
        if prepared.dtype != np.uint8 or prepared.shape[1:] != (*self.size, 3):
            found = f"{prepared.dtype} of shape {prepared.shape}"
            expected = f"expected (n, {self.size[0]}, {self.size[1]}, 3) uint8"
            raise ParameterError("prepared", found, expected)
        if not len(prepared):
            raise ParameterError("prepared", 0, "expected one picture or more")
        return self._compute(prepared)


def extractor(
    backbone: Backbone | str | Callable[[np.ndarray], Any],
    *,
    backend: str = "auto",
    precision: str = "auto",
) -> Extractor:
    """Return what computes a backbone's features.

    Parameters
    ----------
    backbone : a `Backbone`; its name, as ``Backbone.parse`` reads it; or a function of your own:
        (n, height, width, 3) uint8 pictures to (n, n_features) numbers. Its attribute ``size``,
        if it has one, is the (height, width) of the pictures, else 224 x 224; its attribute
        ``identity``, if it has one, is a text that changes whenever its features do, else the
        features of two fixed pictures are the identity
    backend, precision : of VGG16 and EfficientNet-Lite, as in `planning.plan`

    Raises
    ------
    ParameterError
        For a backbone that does not exist, and for ``own`` without a function.
    ImportError
        For a network of a package that is not installed.
    artefacts.ArtefactError
        At the first features, if no source gives the weights.
    """
    if isinstance(backbone, Extractor):
        return backbone
    if isinstance(backbone, str):
        backbone = Backbone.parse(backbone)
    if not isinstance(backbone, Backbone):
        return _of_function(backbone)
    name = backbone.name
    if name == OWN:
        raise ParameterError("backbone", OWN, "a function of your own: give the function itself")
    if name in (PIXELS, COLOUR):
        n = backbone.size[0] * backbone.size[1]
        if name == PIXELS:
            return Extractor(backbone, _identity(backbone), _grey, n)
        return Extractor(backbone, _identity(backbone), _flat, 3 * n)
    if name.startswith("vgg16-"):
        return _vgg16(backbone, name.removeprefix("vgg16-"), backend, precision)
    if name in LITE:
        network = planning.lite_network(name, backbone.size, backend, precision)
        return Extractor(backbone, _identity(backbone, network.identity), network, network.channels)
    load = named.keras_network if name.startswith("keras:") else named.timm_network
    compute, weights = load(name.partition(":")[2], backbone.size)
    return Extractor(backbone, _identity(backbone, weights), _checked(compute, name))


def _identity(backbone: Backbone, network: str = "") -> str:
    return json.dumps([backbone.to_json(), network], sort_keys=True)


def _vgg16(backbone: Backbone, layer: str, backend: str, precision: str) -> Extractor:
    """Return VGG16; where it only squashes, with the identity that it had before it had a name."""
    chosen = planning.plan(size=backbone.size, layer=layer, backend=backend, precision=precision)
    network = planning.vgg16_network(chosen, None, backbone.size)
    several = "+" in layer
    plain = backbone.fit == "squash" and not several
    identity = network.identity if plain else _identity(backbone, network.identity)
    compute = (lambda x: np.sqrt(network(x))) if several else network
    return Extractor(backbone, identity, compute, network.channels)


def _grey(prepared: np.ndarray) -> np.ndarray:
    """(n, height * width) float32 from 0 to 1, the mean of the three channels."""
    total = prepared.sum(axis=3, dtype=np.uint16)  # of three equal channels, exact to the last bit
    return total.reshape(len(prepared), -1).astype(np.float32) / (3 * 255)


def _flat(prepared: np.ndarray) -> np.ndarray:
    """(n, height * width * 3) float32 from 0 to 1."""
    return prepared.reshape(len(prepared), -1).astype(np.float32) / 255


def _centre(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut the middle part that has the shape of ``size`` out of a picture."""
    height, width = picture.shape[:2]
    high = min(height, max(1, round(width * size[0] / size[1])))
    wide = min(width, max(1, round(height * size[1] / size[0])))
    top, left = (height - high) // 2, (width - wide) // 2
    return picture[top : top + high, left : left + wide]


# --- functions of the user's and of other packages ------------------------------------------------


def _of_function(function: Any) -> Extractor:
    if not callable(function):
        kind = type(function).__name__
        raise ParameterError("backbone", kind, "expected a Backbone, its name, or a function")
    size = getattr(function, "size", (0, 0))
    if len(np.shape(size)) != 1 or len(size) != 2:
        raise ParameterError("size", size, "expected a height and a width of the function's own",
                             "such as function.size = (64, 64)")  # fmt: skip
    backbone = Backbone(OWN, tuple(size))
    compute = _checked(function, "the function")
    identity = getattr(function, "identity", None) or _of_two_pictures(compute, backbone.size)
    return Extractor(backbone, _identity(backbone, str(identity)), compute)


def _of_two_pictures(compute: Compute, size: tuple[int, int]) -> str:
    """Return a hash of the features of two fixed pictures."""
    noise = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    return hashlib.sha256(compute(noise).tobytes()).hexdigest()


def _checked(function: Callable[[np.ndarray], Any], who: str) -> Compute:
    """Return a function that computes batch by batch, and refuses features that cannot be used."""

    def compute(prepared: np.ndarray) -> np.ndarray:
        parts: list[np.ndarray] = []
        for first in range(0, len(prepared), _AT_ONCE):
            part = prepared[first : first + _AT_ONCE]
            rows = np.asarray(function(part))
            if rows.dtype.kind in "biuf":
                rows = rows.astype(np.float32, copy=False)
            if (
                rows.dtype != np.float32
                or rows.ndim != 2
                or len(rows) != len(part)
                or not np.isfinite(rows).all()
            ):
                raise ParameterError(
                    "features",
                    f"{rows.dtype} of shape {rows.shape}",
                    f"{who} has to give a row of finite numbers for each of {len(part)} pictures",
                )
            parts.append(rows)
        return np.concatenate(parts)

    return compute
