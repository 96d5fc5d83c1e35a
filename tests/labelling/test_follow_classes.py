"""Models follow the classes: what knows a class that was renamed or merged is trained again."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.store import Store

CLASSES = ("dark", "light", "mid")
LEVELS = {"dark": 40, "light": 220, "mid": 130}


class Plain:
    """Some of the pixels as features: quick, and enough to tell the classes apart."""

    identity, size = "plain", (32, 32)

    def __call__(self, pictures):
        return pictures.reshape(len(pictures), -1)[:, ::97].astype(np.float32) / 255


@pytest.fixture
def begun(tmp_path):
    """Ninety pictures, thirty of them labelled, and a model that was trained on these."""
    rng = np.random.default_rng(0)
    with Store.open(tmp_path, CLASSES, seed=0, random_rate=0) as store:
        for i in range(90):
            name, out = CLASSES[i % 3], io.BytesIO()
            pixels = np.clip(rng.normal(LEVELS[name], 20, (12, 9)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(out, "PNG")
            sha256 = hashlib.sha256(out.getvalue()).hexdigest()
            item = store.pictures.add(out.getvalue(), sha256, f"{name}.png", 9, 12)
            if i < 30:
                store.queue.label("ann", item, name)
        loop = LabellingLoop(store, Learning(Plain(), retrain_after=10, pause_s=0, beside=False))
        assert loop.work()
        yield store, loop
        loop.stop()


def predictions(store):
    return {(i.name, i.predicted) for i in store.reader.page(limit=100).items}


RIGHT = {(f"{name}.png", name) for name in CLASSES}


def test_after_a_renaming_the_model_is_trained_again_and_says_the_new_name(begun):
    store, loop = begun
    assert predictions(store) == RIGHT
    store.class_changes.rename("bob", "dark", "black")
    assert predictions(store) == {(name, None) for name, _ in RIGHT}
    assert loop.work()
    assert ("dark.png", "black") in predictions(store)
    assert set(store.models.present().classes) == {"black", "light", "mid"}


def test_after_two_names_are_exchanged_no_prediction_is_of_the_wrong_class(begun):
    store, loop = begun
    for name, new in (("dark", "x"), ("light", "dark"), ("x", "light")):
        store.class_changes.rename("bob", name, new)
    loop.work()
    assert predictions(store) == {
        ("dark.png", "light"), ("light.png", "dark"), ("mid.png", "mid"),
    }  # fmt: skip


def test_after_a_merge_the_model_knows_one_class_less(begun):
    store, loop = begun
    store.class_changes.merge("bob", "mid", "dark")
    assert loop.work()
    assert predictions(store) == {
        ("dark.png", "dark"), ("light.png", "light"), ("mid.png", "dark"),
    }  # fmt: skip


def test_a_model_that_was_kept_is_not_taken_over_with_other_names(begun):
    store, loop = begun
    loop.stop()
    for name, new in (("dark", "x"), ("light", "dark"), ("x", "light")):
        store.class_changes.rename("bob", name, new)
    again = LabellingLoop(store, loop.learning)
    again.work()
    assert ("dark.png", "light") in predictions(store)
    assert ("dark.png", "dark") not in predictions(store)
    again.stop()


def test_adding_ordering_and_keys_train_nothing_again(begun):
    store, loop = begun
    before = store.models.present().sha256
    store.classes.add(["new"])
    store.class_changes.order("bob", ["new", "mid", "light", "dark"])
    store.class_changes.key("bob", "new", "z")
    assert not loop.work()
    assert store.models.present().sha256 == before
    assert predictions(store) == RIGHT


def test_a_model_that_was_brought_is_given_up_when_its_class_is_renamed(begun, tmp_path):
    loop = begun[1]
    with Store.open(tmp_path / "other", CLASSES, seed=0) as other:
        for i in range(6):
            out = io.BytesIO()
            pixels = np.random.default_rng(i).normal(40 * i, 20, (12, 9)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
            sha256 = hashlib.sha256(out.getvalue()).hexdigest()
            other.pictures.add(out.getvalue(), sha256, f"{i}.png", 9, 12)
        model = loop.training.at_work.model(loop.learning.features)
        guided = LabellingLoop(other, loop.learning, "anywhere", load=lambda folder: model)
        assert guided.work()
        assert guided.status().brought
        other.class_changes.rename("bob", "mid", "grey")
        guided.work()
        assert "its class 'mid' was renamed" in guided.status().problem
        assert other.models.present() is None
        guided.stop()
