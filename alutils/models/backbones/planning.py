"""How a network of this project computes features on this machine, and the network itself.

Two runtimes give the same features: Keras, on the CPU or a GPU, and OpenVINO (``pip install -e
.[fast]``), which is faster on the CPU. Each is imported when it is used.
"""

import difflib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from alutils.base import artefacts, lite_weights
from alutils.base.downloads import sha256_of_arrays
from alutils.base.errors import MissingPackage
from alutils.base.manifest import cores
from alutils.data.pixels import SMALLEST, Images, Size, checked_size, prepare
from alutils.models.backbones import efficientnet_lite, runtimes, vgg16
from alutils.models.precision import Trial, decide

_BATCH = 64  # larger batches of 32 x 32 are no faster
_LITE_MOST_ERROR = 0.08
"""Relative error of EfficientNet-Lite's features up to which bfloat16 may be taken. It is 0.04 to
0.06; on letters it was 0.05, and changed no accuracy by more than chance does (six draws)."""
_LITE_TRIAL = (2, 128, 128)
"""Batch, height and width at which it is measured whether bfloat16 pays for EfficientNet-Lite."""


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
    shape : (batch, height, width): images in a forward pass, and their size when prepared
    channels : features of an image
    build : gives the network on the runtime that was chosen
    """

    def __init__(
        self,
        chosen: FeaturePlan,
        shape: tuple[int, int, int],
        channels: int,
        build: Callable[[], runtimes.Network],
    ) -> None:
        self.chosen, self.channels = chosen, channels
        self.batch, self.size = shape[0], shape[1:]
        self.identity = repr(sorted(chosen.origin().items()))
        self._build: Callable[[], runtimes.Network] | None = build
        self._run: runtimes.Network | None = None

    def __call__(
        self, images: Images, done: Callable[[int], object] = lambda n: None
    ) -> np.ndarray:
        """Return (n, channels) float32 features; ``done`` is told of each batch's images."""
        if self._build is not None:
            self._run, self._build = self._build(), None  # the network has its own weights
        assert self._run is not None
        out = np.empty((len(images), self.channels), np.float32)
        self._run(self._batches(images, done), out)
        return out

    def _batches(self, images: Images, done: Callable[[int], object]) -> Iterator[np.ndarray]:
        """Prepare batches of one shape; the last is filled up with zeros."""
        for first in range(0, len(images), self.batch):
            part = images[first : first + self.batch]
            prepared = prepare(part, preprocessing=self.chosen.preprocessing, size=self.size)
            if len(part) < self.batch:
                room = np.zeros((self.batch - len(part), *prepared.shape[1:]), np.float32)
                prepared = np.concatenate([prepared, room])
            yield prepared
            done(len(part))


def vgg16_network(
    chosen: FeaturePlan,
    weights: Sequence[np.ndarray] | None,
    size: tuple[int, int],
    most: int | None = None,
) -> Network:
    """Return VGG16 as planned, for images prepared to this size; at most so many at once."""

    def build() -> runtimes.Network:
        on = {"keras": vgg16.keras_network, "openvino": vgg16.openvino_network}
        return on[chosen.backend](
            artefacts.vgg16_convolutions() if weights is None else weights,
            layer=chosen.layer,
            pooling=chosen.pooling,
            shape=shape,
            precision=chosen.precision,
        )

    batch = chosen.batch or fast_batch(size)
    shape = (batch if most is None else min(batch, most), *size)
    widths = artefacts.VGG16.content.shapes.values() if weights is None else map(np.shape, weights)
    return Network(chosen, shape, vgg16.channels(chosen.layer, list(widths)), build)


def network(
    *,
    size: tuple[int, int] = (32, 32),
    preprocessing: str = "raw",
    weights: Sequence[np.ndarray] | None = None,
    layer: str = "block5",
) -> Network:
    """Return VGG16 for pictures that come bit by bit; options as in `plan`.

    It keeps no features: `alutils.base.row_cache.KeyedRows` does so by the pictures' content.
    """
    chosen = plan(size=size, preprocessing=preprocessing, weights=weights, layer=layer)
    return vgg16_network(chosen, weights, size)


