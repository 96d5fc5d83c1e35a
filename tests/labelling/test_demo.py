"""The demonstration: what it begins with, and that a certificate is near."""

import numpy as np
import pytest
from PIL import Image

from alutils.base.artefacts import ArtefactError
from alutils.data.mnist import mnist_article
from alutils.labelling.finish.project import Finish
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.store import Store
from alutils.labelling.web import demo, pictures


@pytest.fixture
def by_pixels(monkeypatch):
    """Let the model learn from pixels: no weights are needed."""
    monkeypatch.setattr(demo, "FOR_SIGNS", "pixels")


def test_the_names_of_the_pictures_tell_nothing_and_a_second_start_changes_nothing(
    tmp_path, by_pixels
):
    made = demo.make_demo(tmp_path, 150, 100)
    files = sorted(made.folder.iterdir())
    assert [f.name for f in files] == [f"digit-{i:04d}.png" for i in range(150)]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len({before[f] for f in files}) == 150
    assert demo.make_demo(tmp_path, 150, 100) == made
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_its_model_has_not_seen_what_is_to_be_labelled(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(demo, "FOR_SIGNS", "pixels")
    taught = demo.taught
    monkeypatch.setattr(demo, "taught", lambda digits: seen.append(digits) or taught(digits))
    made = demo.make_demo(tmp_path, 150, 100)
    shown = {np.asarray(Image.open(path)).tobytes() for path in made.folder.iterdir()}
    (digits,) = seen
    assert len(digits) == 100 and not shown & {image.tobytes() for image in digits.images}


def test_without_weights_it_begins_without_a_model(tmp_path, monkeypatch, caplog):
    def missing(*_):
        raise ArtefactError("vgg16: cannot be had")

    monkeypatch.setattr(demo, "taught", missing)
    made = demo.make_demo(tmp_path, 20, 10)
    assert made.model is None and len(list(made.folder.iterdir())) == 20
    assert "begins without a model" in caplog.text


@pytest.mark.slow
def test_its_first_predictions_are_worth_showing(tmp_path):
    """The first person to try it must not see an M that is predicted E at 28%."""
    digits = mnist_article()[0]
    order = np.random.default_rng(0).permutation(len(digits))
    try:
        model = demo.taught(digits.take(order[demo.N_PICTURES :][: demo.N_TAUGHT]))
    except ArtefactError as error:
        pytest.skip(str(error))
    rest = digits.take(order[: demo.N_PICTURES])
    p = model.predict_proba(rest.images)
    assert (p.argmax(axis=1) == rest.labels).mean() > 0.97


@pytest.mark.slow
def test_a_certificate_is_near(tmp_path):
    """Who tries it for a few minutes holds a certificate: after 40 labels, in about 100 more."""
    try:
        made = demo.make_demo(tmp_path / "demo")
    except ArtefactError as error:
        pytest.skip(str(error))
    digits = mnist_article()[0]
    known = {
        image.tobytes(): digits.classes[label]
        for image, label in zip(digits.images, digits.labels, strict=True)
    }
    with Store.open(tmp_path / "project", made.classes, seed=0, twice=0) as store:
        for path in sorted(made.folder.iterdir()):
            store.pictures.add(*pictures.read(path).to_keep(), "folder")
        loop = LabellingLoop(store, Learning(beside=False), made.model)
        loop.work()
        for _ in range(2):
            for item in store.queue.hand_out("Ada", 20):
                picture = np.asarray(Image.open(made.folder / item.name))
                store.queue.label("Ada", item.id, known[picture.tobytes()])
            loop.work()
        now = Finish(store, loop).forecast().of(0.95).now
    assert now.expected <= 110 and now.chance >= 0.9
