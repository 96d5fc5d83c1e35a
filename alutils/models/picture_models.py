"""Models that read pictures: what is saved, loaded and applied.

A picture model takes pictures of any sizes, grey or in colour, and brings them to the form that it
was trained on; whether they look like those is another question, which `seen` answers. Three kinds
are made here: a classifier on a backbone's features, the small network, and an average of models.
The report's model, in the report's own format, is in `alutils.models.report_model`.
"""

from __future__ import annotations

import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from alutils.base.errors import BadInput, ParameterError
from alutils.data.augmentation import Distortion
from alutils.data.one_size import levels, to_one_size
from alutils.data.pixels import Images, checked_images
from alutils.models import model_files
from alutils.models.backbones.extractors import Extractor, extractor
from alutils.models.backbones.names import OWN, Backbone
from alutils.models.convnet import ConvNet
from alutils.models.convnet_network import CONVOLUTIONS, weight_shapes
from alutils.models.heads import Head
from alutils.models.model_files import Content, SavedModelError
from alutils.models.seen import Seen

_log = logging.getLogger("alutils")

_MOST_VIEWS = 100
"""Copies of a picture that a saved network may look at: more would only keep a computer busy."""
_LOOKED_AT, _PIXELS_LOOKED_AT = 200, 20_000_000
"""Pictures, and numbers in them, that are held against what a model has seen, at most."""
_AT_ONCE = 512
"""Pictures that are prepared and read at a time, so that memory does not grow with their number."""


class PictureModel(ABC):
    """What all kinds share.

    Attributes
    ----------
    kind : which kind it is
    classes : names, in the order of the probabilities' columns
    n_trained : labels that it was trained on; 0 if nobody knows
    seen : facts about the pictures that it was trained on; None if nobody knows

    Raises
    ------
    ParameterError
        For names that are none or not all different, and a number of labels below 0.
    """

    kind: ClassVar[str]

    def __init__(self, classes: Sequence[str], n_trained: int, seen: Seen | None) -> None:
        self.classes = tuple(map(str, classes))
        if not model_files.are_names(list(self.classes)):
            raise ParameterError("classes", self.classes, "expected names, no two alike")
        if n_trained < 0:
            raise ParameterError("n_trained", n_trained, "expected 0 or more")
        self.n_trained, self.seen = int(n_trained), seen
        self._told: set[str] = set()  # kinds of differences

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of all that the model is: what a label or a threshold can be tied to."""
        return self.content().sha256()

    def content(self) -> Content:
        """Return what is saved."""
        settings, arrays = self._parts()
        return Content(self.kind, self.classes, self.n_trained, self.seen, settings, arrays)

    def save(self, folder: Path | str) -> Path:
        """Save the model into a folder, made if need be; a model in it is replaced.

        Returns the folder. It is loaded by `alutils.models.load_model`.
        """
        return model_files.write(Path(folder), self.content())

    def predict_proba(self, images: Images) -> np.ndarray:
        """Return probabilities of the classes.

        Parameters
        ----------
        images : (n, h, w), (n, h, w, 1) or (n, h, w, 3) array, or a list of (h, w[, c]) arrays of
            any sizes; grey or RGB, levels 0 to 255

        Returns
        -------
        (n, n_classes) float32. Where the pictures differ from what the model has seen, that is
        logged, once for each difference

        Raises
        ------
        ValueError, BadInput
            For pictures of another shape, and levels outside 0 to 255 or scaled to 0 to 1.
        """
        many = hasattr(images, "__len__") and not hasattr(images, "tocsr")
        if not many or getattr(images, "ndim", 1) == 0:
            kind = type(images).__name__
            raise BadInput(f"images are of type {kind}: expected an array or a list of pictures")
        if len(images):
            images = checked_images(images, (32, 32))
            self._tell_unseen(images)
        return self.read(images)

    def _tell_unseen(self, images: Images) -> None:
        """Log what the model has not seen of some of the pictures."""
        if self.seen is None or np.asarray(images[0]).dtype.kind not in "iuf":
            return
        chosen = np.random.default_rng(0).permutation(len(images))[:_LOOKED_AT]
        some, pixels = [], 0
        for i in chosen:
            some.append(np.asarray(images[int(i)]))
            pixels += some[-1].size
            if pixels > _PIXELS_LOOKED_AT:
                break
        found = self.seen.compare(Seen.of_sample(some, len(images)))
        new = [each for each in found if each.kind not in self._told]
        self._told |= {each.kind for each in new}
        if new:
            sentences = "; ".join(each.sentence for each in new)
            _log.warning("the model has not seen such pictures, and may be sure and wrong: %s",
                         sentences)  # fmt: skip

    def read(self, images: Images) -> np.ndarray:
        """Return what `predict_proba` does, and say nothing of what the model has not seen."""
        if not len(images):
            return np.empty((0, len(self.classes)), np.float32)
        images = checked_images(images, (32, 32))
        parts = (images[i : i + _AT_ONCE] for i in range(0, len(images), _AT_ONCE))
        return np.concatenate([self._read(part) for part in parts])

    @abstractmethod
    def _read(self, images: Images) -> np.ndarray:
        """Return (n, n_classes) float32 probabilities of a few pictures."""

    @abstractmethod
    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return settings, as JSON takes them, and arrays."""


