"""Which backbone a project uses: by its pictures, by its labels, or as asked for."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from alutils.base.errors import ParameterError
from alutils.labelling.model import backbone
from alutils.labelling.model.at_work import Labelled
from alutils.labelling.model.backbone import BackboneChoice, checked
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.store import Store
from alutils.models.backbones import Backbone, choice, extractor


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, ["a", "b"], seed=0) as opened:
        yield opened


def bring(store, n, size=(28, 28), colour=False, bright=False, seed=0):
    """Add pictures, of class b where the upper half is brighter; return hashes and labels."""
    rng = np.random.default_rng(seed)
    shas, labels = [], []
    for i in range(n):
        shape = (*size, 3) if colour else size
        pixels = rng.integers(0, 60, shape, np.uint8)
        if i % 2:
            pixels[: size[0] // 2] += 60
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        sha256 = hashlib.sha256(out.getvalue()).hexdigest()
        store.pictures.add(out.getvalue(), sha256, f"{i}.png", size[1], size[0])
        shas.append(sha256)
        labels.append(i % 2)
    return shas, np.array(labels)


def labelled(shas, labels, x):
    return Labelled(np.arange(1, len(shas) + 1), shas, x, labels, ["a", "b"])


def test_small_grey_pictures_get_what_suits_signs_and_photographs_what_suits_them(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr(choice, "_can_be_had", lambda name: True)
    shas, _ = bring(store, 12)
    chosen = BackboneChoice(store)
    assert str(chosen.first(shas).backbone) == "vgg16-block3+4"
    assert "28 pixels in grey" in chosen.why
    # It is kept: another process, or a restart, goes on with it.
    assert str(BackboneChoice(store).first([]).backbone) == "vgg16-block3+4"
    with Store.open(tmp_path / "photographs", ["a", "b"]) as other:
        shas, _ = bring(other, 4, (200, 300), colour=True)
        assert BackboneChoice(other).first(shas).backbone.name == "lite0"


def test_what_was_asked_for_is_used_and_never_compared(store):
    shas, labels = bring(store, 60)
    chosen = BackboneChoice(store, checked("pixels"))
    first = chosen.first(shas)
    assert str(first.backbone) == "pixels"
    assert "as asked for" in chosen.why
    assert chosen.review(labelled(shas, labels, np.zeros((60, 784), np.float32)), first) is None
    with pytest.raises(ParameterError, match=r"--features=pixles: .*pixels"):
        checked("pixles")


def test_at_fifty_labels_a_clearly_better_backbone_takes_over_and_once_only(store, monkeypatch):
    monkeypatch.setattr(backbone, "SIGNS", ("pixels@8", "pixels"))
    shas, labels = bring(store, 60)
    chosen = BackboneChoice(store)
    chosen._keep(Backbone.parse("pixels@8"), "kept", 0)
    first = chosen.first(shas)
    bad = np.random.default_rng(0).random((60, 64), np.float32)  # tells nothing of the classes
    few = labelled(shas[:40], labels[:40], bad[:40])
    assert chosen.review(few, first) is None
    other = chosen.review(labelled(shas, labels, bad), first)
    assert str(other.backbone) == "pixels"
    assert "pixels instead of pixels@8" in chosen.why
    assert chosen.review(labelled(shas, labels, bad), other) is None  # until 100 labels
    assert str(BackboneChoice(store).first(shas).backbone) == "pixels"


def test_one_that_is_as_good_stays_and_one_that_cannot_be_had_is_left_out(
    store, monkeypatch, caplog
):
    monkeypatch.setattr(backbone, "SIGNS", ("pixels", "keras:NoSuchNet", "pixels@8"))

    def only_pixels(name):
        if str(name).startswith("keras:"):
            raise ImportError("keras:NoSuchNet is not installed")
        return extractor(name)

    monkeypatch.setattr(backbone, "extractor", only_pixels)
    shas, labels = bring(store, 60)
    chosen = BackboneChoice(store)
    chosen._keep(Backbone.parse("pixels"), "kept", 0)
    first = chosen.first(shas)
    pictures = [np.asarray(Image.open(store.files.picture(each))) for each in shas]
    x = first(np.stack([first.prepare(each) for each in pictures]))
    assert chosen.review(labelled(shas, labels, x), first) is None
    assert "pixels stays" in chosen.why
    assert "keras:NoSuchNet is not compared" in caplog.text


def test_the_loop_goes_over_at_a_rounds_end(store, monkeypatch):
    monkeypatch.setattr(backbone, "SIGNS", ("pixels@8", "pixels"))
    shas, labels = bring(store, 80)
    truth = dict(zip(shas, labels, strict=True))
    chosen = BackboneChoice(store)
    chosen._keep(Backbone.parse("pixels@8"), "kept", 0)
    monkeypatch.setattr(
        choice, "compare",
        lambda features, *_, current, **__: choice.Comparison({}, "pixels", "pixels instead"),
    )  # fmt: skip
    loop = LabellingLoop(store, Learning(retrain_after=10, pause_s=0, beside=False))

    def label(n):
        for item in store.queue.hand_out("ann", n):
            store.queue.label("ann", item.id, "ab"[truth[item.sha256]])

    label(40)
    loop.work()
    assert str(loop.training._extractor.backbone) == "pixels@8"
    label(12)
    loop.work()
    assert str(loop.training._extractor.backbone) == "pixels"
    assert loop.status().backbone == "Features: pixels instead."
    assert store.models.present().n_trained == 52
    items = store.reader.page(limit=100).items
    assert all(item.predicted is not None for item in items)
