"""The report's model on disk, as the report saves it: architecture as JSON, weights as H5.

The folder also holds a card: what those two files do not say, the names of the classes, what is
done to an image before it goes in, and the hash of each file. It is written last, so that a folder
whose card fits its files is whole.

Plain Keras loads the two files, as the report does. Here they are read without Keras, which would
build whatever the JSON names: the architecture is always the report's, so the JSON is only
compared with it, and the weights are read as arrays of the shapes that it has.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alutils.base.downloads import sha256_of_file
from alutils.base.files import write_atomically
from alutils.base.manifest import digest, write_json
from alutils.base.tensorflow import import_tensorflow
from alutils.data.one_size import to_one_size
from alutils.data.pixels import Images, checked_size
from alutils.models.backbones import planning, vgg16
from alutils.models.dense_head import DenseHead, DenseWeights
from alutils.models.heads import Head
from alutils.models.model_files import AGAIN, CARD, SavedModelError, are_names, is_hash
from alutils.models.picture_models import PictureModel
from alutils.models.seen import Seen

ARCHITECTURE = "model_structure.json"  # the report's name
WEIGHTS = "model-detection.weights.h5"  # the report's, with the ending that Keras 3 asks for
FORMAT = 1
_MOST_HIDDEN = 2**16


class ReportModel(PictureModel):
    """The report's network: VGG16's convolutions and its head.

    Parameters
    ----------
    vgg_weights : 26 arrays, as `alutils.base.artefacts.vgg16_convolutions` gives them
    head : four arrays, as in `DenseWeights`
    classes, n_trained, seen : as in `PictureModel`
    preprocessing, size : what is done to images, as in `alutils.models.embeddings.plan`
    sha256 : of all that the card says, the hashes of architecture and weights among it
    """

    kind = "report"

    def __init__(
        self, vgg_weights: Sequence[np.ndarray], head: Head, classes: Sequence[str], *,
        preprocessing: str, size: tuple[int, int], sha256: str, n_trained: int = 0,
        seen: Seen | None = None,
    ) -> None:  # fmt: skip
        super().__init__(classes, n_trained, seen)
        self.vgg_weights, self.head = list(vgg_weights), head
        self.preprocessing, self.size = preprocessing, size
        self.__dict__["sha256"] = sha256  # of its files, which have their own format

    @functools.cached_property
    def extractor(self) -> planning.Network:
        """What gives the features; it computes in float32, as Keras does."""
        chosen = planning.plan(
            size=self.size, preprocessing=self.preprocessing, weights=self.vgg_weights,
            precision="float32",
        )  # fmt: skip
        return planning.vgg16_network(chosen, self.vgg_weights, self.size)

    def _read(self, images: Images) -> np.ndarray:
        # One kind for all of them: grey becomes three equal channels, as in training.
        prepared = to_one_size(images, self.size, colour=True)
        return self.head.predict_proba(self.extractor(prepared))

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        raise NotImplementedError("the report's model has a format of its own")

    def save(self, folder: Path | str) -> Path:
        """Save the model as the report does; returns the folder."""
        network = build_network(DenseWeights(*self.head.weights), self.vgg_weights, self.size)
        return _write(
            Path(folder), network, self.classes, self.preprocessing, self.size, self.n_trained,
            self.seen,
        )  # fmt: skip


def build_network(
    weights: DenseWeights, vgg_weights: Sequence[np.ndarray], size: tuple[int, int] = (32, 32)
) -> Any:
    """Build the report's whole network in Keras; ValueError for a head not on 512 features.

    ``vgg_weights`` are those of `alutils.base.artefacts.vgg16_convolutions`, ``size`` is the
    (height, width) of the network's input.
    """
    if len(weights.w1) != 512:
        raise ValueError(f"the head takes {len(weights.w1)} features: VGG16 gives 512 (block5)")
    import_tensorflow()
    import keras

    base = vgg16.keras_model(vgg_weights, "block5", "avg", size)
    hidden, n_classes = weights.w2.shape
    # The names that a fresh session would give, so that the same model is the same file.
    told = {"dtype": "float32"}
    x = keras.layers.Flatten(name="flatten", data_format="channels_last", **told)(base.output)
    x = keras.layers.Dense(hidden, activation="relu", name="dense", **told)(x)
    x = keras.layers.Dense(n_classes, activation="softmax", name="dense_1", **told)(x)
    network = keras.Model(base.input, x, name="functional")
    for layer, values in zip(network.layers[-2:], (weights[:2], weights[2:]), strict=True):
        layer.set_weights(list(values))
    return network


def save_model(
    folder: Path | str,
    head: DenseHead,
    vgg_weights: Sequence[np.ndarray],
    *,
    classes: Sequence[str],
    preprocessing: str = "raw",
    size: tuple[int, int] = (32, 32),
    n_trained: int = 0,
    seen: Seen | None = None,
) -> Path:
    """Save the whole network as the report does, and what is needed to use it.

    Parameters
    ----------
    folder : made if need be; a model in it is replaced
    head : trained
    vgg_weights : as in `build_network`
    classes : names, one for each of the head's classes
    preprocessing, size : how the features that the head was trained on were computed
    n_trained, seen : as in `PictureModel`

    Returns
    -------
    the folder

    Raises
    ------
    ValueError
        If the names are not as many as the classes, or are not all different; for a preprocessing
        that does not exist. Nothing is written then.
    """
    folder, classes = Path(folder), [str(name) for name in classes]
    if len(classes) != head.n_classes or len(set(classes)) != len(classes):
        raise ValueError(
            f"classes={classes}: expected {head.n_classes} names, no two alike, one for each class "
            "of the head"
        )
    if preprocessing not in ("raw", "vgg"):
        raise ValueError(f"preprocessing={preprocessing!r}: expected 'raw' or 'vgg'")
    if checked_size(size) is None:
        raise ValueError("size=None: a saved network has one size of input; give (height, width)")
    network = build_network(head.weights, vgg_weights, size)
    return _write(folder, network, classes, preprocessing, size, n_trained, seen)


def _write(
    folder: Path, network: Any, classes: Sequence[str], preprocessing: str, size: tuple[int, int],
    n_trained: int, seen: Seen | None,
) -> Path:  # fmt: skip
    """Write the three files, the card last."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ARCHITECTURE, network.to_json())
    partial = folder / f".{uuid.uuid4().hex}.tmp.weights.h5"
    try:
        network.save_weights(partial)
        partial.replace(folder / WEIGHTS)
    finally:
        partial.unlink(missing_ok=True)
    card: dict[str, Any] = {
        "format": FORMAT,
        "classes": list(classes),
        "preprocessing": preprocessing,
        "size": [int(side) for side in size],
        "n_trained": n_trained,
        "seen": seen.to_json() if seen else None,
        "sha256": {name: sha256_of_file(folder / name) for name in (ARCHITECTURE, WEIGHTS)},
    }
    write_json(folder / CARD, card | {"model_sha256": _sha256(card)})
    return folder