class FeatureModel(PictureModel):
    """A classifier on the features of a backbone.

    Parameters
    ----------
    backbone : its name, a `Backbone`, an `Extractor`, or a function of your own, as `extractor`
        takes them
    head : the classifier; as many probabilities as there are classes
    classes, n_trained, seen : as in `PictureModel`

    Raises
    ------
    ParameterError
        For another number of classes than the head's.
    """

    kind = "features"

    def __init__(
        self, backbone: Any, head: Head, classes: Sequence[str], n_trained: int = 0,
        seen: Seen | None = None,
    ) -> None:  # fmt: skip
        super().__init__(classes, n_trained, seen)
        if head.n_classes != len(self.classes):
            expected = f"expected {head.n_classes} names, one for each of the head's classes"
            raise ParameterError("classes", len(self.classes), expected)
        self.head = head
        self.extractor: Extractor = extractor(backbone)

    @property
    def backbone(self) -> Backbone:
        """Name, size and fit of what gives the features."""
        return self.extractor.backbone

    def _read(self, images: Images) -> np.ndarray:
        prepared = np.stack([self.extractor.prepare(self._as_trained(each)) for each in images])
        return self.head.predict_proba(self.extractor(prepared))

    def _as_trained(self, image: np.ndarray) -> np.ndarray:
        """Make a picture as small as the training pictures, where the backbone enlarged these.

        Of a picture that is sharper, it gives other features.
        """
        picture, seen = levels(image), self.seen
        if seen is None or seen.smallest != seen.largest or picture.shape[:2] == seen.smallest:
            return picture
        if seen.smallest[0] >= self.backbone.size[0] and seen.smallest[1] >= self.backbone.size[1]:
            return picture
        return to_one_size([picture], seen.smallest, picture.ndim == 3)[0]

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {f"w{i}": each for i, each in enumerate(self.head.weights)}
        own = {"identity": self.extractor.identity} if self.backbone.name == OWN else {}
        return {"backbone": self.backbone.to_json(), **own}, arrays

    @classmethod
    def load(cls, content: Content, own: Any = None) -> FeatureModel:
        """Make a model of what was saved; ``own`` is the user's function, where it was one."""
        backbone = Backbone.from_json(content.settings.get("backbone"))
        head = Head(tuple(content.arrays[f"w{i}"] for i in range(len(content.arrays))))
        model = cls(
            own if backbone.name == OWN and own is not None else backbone, head, content.classes,
            content.n_trained, content.seen,
        )  # fmt: skip
        kept = content.settings.get("identity", model.extractor.identity)
        if backbone.name == OWN and kept != model.extractor.identity:
            raise ParameterError("own", "the function", "gives other features than in training",
                                 "give the function that the model was trained with")  # fmt: skip
        return model


