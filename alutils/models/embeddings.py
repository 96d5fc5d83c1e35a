"""Frozen VGG16 features: one forward pass for each image, ever.

The convolutions that ImageNet trained stay as they are, so an image's features are computed once,
kept on disk under what they were made from (weights, preparation, precision, images) and opened as
a memory-map afterwards. `features` does all of it; `plan` says beforehand how it would.

Two backends give the same features: Keras, on the CPU or a GPU, and OpenVINO (``pip install -e
.[fast]``), which is faster on the CPU. Each is imported when it is used.
"""

import difflib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from alutils.base import artefacts
from alutils.base.downloads import sha256_of_arrays
from alutils.base.manifest import cores
from alutils.base.row_cache import CachedRows
from alutils.data.pixels import (
    SMALLEST,
    Images,
    Size,
    checked_images,
    checked_size,
    prepare,
    survey,
)
from alutils.models.backbones import vgg16
from alutils.models.precision import decide

_BLOCK = 4096  # images between two points at which a killed computation can go on
_BATCH = 64  # larger batches of 32 x 32 are no faster


@dataclass(frozen=True)
class FeaturePlan:
    """How features are computed, for the manifest of a run.

    ``batch`` is None where it depends on the size of images that are taken as they are; ``why``
    says what the precision was chosen by.
    """

    backend: str
    device: str
    precision: str
    batch: int | None
    threads: int
    weights_sha256: str
    preprocessing: str
    size: Size
    layer: str
    pooling: str
    why: str

    def __str__(self) -> str:
        """Return backend, precision and the reason in words, for a manifest."""
        return f"{self.backend}, {self.precision} ({self.why})"

    def origin(self) -> dict[str, Any]:
        """Return what the features depend on: batch and threads change them by rounding only."""
        return {k: v for k, v in asdict(self).items() if k not in ("batch", "threads", "why")}


class Network:
    """A planned network, built at its first use.

    Parameters
    ----------
    chosen : how it computes
    weights : as in `features`
    shape : (height, width) of the prepared images
    batch : images in a forward pass
    """

    def __init__(
        self,
        chosen: FeaturePlan,
        weights: Sequence[np.ndarray] | None,
        shape: tuple[int, int],
        batch: int,
    ) -> None:
        self.chosen, self.size, self.batch = chosen, shape, batch
        self.identity = repr(sorted(chosen.origin().items()))
        self._weights = weights
        self._run: vgg16.Network | None = None
        shapes = (
            artefacts.VGG16.content.shapes.values() if weights is None else map(np.shape, weights)
        )
        (self.channels,) = list(shapes)[2 * sum(vgg16.layers_until(chosen.layer)) - 1]  # last bias

    def __call__(
        self, images: Images, done: Callable[[int], object] = lambda n: None
    ) -> np.ndarray:
        """Return (n, channels) float32 features; ``done`` is told of each batch's images."""
        if self._run is None:
            build = {"keras": vgg16.keras_network, "openvino": vgg16.openvino_network}
            self._run = build[self.chosen.backend](
                artefacts.vgg16_convolutions() if self._weights is None else self._weights,
                layer=self.chosen.layer,
                pooling=self.chosen.pooling,
                shape=(self.batch, *self.size),
                precision=self.chosen.precision,
            )
            self._weights = None  # the network has its own copy
        out = np.empty((len(images), self.channels), np.float32)
        self._run(self._batches(images, done), out)
        return out

    def _batches(self, images: Images, done: Callable[[int], object]) -> Iterator[np.ndarray]:
        """Prepare batches of one shape; the last is filled up with zeros."""
        for first in range(0, len(images), self.batch):
            part = images[first : first + self.batch]
            prepared = prepare(part, preprocessing=self.chosen.preprocessing, size=self.chosen.size)
            if len(part) < self.batch:
                room = np.zeros((self.batch - len(part), *prepared.shape[1:]), np.float32)
                prepared = np.concatenate([prepared, room])
            yield prepared
            done(len(part))


def features(
    images: Images,
    *,
    weights: Sequence[np.ndarray] | None = None,
    cache: Path | Literal[False] | None = None,
    progress: bool = True,
    **options: Any,
) -> np.ndarray:
    """VGG16 features of images, from the cache if they are there.

    Parameters
    ----------
    images : (n, h, w), (n, h, w, 1) or (n, h, w, 3) array, or a list of (h, w[, c]) arrays; grey or
        RGB, 0 to 255; uint8, or other numbers whose fractions are cut off. A list may mix sizes. A
        memory-map is read block by block and never held as a whole
    weights : 26 float32 arrays, kernel (3, 3, in, out) and bias (out,) of each convolution; None
        for ImageNet's
    cache : folder for the features; None for ``features`` in the cache folder of `artefacts`; False
        neither reads nor keeps any
    progress : whether to show a bar while computing
    options : how they are computed, as in `plan`

    Returns
    -------
    (n, channels) float32, 512 channels at ``block5``; a read-only memory-map unless `cache` is
    False

    Raises
    ------
    ValueError, ImportError
        For images of a wrong shape, smaller than 32 x 32 or with pixels outside 0 to 255, and as
        `plan`.
    artefacts.ArtefactError
        If ImageNet's weights are needed and no source gives them.
    """
    chosen = plan(weights=weights, **options)
    images = checked_images(images, chosen.size)
    digest, shape = survey(images, chosen.size)
    batch = min(chosen.batch or _fast_batch(shape), len(images))
    run = Network(chosen, weights, shape, batch)

    def produce(start: int) -> Iterator[np.ndarray]:
        bar = {"desc": "VGG16 features", "unit": "image", "disable": not progress}
        with tqdm(total=len(images), initial=start, **bar) as shown:
            for first in range(start, len(images), _BLOCK):
                yield run(images[first : first + _BLOCK], shown.update)

    if cache is False:
        return np.concatenate(list(produce(0)))
    return CachedRows(
        folder=artefacts.cache_folder() / "features" if cache is None else Path(cache),
        identity={
            "what": "VGG16 features",
            **chosen.origin(),
            "size": list(shape),
            "images": digest,
        },
        shape=(len(images), run.channels),
        dtype=np.dtype(np.float32),
        block=_BLOCK,
    ).get(produce)


