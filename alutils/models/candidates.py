"""Ways to learn from the same labelled pictures, each of which can end as a picture model.

A candidate is trained on some of the pictures and asked about the others; the one that is taken is
trained once more, on all of them. `alutils.models.training` compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alutils.data.augmentation import DISTORTIONS
from alutils.data.one_size import to_one_size
from alutils.data.pixels import Images
from alutils.models import embeddings
from alutils.models.backbones.extractors import extractor
from alutils.models.convnet import LARGEST, ConvNet
from alutils.models.label_spreading import SpreadSoftmax
from alutils.models.picture_models import FeatureModel, NetworkModel, PictureModel
from alutils.models.seen import Seen
from alutils.models.softmax_penalised import PenalisedSoftmax

STEPS, SHORT = 4000, 2000
"""Of a network's training, and of one that only compares distortions. Twice as many as `ConvNet`
takes by itself: the wide distortions need them, most of all for letters of another origin."""
MEMBERS = 2
"""Networks that are averaged in the end: two cores train two in the time of one."""
ON_GREY = ("pens", "letters", "mirrored", "none")
IN_COLOUR = ("mirrored", "shifted", "none")
"""Names of `DISTORTIONS` that are compared on grey pictures and on those in colour, the widest
first. Trainings that are too short for the wide ones make them look worse than they are."""
_SPREAD = 10_000  # pictures without labels that are looked at, drawn at random

KINDS = ("softmax", "spreading", "network", "average")


@dataclass(frozen=True)
class Material:
    """What is learned from.

    Attributes
    ----------
    images : labelled pictures, an array or a list of any sizes
    labels : (n,) int64, positions in ``classes``; each class occurs
    classes : names
    seen : facts about the pictures
    unlabelled : more pictures without labels, or None
    prior : pictures of another origin and their labels, or None
    seed : of everything random
    progress : whether to show bars
    """

    images: Images
    labels: np.ndarray
    classes: tuple[str, ...]
    seen: Seen
    unlabelled: Images | None = None
    prior: tuple[Images, np.ndarray] | None = None
    seed: int = 0
    progress: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) at which the network takes them; None if they are too large for it."""
        sides = np.array([np.shape(image)[:2] for image in self.images])
        height, width = map(int, np.median(sides, axis=0))
        fits = min(height, width) >= 8 and max(height, width, *self.seen.largest) <= LARGEST
        return (height, width) if fits else None

    @property
    def colour(self) -> bool:
        """Whether the network reads them in colour: some of them are."""
        return self.seen.colour > 0.02


@dataclass(frozen=True)
class Candidate:
    """One way to learn.

    Attributes
    ----------
    name : in words
    kind : of `KINDS`
    ask : takes (m,) items to learn from and (k,) items to be asked about, gives (k, n_classes)
    finish : trains on all items, gives the model
    """

    name: str
    kind: str
    ask: Callable[[np.ndarray, np.ndarray], np.ndarray]
    finish: Callable[[], PictureModel]


def on_features(material: Material, backbone: Any, spreading: bool = False) -> Candidate:
    """Return softmax regression on a backbone's features, from the labels or from spread ones."""
    run = extractor(backbone)

    def see(images: Images) -> np.ndarray:
        progress = material.progress
        return np.asarray(embeddings.features(images, backbone=backbone, progress=progress))

    features = see(material.images)
    n_classes = len(material.classes)
    more = np.empty((0, features.shape[1]), np.float32)
    if spreading and material.unlabelled is not None:
        more = see(_some(material.unlabelled, _SPREAD, material.seed))

    def make(held_out: np.ndarray) -> Any:
        if not spreading:
            return PenalisedSoftmax()
        # What is asked about belongs to the pictures without labels, as it will in use.
        return SpreadSoftmax(n_classes, np.concatenate([features[held_out], more]))

    def ask(items: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        model = make(held_out).fit(features[items], material.labels[items])
        p = np.zeros((len(held_out), n_classes), np.float32)
        p[:, model.classes_] = model.predict_proba(features[held_out])
        return p

    def finish() -> PictureModel:
        model = make(np.empty(0, int)).fit(features, material.labels)
        n = len(material.labels)
        return FeatureModel(run, model.head, material.classes, n, material.seen)

    what = "label spreading" if spreading else "softmax regression"
    return Candidate(f"{what} on {run.backbone}", KINDS[spreading], ask, finish)


def network(
    material: Material,
    distortion: str,
    *,
    prior: bool = False,
    unlabelled: bool = False,
    steps: int | None = None,
) -> Candidate:
    """Return the small network.

    ``distortion`` is a name of `DISTORTIONS`; ``prior`` and ``unlabelled`` say what else of the
    material it learns from; ``steps`` are `STEPS` if not given.
    """
    size, colour = material.size, material.colour
    assert size is not None
    images = to_one_size(material.images, size, colour)
    more = None
    if unlabelled and material.unlabelled is not None:
        more = to_one_size(material.unlabelled, size, colour)
    others = None
    if prior and material.prior is not None:
        others = (to_one_size(material.prior[0], size, colour), material.prior[1])

    def trained(items: np.ndarray, members: int, held_out: np.ndarray) -> ConvNet:
        # What is asked about belongs to the pictures without labels, as it will in use.
        pool = None if more is None else np.concatenate([images[held_out], more])
        net = ConvNet(
            len(material.classes), pool, others, seed=material.seed, members=members,
            steps=steps or STEPS, distortion=DISTORTIONS[distortion], progress=material.progress,
        )  # fmt: skip
        return net.fit(images[items], material.labels[items])

    def ask(items: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        return trained(items, 1, held_out).predict_proba(images[held_out])

    def finish() -> PictureModel:
        everything = np.arange(len(images))
        net = trained(everything, MEMBERS, everything[:0])
        n = len(material.labels)
        return NetworkModel(net, size, colour, material.classes, n, material.seen)

    parts = [distortion, *(["prior"] if prior else []), *(["unlabelled"] if unlabelled else [])]
    name = f"small network ({', '.join(parts)})"
    return Candidate(name, "network", ask, finish)


def distortions(material: Material) -> Sequence[str]:
    """Return the names of the distortions to be compared, the widest first."""
    return IN_COLOUR if material.colour else ON_GREY


def _some(images: Images, most: int, seed: int) -> Images:
    if len(images) <= most:
        return images
    return taken(images, np.sort(np.random.default_rng(seed).permutation(len(images))[:most]))


def taken(images: Images, items: np.ndarray) -> Images:
    """Return some pictures of an array or a list."""
    return images[items] if isinstance(images, np.ndarray) else [images[i] for i in items]