def _sha256(card: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that the card says, the hashes of the two files among it."""
    told = {name: value for name, value in card.items() if name != "model_sha256"}
    return digest(json.dumps(told, sort_keys=True))


def read(folder: Path, card: Mapping[str, Any]) -> ReportModel:
    """Read a model whose card is known; SavedModelError if it is not whole or not the report's."""
    _check(folder / CARD, card)
    sha256 = _sha256(card)
    if card.get("model_sha256", sha256) != sha256:  # cards of older versions do not have it
        raise SavedModelError(f"{folder / CARD} is not the card that was saved: {AGAIN}")
    for name, expected in card["sha256"].items():
        path = folder / name
        if not path.is_file():
            raise SavedModelError(f"{path} is missing: save the model again, or copy all 3 files")
        found = sha256_of_file(path)
        if found != expected:
            raise SavedModelError(
                f"{path} is not the file that was saved (SHA-256 {found[:12]}..., expected "
                f"{expected[:12]}...): it is damaged or of another model; save the model again"
            )
    hidden, n_classes = _check_architecture(folder / ARCHITECTURE)
    if n_classes != len(card["classes"]):
        raise SavedModelError(
            f"{folder / CARD} names {len(card['classes'])} classes, the network has {n_classes}: "
            "save the model again"
        )
    weights = _read_weights(folder / WEIGHTS, hidden, n_classes)
    try:
        seen = Seen.from_json(card["seen"]) if card.get("seen") else None
        return ReportModel(
            weights[:26], Head(tuple(weights[26:])), card["classes"],
            preprocessing=card["preprocessing"], size=(card["size"][0], card["size"][1]),
            n_trained=int(card.get("n_trained", 0)), seen=seen,
            sha256=sha256,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise SavedModelError(f"{folder}: {error}") from error


def _check(path: Path, card: Mapping[str, Any]) -> None:
    fits = {
        "classes": are_names,
        "preprocessing": lambda v: v in ("raw", "vgg"),
        "size": lambda v: (
            isinstance(v, list)
            and len(v) == 2
            and all(type(s) is int and 32 <= s <= 1024 for s in v)
        ),
        "sha256": lambda v: (
            isinstance(v, dict)
            and set(v) == {ARCHITECTURE, WEIGHTS}
            and all(map(is_hash, v.values()))
        ),
    }
    for name, is_fit in fits.items():
        if not is_fit(value := card.get(name)):
            raise SavedModelError(f"{path}: {name}={value!r:.200} cannot be: save the model again")


def _check_architecture(path: Path) -> tuple[int, int]:
    """Compare the layers with the report's; return units of the first dense layer, and classes."""
    expected = ["InputLayer"]
    for count in vgg16.CONVOLUTIONS.values():
        expected += ["Conv2D"] * count + ["MaxPooling2D"]
    expected += ["GlobalAveragePooling2D", "Flatten", "Dense", "Dense"]
    try:
        layers = json.loads(path.read_text(encoding="utf-8"))["config"]["layers"]
        found = [f"{layer['class_name']}" for layer in layers]
        units = [layer["config"]["units"] for layer in layers[-2:]] if found == expected else []
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SavedModelError(f"{path} is no architecture of Keras ({error!r}): {AGAIN}") from error
    for number, (name, other) in enumerate(zip(found, expected, strict=False)):
        if name != other:
            raise SavedModelError(
                f"{path} is not the report's network: layer {number} is {name!r:.80}, expected "
                f"{other}; nothing of it was run"
            )
    if len(found) != len(expected) or not all(
        type(n) is int and 0 < n <= _MOST_HIDDEN for n in units
    ):
        raise SavedModelError(
            f"{path} is not the report's network: {len(found)} layers, dense ones of {units} units"
        )
    return units[0], units[1]


def _read_weights(path: Path, hidden: int, n_classes: int) -> list[np.ndarray]:
    """Read kernels and biases of 13 convolutions and 2 dense layers, as Keras 3 names them."""
    import h5py

    shapes: dict[str, tuple[int, ...]] = {}
    widths = [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    for i, (before, width) in enumerate(zip([3, *widths], widths, strict=False)):
        name = f"conv2d_{i}" if i else "conv2d"
        shapes |= {f"{name}/vars/0": (3, 3, before, width), f"{name}/vars/1": (width,)}
    shapes |= {"dense/vars/0": (512, hidden), "dense/vars/1": (hidden,)}
    shapes |= {"dense_1/vars/0": (hidden, n_classes), "dense_1/vars/1": (n_classes,)}
    weights = []
    try:
        with h5py.File(path, "r") as file:
            for name, shape in shapes.items():
                array = file["layers"][name]
                # Data that lies in another file is not what the hash was taken of.
                plain = isinstance(array, h5py.Dataset) and not array.external
                if not plain or array.is_virtual or array.file.filename != file.filename:
                    raise SavedModelError(f"{path}: {name} is no array of this file: {AGAIN}")
                if array.shape != shape or array.dtype != np.float32:
                    raise SavedModelError(
                        f"{path}: {name} is {array.dtype} of shape {array.shape}, expected "
                        f"float32 of shape {shape}: it is not the report's network"
                    )
                weights.append(array[()])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, SavedModelError):
            raise
        raise SavedModelError(f"{path} is damaged ({error}): {AGAIN}") from error
    if not all(np.isfinite(each).all() for each in weights):
        raise SavedModelError(f"{path} holds weights that are not finite: train the model again")
    return weights
