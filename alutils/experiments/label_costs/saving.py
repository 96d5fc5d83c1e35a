"""The network that notebook 05 leaves behind: what its labels buy, on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alutils.data import mnist
from alutils.experiments.base import Finding
from alutils.experiments.label_costs.fewest_labels import Settings
from alutils.models.convnet import ConvNet
from alutils.models.picture_models import NetworkModel
from alutils.models.saved import load_model
from alutils.models.seen import Seen

SAVED = 109
"""The stream of chance from which the labelled digits are drawn."""
ENOUGH_STEPS = 1000
"""From so many steps on a network gains by what is not labelled."""


def save_best(settings: Settings, folder: Path) -> Path:
    """Train a network on as many labels as the budget has, and save it; return the folder."""
    pool, _ = mnist.mnist_article()
    rng = np.random.default_rng([settings.seed, SAVED])
    items = rng.permutation(len(pool))[: settings.budget]
    images = pool.images[items]
    net = ConvNet(
        len(pool.classes), pool.images if settings.steps >= ENOUGH_STEPS else None,
        seed=settings.seed, members=settings.members, steps=settings.steps,
    ).fit(images, pool.labels[items])  # fmt: skip
    size = (images.shape[1], images.shape[2])
    model = NetworkModel(net, size, False, pool.classes, len(items), Seen.of(images))
    return model.save(folder)


def saved_best(folder: Path) -> Finding:
    """Load a saved network and say how it reads the test digits."""
    model, (_, test) = load_model(folder), mnist.mnist()
    right = (model.predict_proba(test.images).argmax(axis=1) == test.labels).mean()
    return Finding(
        f"Saved: a network that learned from {model.n_trained} labelled digits. Loaded again, it "
        f"reads {right:.1%} of {len(test):,} test digits.",
        name="saved_best",
    )
