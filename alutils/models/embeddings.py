"""Features of images by a frozen network: one forward pass for each image, ever.

What ImageNet trained stays as it is, so an image's features are computed once, kept on disk under
what they were made from (backbone, weights, preparation, precision, images) and opened as a
memory-map afterwards. `features` does all of it, for every backbone of
`alutils.models.backbones`; `plan` says beforehand how VGG16 would do it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from alutils.base import artefacts
from alutils.base.errors import ParameterError
from alutils.base.row_cache import CachedRows
from alutils.data.pixels import Images, as_bytes, checked_images, survey
from alutils.models.backbones.extractors import extractor
from alutils.models.backbones.names import Backbone
from alutils.models.backbones.planning import FeaturePlan, Network, network, plan, vgg16_network

__all__ = ["FeaturePlan", "Network", "features", "network", "plan"]

Done = Callable[[int], object]
"""Is told of each batch's images."""

_BLOCK = 4096  # images between two points at which a killed computation can go on
_PREPARED = 64  # images that are prepared at a time


def features(
    images: Images,
    *,
    backbone: Backbone | str | Callable[[np.ndarray], Any] | None = None,
    weights: Sequence[np.ndarray] | None = None,
    cache: Path | Literal[False] | None = None,
    progress: bool = True,
    **options: Any,
) -> np.ndarray:
    """Features of images, from the cache if they are there.

    Parameters
    ----------
    images : (n, h, w), (n, h, w, 1) or (n, h, w, 3) array, or a list of (h, w[, c]) arrays; grey or
        RGB, 0 to 255; uint8, or other numbers whose fractions are cut off. A list may mix sizes. A
        memory-map is read block by block and never held as a whole
    backbone : as `alutils.models.backbones.extractor` takes it: ``"lite0"``,
        ``"vgg16-block3+4"``, a function of your own ...; None for VGG16 by the options of `plan`,
        which are the report's if none is given (``"vgg16-block5"`` at 32 x 32)
    weights : 26 float32 arrays, kernel (3, 3, in, out) and bias (out,) of each convolution of
        VGG16; None for ImageNet's
    cache : folder for the features; None for ``features`` in the cache folder of `artefacts`; False
        neither reads nor keeps any
    progress : whether to show a bar while computing
    options : with ``backbone``, only ``backend`` and ``precision``; else all of `plan`

    Returns
    -------
    (n, n_features) float32; a read-only memory-map unless `cache` is False

    Raises
    ------
    ValueError, ImportError
        For images of a wrong shape, smaller than 32 x 32 where they are not resized, or with pixels
        outside 0 to 255, and as `plan` and `extractor`.
    artefacts.ArtefactError
        If ImageNet's weights are needed and no source gives them.
    """
    if backbone is None:
        return _of_vgg16(images, weights, cache, progress, options)
    if weights is not None or set(options) - {"backend", "precision"}:
        given = [*(["weights"] if weights is not None else []), *options]
        raise ParameterError(
            "options",
            ", ".join(given),
            "beside a backbone, only backend and precision can be given",
        )
    run = extractor(backbone, **options)
    name, size = run.backbone.name, run.size
    plain = name.startswith("vgg16-") and "+" not in name and run.backbone.fit == "squash"
    if plain and run is not backbone:  # an extractor of the caller's has its own precision
        options |= {"layer": name.removeprefix("vgg16-"), "size": size}
        return _of_vgg16(images, None, cache, progress, options)
    images = checked_images(images, size)
    digest, _ = survey(images, size, smallest=1)

    def some(first: int, last: int) -> np.ndarray:
        parts = (as_bytes(np.asarray(images[i])[None])[0] for i in range(first, last))
        return run(np.stack([run.prepare(each) for each in parts]))

    def compute(first: int, last: int, done: Done) -> np.ndarray:
        rows = np.empty((last - first, run.n_features), np.float32)
        for at in range(first, last, _PREPARED):
            end = min(at + _PREPARED, last)
            rows[at - first : end - first] = some(at, end)
            done(end - at)
        return rows

    identity = {"what": "features", "extractor": run.identity, "images": digest}
    shape = (len(images), run.n_features)
    return _kept(compute, shape, identity, cache, str(run.backbone), progress)


def _of_vgg16(
    images: Images,
    weights: Sequence[np.ndarray] | None,
    cache: Path | Literal[False] | None,
    progress: bool,
    options: dict[str, Any],
) -> np.ndarray:
    """VGG16's features of images, by the options of `plan`."""
    chosen = plan(weights=weights, **options)
    images = checked_images(images, chosen.size)
    digest, shape = survey(images, chosen.size)
    run = vgg16_network(chosen, weights, shape, len(images))

    def compute(first: int, last: int, done: Done) -> np.ndarray:
        return run(images[first:last], done)

    origin = {"what": "VGG16 features", **chosen.origin(), "size": list(shape), "images": digest}
    return _kept(compute, (len(images), run.channels), origin, cache, "VGG16", progress)


def _kept(
    compute: Callable[[int, int, Done], np.ndarray],
    shape: tuple[int, int],
    identity: dict[str, Any],
    cache: Path | Literal[False] | None,
    who: str,
    progress: bool,
) -> np.ndarray:
    """Return rows from the cache, computed block by block where they are not there."""

    def produce(start: int) -> Iterator[np.ndarray]:
        bar = {"desc": f"{who} features", "unit": "image", "disable": not progress}
        with tqdm(total=shape[0], initial=start, **bar) as shown:
            for first in range(start, shape[0], _BLOCK):
                yield compute(first, min(first + _BLOCK, shape[0]), shown.update)

    if cache is False:
        return np.concatenate(list(produce(0)))
    return CachedRows(
        folder=artefacts.cache_folder() / "features" if cache is None else Path(cache),
        identity=identity,
        shape=shape,
        dtype=np.dtype(np.float32),
        block=_BLOCK,
    ).get(produce)
