"""A project of pictures that a simple model learns quickly, for the tests of the loop."""

import hashlib
import io

import numpy as np
from PIL import Image

from alutils.labelling.model import learner
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.store import Store
from alutils.models.picture_models import FeatureModel

CLASSES = ("dark", "light", "mid")
LEVELS = {"dark": 40, "light": 220, "mid": 130}


def learning(features=None, **options):
    """Return how to learn, alone and without pauses."""
    options = {"retrain_after": 10, "pause_s": 0, "beside": False, "typical": False} | options
    return Learning(features, **options)


class Plain:
    """Some of the pixels as features: quick, and enough to tell the classes apart."""

    identity, size = "plain", (32, 32)

    def __init__(self):
        self.n = 0

    def __call__(self, pictures):
        self.n += len(pictures)
        return pictures.reshape(len(pictures), -1)[:, ::97].astype(np.float32) / 255


def add(store, name, rng, noise=25):
    pixels = np.clip(rng.normal(LEVELS[name], noise, (12, 9)), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    data = out.getvalue()
    return store.pictures.add(data, hashlib.sha256(data).hexdigest(), f"{name}.png", 9, 12)


def project(folder, n=90, noise=25, classes=CLASSES):
    """Make a project with n pictures; return it and the true class of each."""
    store = Store.open(folder, classes, seed=0, random_rate=0, twice=0)
    rng = np.random.default_rng(0)
    truth = {}
    for i in range(n):
        name = CLASSES[i % 3]
        truth[add(store, name, rng, noise)] = name
    return store, truth


def label(store, truth, n, person="ann"):
    for item in store.queue.hand_out(person, n):
        store.queue.label(person, item.id, truth[item.id])


def brought(classes=CLASSES, quality=1.0):
    """Make a model on `Plain` features that tells brightness, well or badly."""
    rng = np.random.default_rng(0)
    levels = np.repeat([LEVELS[name] for name in classes], 30)
    x = np.clip(rng.normal(levels[:, None], 25, (len(levels), 32)), 0, 255) / 255
    y = np.repeat(np.arange(len(classes)), 30)
    if quality < 1:
        y = rng.permutation(y)
    head, _ = learner.train(x.astype(np.float32), y)
    return FeatureModel(Plain(), head, classes)
