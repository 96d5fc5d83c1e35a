"""A trained model on disk, as the report saves it: architecture as JSON, weights as H5.

The folder also holds `CARD`, what those two files do not say: the names of the classes, what is
done to an image before it goes in, and the hash of each file. It is written last, so that a folder
whose card fits its files is whole.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alutils.base.downloads import sha256_of_file
from alutils.base.files import write_atomically
from alutils.base.manifest import write_json
from alutils.base.tensorflow import import_tensorflow
from alutils.data.pixels import Images, checked_images, checked_size, prepare
from alutils.models.backbones import vgg16
from alutils.models.dense_head import DenseHead, DenseWeights

ARCHITECTURE = "model_structure.json"  # the report's name
WEIGHTS = "model-detection.weights.h5"  # the report's, with the ending that Keras 3 asks for
CARD = "model_card.json"
_FORMAT = 1
_BATCH = 64


class SavedModelError(RuntimeError):
    """A saved model that is not there, not whole, or not one of ours."""


@dataclass(frozen=True)
class LabellingModel:
    """A model that reads images; made by `load_model`.

    Attributes
    ----------
    classes : their names, in the order of the probabilities' columns
    preprocessing, size : what is done to images, as in `alutils.models.embeddings.plan`
    sha256 : of architecture and weights: what a threshold or a label can be tied to
    network : the Keras model, (n, height, width, 3) float32 in, (n, n_classes) out
    """

    classes: tuple[str, ...]
    preprocessing: str
    size: tuple[int, int]
    sha256: str
    network: Any

    def predict_proba(self, images: Images) -> np.ndarray:
        """Return (n, n_classes) float32 probabilities of images as `prepare` takes them."""
        images = checked_images(images, self.size)
        out = np.empty((len(images), len(self.classes)), np.float32)
        for start in range(0, len(images), _BATCH):
            part = images[start : start + _BATCH]
            pixels = prepare(part, preprocessing=self.preprocessing, size=self.size)
            out[start : start + _BATCH] = self.network.predict_on_batch(pixels)
        return out


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
) -> Path:
    """Save the whole network as the report does, and what is needed to use it.

    Parameters
    ----------
    folder : made if need be; a model in it is replaced
    head : trained
    vgg_weights : as in `build_network`
    classes : names, one for each of the head's classes
    preprocessing, size : how the features that the head was trained on were computed

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
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ARCHITECTURE, network.to_json())
    partial = folder / f".{uuid.uuid4().hex}.tmp.weights.h5"
    try:
        network.save_weights(partial)
        partial.replace(folder / WEIGHTS)
    finally:
        partial.unlink(missing_ok=True)
    card = {
        "format": _FORMAT,
        "classes": classes,
        "preprocessing": preprocessing,
        "size": [int(side) for side in size],
        "sha256": {name: sha256_of_file(folder / name) for name in (ARCHITECTURE, WEIGHTS)},
    }
    write_json(folder / CARD, card)
    return folder


def load_model(folder: Path | str) -> LabellingModel:
    """Load a model that `save_model` wrote, ready to read images.

    Raises
    ------
    SavedModelError
        If a file is missing, cut or changed, or the card is not one.
    """
    folder = Path(folder)
    card = read_card(folder)
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
    import_tensorflow()
    import keras

    network = keras.models.model_from_json((folder / ARCHITECTURE).read_text(encoding="utf-8"))
    network.load_weights(folder / WEIGHTS)
    if network.output_shape[-1] != len(card["classes"]):
        raise SavedModelError(
            f"{folder / CARD} names {len(card['classes'])} classes, the network has "
            f"{network.output_shape[-1]}: save the model again"
        )
    return LabellingModel(
        classes=tuple(card["classes"]),
        preprocessing=card["preprocessing"],
        size=tuple(card["size"]),
        sha256=hashlib.sha256("".join(card["sha256"].values()).encode()).hexdigest(),
        network=network,
    )


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card, or raise SavedModelError."""
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SavedModelError(
            f"{path} is missing: {folder} holds no model that save_model finished"
        ) from None
    except ValueError as error:
        raise SavedModelError(f"{path} is damaged ({error}): save the model again") from error
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        raise SavedModelError(f"{path}: expected a card of format {_FORMAT}: save the model again")
    fits = {
        "classes": lambda v: isinstance(v, list) and v and all(isinstance(c, str) for c in v),
        "preprocessing": lambda v: v in ("raw", "vgg"),
        "size": lambda v: isinstance(v, list) and len(v) == 2 and all(type(s) is int for s in v),
        "sha256": lambda v: isinstance(v, dict) and set(v) == {ARCHITECTURE, WEIGHTS},
    }
    for name, is_fit in fits.items():
        if not is_fit(value := card.get(name)):
            raise SavedModelError(f"{path}: {name}={value!r} cannot be: save the model again")
    return card