class NetworkModel(PictureModel):
    """The small convolutional network, trained.

    Parameters
    ----------
    network : trained, with as many classes as there are names
    size : (height, width) of the pictures that it was trained on
    colour : whether they were in colour
    classes, n_trained, seen : as in `PictureModel`

    Raises
    ------
    ParameterError
        For weights of other shapes than such a network has.
    """

    kind = "convnet"

    def __init__(
        self, network: ConvNet, size: tuple[int, int], colour: bool, classes: Sequence[str],
        n_trained: int = 0, seen: Seen | None = None,
    ) -> None:  # fmt: skip
        super().__init__(classes, n_trained, seen)
        self.network, self.size, self.colour = network, (int(size[0]), int(size[1])), bool(colour)
        self.beside = {
            "unlabelled": 0 if network.unlabelled is None else len(network.unlabelled),
            "prior": 0 if network.prior is None else len(network.prior[0]),
        }
        """How many pictures it learned from beside the labelled ones."""
        expected = weight_shapes(len(self.classes), (*self.size, 3 if colour else 1), network.width)
        for weights in network.weights or [[]]:
            if (found := [each.shape for each in weights]) != expected:
                raise ParameterError("weights", found, f"expected the shapes {expected}")

    def _read(self, images: Images) -> np.ndarray:
        return self.network.predict_proba(to_one_size(images, self.size, self.colour))

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        net = self.network
        settings = {
            "size": list(self.size),
            "colour": self.colour,
            "seed": net.seed,
            "members": net.members,
            "steps": net.steps,
            "width": net.width,
            "convolutions": len(CONVOLUTIONS),
            "views": net.views,
            "distortion": asdict(net.distortion),
            **self.beside,
        }
        arrays = {
            f"m{i}_{j:02d}": each
            for i, member in enumerate(net.weights)
            for j, each in enumerate(member)
        }
        return settings, arrays

    @classmethod
    def load(cls, content: Content, own: Any = None) -> NetworkModel:
        """Make a model of what was saved."""
        told = content.settings
        if (found := told.get("convolutions", 3)) != len(CONVOLUTIONS):
            raise ParameterError(
                "convolutions", found, f"expected {len(CONVOLUTIONS)}: the model was saved by "
                "another version of this program", "train it again",
            )  # fmt: skip
        network = ConvNet(
            len(content.classes),
            distortion=Distortion(**told["distortion"]),
            **{name: told[name] for name in ("seed", "members", "steps", "width", "views")},
        )
        if network.views > _MOST_VIEWS:
            raise ParameterError("views", network.views, f"expected at most {_MOST_VIEWS}")
        names, each = sorted(content.arrays), len(content.arrays) // network.members
        if not each or each * network.members != len(names):
            expected = f"expected as many for each of {network.members} members"
            raise ParameterError("arrays", len(names), expected)
        groups = [names[i : i + each] for i in range(0, len(names), each)]
        network.weights = [[content.arrays[name] for name in group] for group in groups]
        size = (told["size"][0], told["size"][1])
        model = cls(network, size, told["colour"], content.classes, content.n_trained, content.seen)
        model.beside = {name: told[name] for name in model.beside}
        return model


class AverageModel(PictureModel):
    """Models whose probabilities are averaged.

    Parameters
    ----------
    models : two or more, of the same classes in the same order

    Raises
    ------
    ParameterError
        For fewer models, and for other classes.
    """

    kind = "average"

    def __init__(self, models: Sequence[PictureModel]) -> None:
        if len(models) < 2:
            raise ParameterError("models", len(models), "expected two models or more")
        for model in models[1:]:
            if model.classes != models[0].classes:
                raise ParameterError(
                    "models", ", ".join(model.classes), "expected the same classes in each"
                )
        super().__init__(models[0].classes, models[0].n_trained, models[0].seen)
        self.models = tuple(models)

    def _read(self, images: Images) -> np.ndarray:
        return np.mean([model.read(images) for model in self.models], axis=0)

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        contents = [model.content() for model in self.models]
        parts = [{"kind": each.kind, "settings": each.settings} for each in contents]
        arrays = {
            f"{i}_{name}": array
            for i, each in enumerate(contents)
            for name, array in each.arrays.items()
        }
        return {"parts": parts}, arrays

    @classmethod
    def load(cls, content: Content, own: Any = None) -> AverageModel:
        """Make a model of what was saved."""
        models = []
        for i, part in enumerate(content.settings["parts"]):
            if part["kind"] == cls.kind:
                raise ParameterError("kind", cls.kind, "an average holds no other average")
            start = f"{i}_"
            arrays = {
                name.removeprefix(start): array
                for name, array in content.arrays.items()
                if name.startswith(start)
            }
            whole = content._replace(kind=part["kind"], settings=part["settings"], arrays=arrays)
            models.append(KINDS[part["kind"]].load(whole, own))
        return cls(models)


KINDS: Mapping[str, Any] = {each.kind: each for each in (FeatureModel, NetworkModel, AverageModel)}


def from_content(content: Content, where: Path, own: Any = None) -> PictureModel:
    """Make a model of what was read from a folder; SavedModelError if it is none of ours."""
    if content.kind not in KINDS:
        raise SavedModelError(
            f"{where}: kind {content.kind!r}, expected {', '.join(KINDS)}: the model was saved by "
            "another version of this program"
        )
    try:
        return KINDS[content.kind].load(content, own)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else error
        raise SavedModelError(f"{where} holds no such model as its card says ({what})") from error