def network(
    *,
    size: tuple[int, int] = (32, 32),
    preprocessing: str = "raw",
    weights: Sequence[np.ndarray] | None = None,
) -> Network:
    """Return what computes features of pictures that come bit by bit; options as in `plan`.

    It keeps none: `alutils.base.row_cache.KeyedRows` does so by the pictures' content.
    """
    chosen = plan(size=size, preprocessing=preprocessing, weights=weights)
    return Network(chosen, weights, size, chosen.batch or _fast_batch(size))


def plan(
    *,
    preprocessing: str = "raw",
    size: Size = (32, 32),
    layer: str = "block5",
    pooling: str = "avg",
    backend: str = "auto",
    precision: str = "auto",
    weights: Sequence[np.ndarray] | None = None,
    batch: int | None = None,
) -> FeaturePlan:
    """How `features` computes with these options on this machine.

    Parameters
    ----------
    preprocessing : ``"raw"``: pixels as they are, as the report feeds them; ``"vgg"``: as VGG16 was
        trained, blue-green-red and less ImageNet's mean
    size : (height, width) that images are resized to, as ``PIL.Image.resize`` does it by default
        (bicubic), at least 32 x 32; None leaves them as they are
    layer : ``"block1"`` to ``"block5"``: the block whose pooled output is taken
    pooling : ``"avg"`` or ``"max"`` over what is left of height and width
    backend : ``"keras"``, ``"openvino"``, or ``"auto"``: Keras where it has a GPU, else OpenVINO
        where it is installed, else Keras
    precision : ``"float32"``; ``"bfloat16"`` (OpenVINO only, relative error about 0.004); or
        ``"auto"``: bfloat16 where it was measured to be clearly faster here
        (`alutils.models.precision`)
    weights : as in `features`
    batch : images in a forward pass; None for as many as are fast

    Raises
    ------
    ValueError
        For an option that does not exist or cannot be had here.
    ImportError
        If OpenVINO is asked for and not installed.
    """
    _check_choice("preprocessing", preprocessing, ["raw", "vgg"])
    _check_choice("layer", layer, list(vgg16.CONVOLUTIONS))
    _check_choice("pooling", pooling, ["avg", "max"])
    _check_choice("backend", backend, ["auto", "keras", "openvino"])
    _check_choice("precision", precision, ["auto", "float32", "bfloat16"])
    size = checked_size(size)
    if batch is not None and batch < 1:
        raise ValueError(f"batch={batch}: expected 1 or more, or None to have it chosen")
    if weights is None:
        (weights_sha256,) = artefacts.VGG16.content.sha256.values()
    else:
        vgg16.check_weights(weights)
        weights_sha256 = sha256_of_arrays(*weights)
    return FeaturePlan(
        **_runtime(backend, precision, weights, weights_sha256),
        batch=batch or (_fast_batch(size) if size else None),
        weights_sha256=weights_sha256,
        preprocessing=preprocessing,
        size=size,
        layer=layer,
        pooling=pooling,
    )


def _runtime(
    backend: str, precision: str, weights: Sequence[np.ndarray] | None, weights_sha256: str
) -> dict[str, Any]:
    """Settle ``auto``: backend, device, precision and why, and threads."""
    why, device = "as asked for", "cpu"
    installed = importlib.util.find_spec("openvino") is not None
    if backend == "auto":
        # Keras has no use for bfloat16, so who asks for it gets OpenVINO, beside a GPU too.
        gpu = precision != "bfloat16" and vgg16.keras_has_gpu()
        backend = "openvino" if installed and not gpu else "keras"
    if backend == "keras":
        if precision == "bfloat16":
            raise ValueError(
                "precision='bfloat16': Keras takes three times as long with it; install OpenVINO "
                "(`pip install -e .[fast]`) and take backend='openvino', or precision='float32'"
            )
        device = "gpu" if vgg16.keras_has_gpu() else "cpu"
        threads = cores()  # TensorFlow takes them all
        if precision == "auto":
            precision, why = "float32", "the only one with Keras"
    elif not installed:
        raise ImportError(
            "backend='openvino': openvino is not installed; run `pip install -e .[fast]` or take "
            "backend='keras'"
        )
    else:
        kernel, threads = vgg16.openvino_cpu()
        if precision == "bfloat16" and "bf16" not in kernel:
            raise ValueError(
                "precision='bfloat16': this CPU has no instructions for it (AMX or AVX512-BF16); "
                "take 'float32' or 'auto'"
            )
        if precision == "auto" and "bf16" in kernel:
            load = artefacts.vgg16_convolutions if weights is None else lambda: weights
            decision = decide(kernel, threads, weights_sha256, load)
            precision, why = decision.precision, str(decision)
        elif precision == "auto":
            precision, why = "float32", "this CPU has no instructions for bfloat16"
    return {
        "backend": backend, "device": device, "precision": precision, "threads": threads, "why": why
    }  # fmt: skip


def _fast_batch(size: tuple[int, int]) -> int:
    """As many images as hold the pixels of 64 of 32 x 32, so that memory stays what it is."""
    return max(1, min(_BATCH, _BATCH * SMALLEST**2 // (size[0] * size[1])))


def _check_choice(name: str, value: str, choices: list[str]) -> None:
    if value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(choices)}{hint}")
