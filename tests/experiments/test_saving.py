"""What notebooks 03 and 05 leave on disk is their best model, ready for `predict`."""

from dataclasses import replace

import numpy as np

from alutils.data.dataset import Dataset
from alutils.experiments import label_costs, report
from alutils.experiments.report import saving, splits
from alutils.experiments.report.letters import Letters
from alutils.models import candidates, embeddings, load_model


def study(side=12):
    rng, labels = np.random.default_rng(0), np.arange(120) % 3
    images = rng.integers(0, 60, (120, side, side)).astype(np.uint8)
    images[labels == 0, side // 2] += 180
    images[labels == 1, :, side // 2] += 180
    data = Dataset(images, labels.astype(np.int64), ("A", "B", "C"), "local", "made-up")
    features = rng.random((120, 512), np.float32)  # in which nothing can be seen
    return report.Study(Letters(data, features, embeddings.plan()), arm="as_stated", epochs=1)


def test_notebook_03_saves_the_network_and_says_how_it_reads_what_it_has_not_seen(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(saving, "LEAST_STEPS", 60)
    made = study()
    first = report.first_round(made)
    folder = report.save_best(made, first, tmp_path / "run" / "model", steps=1)
    model = load_model(tmp_path / "run")
    assert model.kind == "convnet" and folder == tmp_path / "run" / "model"
    assert model.n_trained == len(first.parts.start) + len(first.parts.pool)
    said = report.saved_best(made, first, folder).text
    right = model.predict_proba(made.letters.images[first.parts.test]).argmax(axis=1)
    assert f"reads {(right == made.letters.labels[first.parts.test]).mean():.1%} of" in said


def test_letters_that_test_are_never_learned_from_where_a_setting_labels_them(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(saving, "LEAST_STEPS", 20)
    monkeypatch.setitem(splits.SETTINGS, "as_logged", splits.Sizes(40, 30, False))
    made = replace(study(), arm="as_logged")
    first = report.first_round(made)
    parts = first.parts
    learned = np.concatenate([parts.start, parts.pool])
    assert np.isin(parts.test, learned).all()  # the setting takes all letters
    folder = report.save_best(made, first, tmp_path / "model", steps=1)
    assert load_model(folder).n_trained == len(learned) - len(parts.test)
    unseen = len(np.setdiff1d(parts.test, parts.start))
    assert f"of {unseen} test letters" in report.saved_best(made, first, folder).text


def test_large_pictures_get_a_model_on_features(tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "first_choice", lambda sizes, colour: ("pixels@12", ""))
    made = study(side=80)
    report.save_best(made, report.first_round(made), tmp_path, steps=1)
    assert load_model(tmp_path).kind == "features"
    assert candidates.LARGEST < 80


def test_notebook_05_saves_the_network_that_its_labels_buy(tmp_path):
    settings = label_costs.settings(
        known=2, first=100, batch=50, budget=150, members=1, steps=20, seed=0, audit=400,
        by_hand=100,
    )  # fmt: skip
    folder = label_costs.save_best(settings, tmp_path / "model")
    model = load_model(tmp_path)
    assert model.n_trained == 150 and model.classes == tuple("0123456789")
    assert "150 labelled digits" in label_costs.saved_best(folder).text