def lite_network(
    name: str,
    size: tuple[int, int],
    backend: str = "auto",
    precision: str = "auto",
    weights: Mapping[str, np.ndarray] | None = None,
) -> Network:
    """Return EfficientNet-Lite, ``"lite0"`` or ``"lite2"``.

    Parameters
    ----------
    name : of `alutils.base.lite_weights.LITE`
    size : (height, width) of the prepared images
    backend, precision : as in `plan`
    weights : arrays of `lite_weights.Lite.shapes`; None for ImageNet's
    """
    _check_choice("name", name, list(lite_weights.LITE))
    if weights is None:
        (weights_sha256,) = lite_weights.ARTEFACTS[name].content.sha256.values()
    else:
        weights_sha256 = sha256_of_arrays(*weights.values())
    batch = fast_batch(size)
    chosen = FeaturePlan(
        **_runtime(backend, precision, weights_sha256, lambda: _lite_trial(name, weights)),
        batch=batch,
        weights_sha256=weights_sha256,
        preprocessing="raw",  # the network scales them itself
        size=size,
        layer=name,
        pooling="avg",
    )
    shape = (batch, *size)
    build = partial(_lite_network, name, weights, chosen.backend, shape, chosen.precision)
    return Network(chosen, shape, lite_weights.HEAD, build)


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
    layer : ``"block1"`` to ``"block5"``: the block whose pooled output is taken; ``"block3+4"``:
        of several, side by side
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
    vgg16.blocks(layer)
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
        **_runtime(backend, precision, weights_sha256, lambda: _vgg16_trial(weights)),
        batch=batch or (fast_batch(size) if size else None),
        weights_sha256=weights_sha256,
        preprocessing=preprocessing,
        size=size,
        layer=layer,
        pooling=pooling,
    )


def _runtime(
    backend: str, precision: str, weights_sha256: str, trial: Callable[[], Trial]
) -> dict[str, Any]:
    """Settle ``auto``: backend, device, precision and why, and threads."""
    why, device = "as asked for", "cpu"
    installed = importlib.util.find_spec("openvino") is not None
    if backend == "auto":
        # Keras has no use for bfloat16, so who asks for it gets OpenVINO, beside a GPU too.
        gpu = precision != "bfloat16" and runtimes.keras_has_gpu()
        backend = "openvino" if installed and not gpu else "keras"
    if backend == "keras":
        if precision == "bfloat16":
            raise ValueError(
                "precision='bfloat16': Keras takes three times as long with it; install OpenVINO "
                "(`pip install -e .[fast]`) and take backend='openvino', or precision='float32'"
            )
        device = "gpu" if runtimes.keras_has_gpu() else "cpu"
        threads = cores()  # TensorFlow takes them all
        if precision == "auto":
            precision, why = "float32", "the only one with Keras"
    elif not installed:
        raise MissingPackage(
            "backend='openvino': openvino is not installed; run `pip install -e .[fast]` or take "
            "backend='keras'"
        )
    else:
        kernel, threads = runtimes.openvino_cpu()
        if precision == "bfloat16" and "bf16" not in kernel:
            raise ValueError(
                "precision='bfloat16': this CPU has no instructions for it (AMX or AVX512-BF16); "
                "take 'float32' or 'auto'"
            )
        if precision == "auto" and "bf16" in kernel:
            decision = decide(kernel, threads, weights_sha256, trial)
            precision, why = decision.precision, str(decision)
        elif precision == "auto":
            precision, why = "float32", "this CPU has no instructions for bfloat16"
    return {
        "backend": backend, "device": device, "precision": precision, "threads": threads, "why": why
    }  # fmt: skip


def fast_batch(size: tuple[int, int]) -> int:
    """Return as many images as hold the pixels of 64 of 32 x 32: more at once are no faster."""
    return max(1, min(_BATCH, _BATCH * SMALLEST**2 // (size[0] * size[1])))


_lite_on = {
    "keras": efficientnet_lite.keras_network, "openvino": efficientnet_lite.openvino_network
}  # fmt: skip


def _lite_network(
    name: str,
    weights: Mapping[str, np.ndarray] | None,
    backend: str,
    shape: tuple[int, int, int],
    precision: str,
) -> runtimes.Network:
    arrays = lite_weights.lite_weights(name) if weights is None else weights
    return _lite_on[backend](lite_weights.LITE[name], arrays, shape, precision)


def _vgg16_trial(weights: Sequence[np.ndarray] | None) -> Trial:
    arrays = artefacts.vgg16_convolutions() if weights is None else weights
    shape = (32, 32, 32)

    def build(precision: str) -> runtimes.Network:
        return vgg16.openvino_network(
            arrays, layer="block5", pooling="avg", shape=shape, precision=precision
        )

    return Trial(shape, arrays[-1].size, build)


def _lite_trial(name: str, weights: Mapping[str, np.ndarray] | None) -> Trial:
    return Trial(
        _LITE_TRIAL,
        lite_weights.HEAD,
        lambda kind: _lite_network(name, weights, "openvino", _LITE_TRIAL, kind),
        _LITE_MOST_ERROR,
    )


def _check_choice(name: str, value: str, choices: list[str]) -> None:
    if value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(choices)}{hint}")
