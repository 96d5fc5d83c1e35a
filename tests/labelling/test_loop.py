"""The model behind the labelling queue: training, scores, and what goes wrong."""

import hashlib
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from label_helpers import until
from loop_helpers import CLASSES, Plain, add, brought, label, learning, project

from alutils.base.errors import ParameterError
from alutils.guarantee.error_chances import margin_of
from alutils.labelling.finish.project import Finish
from alutils.labelling.model import features, learner
from alutils.labelling.model.desk import Desk
from alutils.labelling.model.features import FeatureCache
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.model.words import model_text
from alutils.labelling.store.records import Filter, LabellingError
from alutils.labelling.store.store import Store
from alutils.models import saved
from alutils.models.backbones import extractor


@pytest.fixture
def tmp_path():
    """Make a folder, in memory where that can be: thousands of syncs to a busy disk take long."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def begun(tmp_path):
    store, truth = project(tmp_path)
    loop = LabellingLoop(store, learning(Plain()))
    yield store, truth, loop
    loop.stop()
    store.close()


# --- training and scoring -------------------------------------------------------------------------


def test_after_enough_labels_all_pictures_are_scored_and_the_unsure_come_first(begun):
    store, truth, loop = begun
    assert not loop.work()
    label(store, truth, 9)
    assert not loop.work()
    assert store.models.present() is None
    label(store, truth, 20)
    assert loop.work()
    found = store.reader.page(Filter(source="none"), limit=100).items
    seen = [item for item in found]
    assert all(item.predicted == truth[item.id] for item in seen)
    first = store.queue.hand_out("bob", 100)
    said = dict(zip(loop.training.said.ids.tolist(), loop.training.said.p, strict=True))
    margin = [float(margin_of(said[item.id][None])[0]) for item in first]
    assert margin == sorted(margin)
    assert (store.files.root / store.models.present().path / "model_card.json").is_file()
    status = loop.status()
    assert status.model == store.models.present().sha256
    assert (status.n_new, status.problem, status.brought) == (0, "", False)


def test_features_are_computed_once_also_over_restarts(begun, tmp_path):
    store, truth, loop = begun
    loop.work()
    extractor = loop.learning.features
    assert extractor.n == 90
    truth[add(store, "mid", np.random.default_rng(9))] = "mid"
    loop.work()
    assert extractor.n == 91
    again = Plain()
    LabellingLoop(store, learning(again)).work()
    assert again.n == 0


def test_new_pictures_are_scored_without_training(begun):
    store, truth, loop = begun
    label(store, truth, 30)
    loop.work()
    sha256 = store.models.present().sha256
    new = add(store, "light", np.random.default_rng(7))
    assert loop.work()
    assert store.models.present().sha256 == sha256
    assert store.database.connection.execute(
        "SELECT confidence FROM items WHERE id = ?", (new,)
    ).fetchone()[0]
    assert not loop.work()


def test_labels_that_were_taken_back_or_changed_count_as_new(begun):
    store, truth, loop = begun
    label(store, truth, 30)
    loop.work()
    trained = [i for i in store.reader.page(Filter(source="human"), limit=100).items]
    for item in trained[:4]:
        store.queue.relabel("ann", [item.id], "dark" if item.label == "mid" else "mid")
    label(store, truth, 1, person="bob")
    store.queue.undo("bob")
    loop.work()
    assert loop.status().n_new == 4


def test_after_a_restart_the_last_model_scores_what_is_new(begun):
    store, truth, loop = begun
    label(store, truth, 30)
    loop.work()
    sha256 = store.models.present().sha256
    new = add(store, "light", np.random.default_rng(7))
    again = LabellingLoop(store, learning(Plain()))
    assert again.work()
    assert store.models.present().sha256 == sha256
    assert again.status().problem == ""
    assert store.reader.item(new).predicted == "light"


def test_a_damaged_model_is_said_and_trained_again(begun):
    store, truth, loop = begun
    label(store, truth, 30)
    loop.work()
    (path,) = store.files.model.glob("weights-*.npz")
    path.write_bytes(path.read_bytes()[:-100])
    again = LabellingLoop(store, learning(Plain()))
    assert again.work()
    assert "damaged" in again.status().problem
    assert store.models.present() is not None


def test_the_model_at_work_is_saved_alone_and_reads_pictures_as_the_queue_has_them(begun):
    store, truth, loop = begun
    for _ in range(4):
        label(store, truth, 10)
        loop.work(train=True)
    assert len(store.models.all()) >= 3
    assert len(list(store.files.model.glob("weights-*.npz"))) == 1
    model = saved.load_model(store.folder, own=Plain())
    assert model.sha256 == store.models.present().sha256
    some = [item for item in store.reader.page(limit=20).items]
    pictures = [features.read_picture(store.files.picture(item.sha256)) for item in some]
    said = model.predict_proba(pictures)
    assert [model.classes[i] for i in said.argmax(axis=1)] == [item.predicted for item in some]
    assert np.allclose(said.max(axis=1), [item.confidence for item in some], atol=1e-6)


def test_it_works_in_the_background_and_labels_do_not_wait(begun):
    store, truth, loop = begun
    slow = threading.Event()

    class Slow(Plain):
        def __call__(self, pictures):
            slow.wait(600)
            return super().__call__(pictures)

    loop = LabellingLoop(store, learning(Slow()))
    loop.start()
    loop.start()  # once is enough
    start = time.monotonic()
    label(store, truth, 40)
    assert time.monotonic() - start < 300
    assert store.models.present() is None
    slow.set()
    loop.poke()
    until(lambda: store.models.present() is not None)
    assert store.models.present() is not None
    assert loop.stop()
    assert loop.status().state == "off"


def test_what_goes_wrong_in_the_background_is_shown_and_tried_again(begun, caplog):
    store, truth, loop = begun

    class Broken(Plain):
        def __call__(self, pictures):
            return np.full((len(pictures), 3), np.nan, np.float32)

    loop = LabellingLoop(store, learning(Broken()))
    loop.start()
    until(lambda: loop.status().problem)
    assert "finite" in loop.status().problem
    label(store, truth, 5)
    assert store.reader.progress().human == 5
    assert loop.stop()
    assert not list(store.files.model.rglob("*.npz"))


def test_nothing_trains_while_an_attempt_goes_on(tmp_path):
    store, truth = project(tmp_path, n=200)
    with store:
        loop = LabellingLoop(store, learning(Plain()))
        label(store, truth, 60)
        loop.work()
        before = store.models.present().sha256
        finish = Finish(store, loop)
        state = finish.plan(0.9, person="ann")
        assert state.phase == "asking"
        label(store, truth, min(25, state.may_still_take_low - 1))
        assert not loop.work(train=True)
        assert store.models.present().sha256 == before
        finish.stop("ann")
        assert loop.work(train=True)
        assert store.models.present().sha256 != before


# --- the model that is brought --------------------------------------------------------------------


def with_model(store, model, **options):
    return LabellingLoop(store, learning(Plain(), **options), "somewhere", load=lambda _: model)


def test_a_model_that_is_brought_scores_before_the_first_label(tmp_path):
    store, truth = project(tmp_path, classes=None)
    with store:
        loop = with_model(store, brought())
        assert loop.work()
        assert [c.name for c in store.classes.all()] == list(CLASSES)
        seen = [item for item in store.reader.page(limit=100).items]
        right = [item.predicted == truth[item.id] for item in seen]
        assert np.mean(right) > 0.9
        assert loop.status().brought


@pytest.mark.parametrize(("quality", "stays"), [(1.0, True), (0.0, False)])
def test_it_stays_while_it_is_better_than_what_the_labels_teach(tmp_path, quality, stays):
    store, truth = project(tmp_path)
    with store:
        loop = with_model(store, brought(quality=quality), retrain_after=10)
        loop.work()
        label(store, truth, 40)
        loop.work()
        assert loop.status().brought == stays


def test_a_model_with_other_classes_is_refused_and_the_queue_goes_on(tmp_path):
    store, truth = project(tmp_path, classes=("dark", "light"))
    with store:
        loop = with_model(store, brought(), retrain_after=10)
        assert not loop.work()
        assert "classes that the project has not (mid)" in loop.status().problem
        assert len(store.queue.hand_out("ann", 5)) == 5
        store.classes.add(["mid"])
        label(store, truth, 40)
        assert loop.work()  # what people label is learnt all the same
        assert not loop.status().brought


def test_a_model_that_gives_nan_is_given_up_and_said(tmp_path):
    store, truth = project(tmp_path)
    bad = brought()
    bad.predict_proba = lambda pictures: np.full((len(pictures), 3), np.nan, np.float32)
    with store:
        loop = with_model(store, bad)
        loop.work()
        assert "not finite" in loop.status().problem
        assert store.models.present() is None
        label(store, truth, 40)
        assert loop.work()
        assert store.models.present().n_trained > 0


def test_a_model_that_is_missing_or_cannot_be_loaded_is_said(tmp_path):
    store, _ = project(tmp_path / "project", n=6)
    with store:
        loop = LabellingLoop(store, learning(Plain()), tmp_path / "nothing")
        loop.work()
        assert "holds no saved model" in loop.status().problem
        assert len(store.queue.hand_out("ann", 6)) == 6


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(LabellingError, match="retrain_after=0: expected"):
        Learning(retrain_after=0)


# --- the head and its features --------------------------------------------------------------------


def test_classes_without_labels_are_left_out_and_one_class_is_too_few():
    x = np.random.default_rng(0).random((10, 3), np.float32)
    head, columns = learner.train(x, np.array([0, 2] * 5))
    assert columns.tolist() == [0, 2]
    assert head.predict_proba(x).shape == (10, 2)
    with pytest.raises(LabellingError, match="two or more"):
        learner.train(x, np.zeros(10, int))
    with pytest.raises(ParameterError, match="not finite"):
        learner.train(x * np.nan, np.array([0, 2] * 5))


def test_a_damaged_file_of_features_is_computed_again(tmp_path):
    store, _ = project(tmp_path / "project", n=6)
    with store:
        names = store.reader.snapshot()["sha256"].tolist()
        cache = FeatureCache(tmp_path / "kept", extractor(Plain()))
        cache.compute(names[:3], store.files.picture)
        cache.compute(names, store.files.picture)
        rows = cache.get(names)
        one, _ = sorted((tmp_path / "kept").rglob("*.npz"))
        one.write_bytes(one.read_bytes()[: one.stat().st_size // 2])
        again = FeatureCache(tmp_path / "kept", extractor(Plain()))
        assert len(again) == 3
        again.compute(names, store.files.picture)
        assert (again.get(names) == rows).all()
        # Two files become one.
        assert len(FeatureCache(tmp_path / "kept", extractor(Plain()))) == 6
        assert len(list((tmp_path / "kept").rglob("*.npz"))) == 1


def test_out_of_fold_never_learns_from_the_item():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    fold = np.arange(90) // 3 % 3
    x = (rng.normal(0, 1, (90, 4)) + 3 * np.eye(3, 4)[y]).astype(np.float32)
    assert 0.7 < np.mean(learner.says(learner.out_of_fold(x, y, fold, 3)) == y) < 1
    # Labels without sense are not learnt by heart.
    random = rng.integers(0, 3, 90)
    assert np.mean(learner.says(learner.out_of_fold(x, random, fold, 3)) == random) < 0.6
    # One class is no reason to say nothing.
    assert (learner.says(learner.out_of_fold(x, np.ones(90, int), fold, 3)) == 1).all()
    # A class that only one fold has cannot be found.
    alone = np.where(fold == 1, 2, y % 2)
    said = learner.says(learner.out_of_fold(x, alone, fold, 3))
    assert not (said[fold == 1] == 2).any()


def test_a_picture_stays_in_its_fold_whatever_else_is_labelled():
    shas = [hashlib.sha256(bytes([i])).hexdigest() for i in range(200)]
    fold = learner.fold_of(shas)
    assert learner.fold_of(shas[::-3]).tolist() == fold[::-3].tolist()
    assert np.bincount(fold).min() > 40


def test_after_a_restart_labels_that_the_model_has_not_seen_are_new(begun):
    store, truth, loop = begun
    label(store, truth, 40)
    loop.work(train=True)
    n_trained = store.models.present().n_trained
    same = LabellingLoop(store, learning(Plain(), retrain_after=1000))
    same.work()
    assert same.status().n_new == 0
    assert same.status().pool == loop.status().pool  # not forgotten either
    label(store, truth, 30)
    now = store.reader.snapshot()
    n_labels = int((now["label"] >= 0).sum())
    assert n_labels >= n_trained + 10
    again = LabellingLoop(store, learning(Plain()))
    again.work()
    assert again.status().n_trained == n_labels


# --- what is told of the model at work ------------------------------------------------------------


def test_the_panel_says_who_is_at_work_and_how_good_it_is_on_which_pictures(tmp_path):
    store = Store.open(tmp_path, CLASSES, seed=0, random_rate=0.3)
    rng = np.random.default_rng(0)
    truth = {add(store, CLASSES[i % 3], rng, 60): CLASSES[i % 3] for i in range(400)}
    with store:
        loop = LabellingLoop(store, learning(Plain()))
        desk = Desk(store, loop)
        assert desk.status()["curve"] is None
        for _ in range(12):
            label(store, truth, 12)
            loop.work()
        status = loop.status()
        text = " ".join(line["text"] for line in model_text(status, store.reader.progress()))
        assert "At work: the quick learner" in text
        assert status.pool.judged == len(store.sample.labelled()) >= 30
        assert f"from {status.pool.judged} picked at random" in text
        assert f"on the {status.labelled.judged} that are labelled" in text
        # The estimate holds what the model does on all pictures; it is out of fold, so it may be
        # a little low.
        items = [i for i in store.reader.page(limit=400).items if i.label is None]
        truly = np.mean([item.predicted == truth[item.id] for item in items])
        low, high = status.pool.interval
        assert low - 0.05 < truly < high + 0.1
        assert [p.n_labels for p in status.points] == sorted({p.n_labels for p in status.points})
        answer = desk.status()
        assert answer["curve"]["svg"].startswith("<svg")
        assert "Learning curve from" in answer["curve"]["text"]
        assert "As many labels again" in status.advice
        json.dumps(answer)
    with Store.open(tmp_path) as store:
        again = LabellingLoop(store, learning(Plain()))
        again.work()
        assert again.status().points == status.points
        assert "As many labels again" in again.status().advice


def test_below_a_hundred_labels_the_panel_gives_no_advice(begun):
    store, truth, loop = begun
    for _ in range(4):
        label(store, truth, 15)
        loop.work()
    assert loop.status().advice == ""
    text = " ".join(line["text"] for line in model_text(loop.status(), store.reader.progress()))
    assert "As many labels again" not in text
    assert "stop" not in text
