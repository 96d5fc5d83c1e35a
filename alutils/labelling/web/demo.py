"""The demonstration: digits to label, and a model that has learned from a few others.

It is small enough to be finished with a certificate within minutes: the model that it begins with
has most of the digits right, and the promise of 95% then takes about a hundred labels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from alutils.base.artefacts import ArtefactError, cache_folder
from alutils.base.files import atomic_file
from alutils.data.dataset import DIGITS, Dataset
from alutils.data.mnist import mnist_article
from alutils.models.backbones.choice import FOR_SIGNS
from alutils.models.backbones.extractors import extractor
from alutils.models.model_files import CARD
from alutils.models.picture_models import FeatureModel
from alutils.models.seen import Seen
from alutils.models.softmax_penalised import PenalisedSoftmax

_log = logging.getLogger("alutils")
N_PICTURES, N_TAUGHT = 1000, 600
"""Digits to label, and others that the demonstration's model has learned from."""


@dataclass(frozen=True)
class Demo:
    """A folder of pictures, their classes, and a model to begin with; None where there is none."""

    folder: Path
    classes: tuple[str, ...]
    model: Path | None


def make_demo(folder: Path | None = None, n: int = N_PICTURES, n_taught: int = N_TAUGHT) -> Demo:
    """Write digits to label, and a model that has not seen them, where they are not there yet.

    Parameters
    ----------
    folder : for both; by default in the cache
    n, n_taught : digits to label, and others that the model learns from
    """
    folder = folder or cache_folder() / "label_demo_digits"
    pictures, model = folder / "digits", folder / "model"
    digits = mnist_article()[0]
    order = np.random.default_rng(0).permutation(len(digits))  # names must not tell classes
    if len(list(pictures.glob("digit-*.png"))) < n:
        for number, i in enumerate(order[:n]):
            with atomic_file(pictures / f"digit-{number:04d}.png") as file:
                Image.fromarray(digits.images[i]).save(file, "PNG")
    if not (model / CARD).is_file():
        try:
            taught(digits.take(order[n : n + n_taught])).save(model)
        except (ArtefactError, ImportError) as error:
            _log.warning("The demonstration begins without a model: %s", str(error).splitlines()[0])
    return Demo(pictures, DIGITS, model if (model / CARD).is_file() else None)


def taught(digits: Dataset) -> FeatureModel:
    """Return softmax regression on the features that the tool itself takes for small pictures."""
    features = extractor(FOR_SIGNS)
    x = features(np.stack([features.prepare(image) for image in digits.images]))
    learned = PenalisedSoftmax().fit(x, digits.labels)
    names = [digits.classes[i] for i in learned.classes_]
    return FeatureModel(features, learned.head, names, len(digits), Seen.of(digits.images))
