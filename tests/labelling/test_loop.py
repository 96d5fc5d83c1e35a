"""The model behind the labelling queue: training, scores, certificates, and what goes wrong."""

import hashlib
import io
import math
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from label_helpers import until
from PIL import Image
from sklearn.linear_model import LogisticRegression

from alutils.guarantee.certificates import Certificate
from alutils.labelling.model import features, learner
from alutils.labelling.model.auditing import Auditor
from alutils.labelling.model.desk import Desk, model_text
from alutils.labelling.model.features import FeatureCache
from alutils.labelling.model.learner import Head
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.store.records import ConflictError, Filter, LabellingError, Model
from alutils.labelling.store.store import Store

CLASSES = ("dark", "light", "mid")
LEVELS = {"dark": 40, "light": 220, "mid": 130}


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


def project(folder, n=90, audit_share=0.3, noise=25, classes=CLASSES):
    """Make a project with n pictures; return it and the true class of each."""
    store = Store.open(folder, classes, seed=0, audit_share=audit_share)
    rng = np.random.default_rng(0)
    truth = {}
    for i in range(n):
        name = CLASSES[i % 3]
        truth[add(store, name, rng, noise)] = name
    return store, truth


def label(store, truth, n, person="ann"):
    for item in store.queue.hand_out(person, n):
        store.queue.label(person, item.id, truth[item.id])


@pytest.fixture
def tmp_path():
    """Make a folder, in memory where that can be: thousands of syncs to a busy disk take long."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def begun(tmp_path):
    store, truth = project(tmp_path)
    loop = LabellingLoop(store, Plain(), retrain_after=10, pause_s=0)
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
    seen = [item for item in found if not item.audit]
    assert all(item.predicted == truth[item.id] for item in seen)
    first = store.queue.hand_out("bob", 100)
    confidence = [item.confidence for item in first if not item.audit]
    assert confidence == sorted(confidence)
    assert (store.files.root / store.models.present().path).is_file()
    status = loop.status()
    assert status.model == store.models.present().sha256
    assert (status.n_new, status.problem, status.brought) == (0, "", False)


def test_the_audit_slice_is_never_trained_on(begun):
    store, truth, loop = begun
    label(store, truth, 60)
    loop.work(train=True)
    now = store.reader.snapshot()
    labelled = now["label"] >= 0
    assert (labelled & now["audit"]).any()
    assert store.models.present().n_trained == (labelled & ~now["audit"]).sum()
    # Wrong labels in the audit slice leave the model as it is.
    before = store.models.present().sha256
    audited = now["id"][labelled & now["audit"]].tolist()
    store.queue.relabel("ann", audited, "mid")
    loop.work(train=True)
    assert store.models.present().sha256 == before


def test_features_are_computed_once_also_over_restarts(begun, tmp_path):
    store, truth, loop = begun
    loop.work()
    extractor = loop._cache.extractor
    assert extractor.n == 90
    truth[add(store, "mid", np.random.default_rng(9))] = "mid"
    loop.work()
    assert extractor.n == 91
    again = Plain()
    LabellingLoop(store, again, retrain_after=10).work()
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
    trained = [i for i in store.reader.page(Filter(source="human"), limit=100).items if not i.audit]
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
    again = LabellingLoop(store, Plain(), retrain_after=10, pause_s=0)
    assert again.work()
    assert store.models.present().sha256 == sha256
    assert again.status().problem == ""
    assert store.reader.item(new).predicted == "light" or store.reader.item(new).audit


def test_a_damaged_model_is_said_and_trained_again(begun):
    store, truth, loop = begun
    label(store, truth, 30)
    loop.work()
    path = store.files.root / store.models.present().path
    path.write_bytes(path.read_bytes()[:-100])
    again = LabellingLoop(store, Plain(), retrain_after=10, pause_s=0)
    assert again.work()
    assert "damaged" in again.status().problem
    assert store.models.present() is not None


def test_old_models_do_not_fill_the_disk(begun):
    store, truth, loop = begun
    for _ in range(6):
        label(store, truth, 10)
        loop.work(train=True)
    assert len(store.models.all()) >= 5
    kept = {path.stem for path in store.files.model.glob("*.npz")}
    assert len(kept) == 3
    assert store.models.present().sha256 in kept


def test_it_works_in_the_background_and_labels_do_not_wait(begun):
    store, truth, loop = begun
    slow = threading.Event()
    compute = loop._given_extractor.__call__

    class Slow(Plain):
        def __call__(self, pictures):
            slow.wait(600)
            return compute(pictures)

    loop._given_extractor = Slow()
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

    loop._given_extractor = Broken()
    loop.start()
    until(lambda: loop.status().problem)
    assert "not finite" in loop.status().problem
    label(store, truth, 5)
    assert store.reader.progress().human == 5
    assert loop.stop()
    assert not list(store.files.model.rglob("*.npz"))


# --- the model that is brought --------------------------------------------------------------------


def brought(classes=CLASSES, quality=1.0):
    """Make a head on `Plain` features that tells brightness, well or badly."""
    rng = np.random.default_rng(0)
    levels = np.repeat([LEVELS[name] for name in classes], 30)
    x = np.clip(rng.normal(levels[:, None], 25, (len(levels), 32)), 0, 255) / 255
    y = np.repeat(np.arange(len(classes)), 30)
    if quality < 1:
        y = rng.permutation(y)
    head = learner.train(x.astype(np.float32), y, classes)
    return Head(head.classes, head.weights, "b" * 64, 0)


def with_model(store, head, **options):
    return LabellingLoop(
        store, model_folder="somewhere", bring=lambda _: (head, Plain()), pause_s=0, **options
    )


def test_a_model_that_is_brought_scores_before_the_first_label(tmp_path):
    store, truth = project(tmp_path, classes=None)
    with store:
        loop = with_model(store, brought())
        assert loop.work()
        assert [c.name for c in store.classes.all()] == list(CLASSES)
        seen = [item for item in store.reader.page(limit=100).items if not item.audit]
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
    head = brought()
    bad = Head(head.classes, (head.weights[0] * np.nan, head.weights[1]), head.sha256, 0)
    with store:
        loop = with_model(store, bad, retrain_after=10)
        loop.work()
        assert "no numbers from 0 to 1" in loop.status().problem
        assert store.models.present() is None
        label(store, truth, 40)
        assert loop.work()
        assert store.models.present().n_trained > 0


def test_a_model_that_is_missing_or_cannot_be_loaded_is_said(tmp_path):
    store, _ = project(tmp_path / "project", n=6)
    with store:
        loop = LabellingLoop(store, Plain(), model_folder=tmp_path / "nothing")
        loop.work()
        assert "holds no saved model" in loop.status().problem
        assert len(store.queue.hand_out("ann", 6)) == 6
    for name in ("one", "two"):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / "model_card.json").write_text("{}")
    with pytest.raises(LabellingError, match="several models, one, two"):
        learner.find_model(tmp_path / "run")
    assert learner.find_model(tmp_path / "run" / "one").name == "one"
    with pytest.raises(LabellingError, match="expected a card"):
        learner.classes_of(tmp_path / "run" / "one")
    with pytest.raises(LabellingError, match="expected a card"):
        learner.bring(tmp_path / "run" / "one")


@pytest.mark.slow
def test_a_model_saved_by_notebook_03_is_taken_over_whole(tmp_path):
    from alutils.base import artefacts
    from alutils.models import saved
    from alutils.models.dense_head import DenseHead

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 28, 28), np.uint8)
    head = DenseHead(3, rng=0)
    head.fit(rng.random((30, 512), np.float32), np.arange(30) % 3)
    weights = artefacts.vgg16_convolutions()
    saved.save_model(tmp_path / "run" / "model", head, weights, classes=CLASSES)
    model = saved.load_model(tmp_path / "run" / "model")
    assert learner.classes_of(tmp_path / "run") == CLASSES
    taken, extractor = learner.bring(tmp_path / "run")
    assert (taken.sha256, taken.classes) == (model.sha256, CLASSES)
    pictures = np.stack(
        [
            np.asarray(Image.fromarray(each).convert("RGB").resize((32, 32), Image.BICUBIC))
            for each in images
        ]
    )
    ours = taken.predict_proba(extractor(pictures))
    assert np.abs(ours - model.predict_proba(images)).max() < 0.02  # bfloat16 where the CPU has it


# --- certificates ---------------------------------------------------------------------------------


@pytest.fixture
def certain(tmp_path):
    """Make a project whose audit slice is large enough to certify 0.9."""
    store, truth = project(tmp_path, n=300, audit_share=0.5)
    loop = LabellingLoop(store, Plain(), retrain_after=10, pause_s=0)
    loop.auditor.target = 0.9
    yield store, truth, loop
    store.close()


def label_audit(store, truth, n):
    """Label n pictures of the audit slice and 12 others."""
    with store.database.transaction() as connection:
        connection.execute("UPDATE meta SET value = '0' WHERE name = 'audit_rate'")
    label(store, truth, 12)
    with store.database.transaction() as connection:
        connection.execute("UPDATE meta SET value = '1' WHERE name = 'audit_rate'")
    if n:
        label(store, truth, n)


def test_without_a_certificate_nothing_is_labelled_automatically(certain):
    store, truth, loop = certain
    with pytest.raises(LabellingError, match="no model yet"):
        loop.auditor.auto_label()
    label_audit(store, truth, 0)
    loop.work(train=True)
    status = loop.status()
    assert status.threshold is None
    before = status.missing
    label(store, truth, 10)
    asked = store.audit.answers()["asked"].sum()
    status = loop.status()
    assert status.missing == before - asked > 0
    assert f"{status.missing} more labels in the audit slice" in status.reason
    with pytest.raises(LabellingError, match=f"{status.missing} more labels"):
        loop.auditor.auto_label()
    # A question that could not be answered has not been asked: it costs nothing.
    assert store.audit.number_of_question("x", "y", ask=False) == 1
    assert store.reader.progress().auto == 0


def test_with_enough_audit_labels_it_labels_above_the_threshold_and_can_be_undone(certain):
    store, truth, loop = certain
    label_audit(store, truth, 100)
    loop.work(train=True)
    store.queue.release("ann")
    assert loop.status().missing == 0
    certificate = loop.auditor.certify()
    assert certificate.threshold is not None
    assert certificate.rule == "anytime"
    status = loop.status()
    assert status.threshold == certificate.threshold
    n = loop.auditor.auto_label()
    auto = store.reader.page(Filter(source="auto"), limit=1000).items
    assert n == len(auto) > 50
    assert min(item.confidence for item in auto) >= certificate.threshold
    assert not any(item.audit for item in auto)
    kept = Certificate.from_dict(store.models.present().certificate)
    assert kept.valid_for(store.models.present().sha256, store.reader.data_hash())
    assert store.models.revoke("ann") == n
    assert store.reader.progress().auto == 0


def test_training_again_and_new_pictures_void_the_certificate(certain):
    store, truth, loop = certain
    label_audit(store, truth, 100)
    loop.work(train=True)
    assert loop.auditor.certify().threshold is not None
    new = add(store, "mid", np.random.default_rng(5))
    truth[new] = "mid"
    assert loop.status().threshold is None
    loop.work()
    assert "no certificate" in loop.status().reason
    assert loop.auditor.certify().threshold is not None  # asked again, as the second question
    label(store, truth, 30)
    store.queue.relabel("ann", [new], "mid")
    loop.work(train=True)
    assert loop.status().threshold is None
    assert store.audit.number_of_question("x", "y", ask=False) == 3


def test_each_further_model_gets_a_smaller_part_of_the_risk(certain):
    store, truth, loop = certain
    label_audit(store, truth, 120)
    loop.work(train=True)
    first = loop.auditor.certify().bound
    assert loop.auditor.certify().bound == first  # the same question costs nothing more
    for i in range(5):
        store.audit.number_of_question(f"model {i}", "data")
    add(store, "mid", np.random.default_rng(5))
    loop.work()
    assert loop.auditor.certify().bound < first


def test_skipping_what_is_hard_in_the_audit_slice_does_not_flatter_the_model(certain):
    store, truth, loop = certain
    label_audit(store, truth, 100)
    loop.work(train=True)
    bound = loop.auditor.certify().bound
    for item in [i for i in store.queue.hand_out("bob", 3) if i.audit]:
        store.queue.skip("bob", item.id)
    assert loop.auditor.certify().bound < bound


def test_a_bad_model_is_not_certified(tmp_path):
    store, truth = project(tmp_path, n=240, audit_share=0.6)
    with store:
        rng = np.random.default_rng(0)
        loop = LabellingLoop(store, Plain(), retrain_after=10, pause_s=0)
        loop.auditor.target = 0.9
        label_audit(store, truth, 100)
        ids = store.reader.snapshot()["id"]
        model = Model("w" * 64, CLASSES, 12, "", "")
        store.models.set_scores(model, ids, rng.integers(0, 3, len(ids)), np.full(len(ids), 0.999))
        assert loop.auditor.certify().threshold is None
        with pytest.raises(LabellingError, match="No threshold certified"):
            loop.auditor.auto_label()


def sure(store, ids, predicted=0, confidence=0.97):
    """Let a model be equally sure of one class everywhere."""
    n = len(ids)
    model = Model("s" * 64, CLASSES, 12, "", "")
    store.models.set_scores(model, np.array(ids), np.full(n, predicted), np.full(n, confidence))


@pytest.fixture
def slice_of(tmp_path):
    """Make a project of n bare pictures, half of them audited, that a model all calls dark."""
    stores = []

    def make(n, audit_share=0.5):
        store = Store.open(tmp_path / str(len(stores)), CLASSES, seed=0, audit_share=audit_share)
        stores.append(store)
        return store, bare(store, n)

    yield make
    for store in stores:
        store.close()


def bare(store, n):
    """Add pictures that nobody looks at; return their numbers."""
    first = store.reader.position()[1]
    with store.database.transaction() as connection:
        share = store.audit.settings()["audit_share"]
        drawn = np.random.default_rng(first).random((n, 2))
        connection.executemany(
            """INSERT INTO items (sha256, name, width, height, source, added, audit, shuffle, rank)
            VALUES (?, '', 1, 1, 'upload', '', ?, ?, ?)""",
            [
                (f"{first + i:064x}", bool(a < share), float(b), 2 + float(b))
                for i, (a, b) in enumerate(drawn)
            ],
        )
    return list(range(first + 1, first + n + 1))


def audited(store, ids):
    return [i for i in ids if store.reader.item(i).audit]


def test_new_pictures_are_not_certified_by_the_labels_of_old_ones(slice_of):
    store, old = slice_of(500)
    sure(store, old)
    for item in audited(store, old):
        store.queue.label("ann", item, "dark")
    auditor = Auditor(store)
    assert auditor.certify().threshold is not None
    new = bare(store, 500)  # of another class, which the model takes for the old one
    sure(store, old + new)
    before = store.audit.answers()["asked"].sum()
    assert before < 30
    missing = auditor.permission().missing
    with pytest.raises(LabellingError, match=f"{missing} more labels in the audit slice"):
        auditor.auto_label()
    assert store.reader.progress().auto == 0
    gaps = store.audit.answers()["id"][~store.audit.answers()["answered"]].tolist()
    assert set(gaps) == set(audited(store, new))
    for item in gaps[:missing]:  # as they would be handed out
        store.queue.label("ann", item, "light")
    assert auditor.permission().missing == 0
    for item in gaps[missing:]:
        store.queue.label("ann", item, "light")
    assert store.audit.answers()["asked"].sum() == len(audited(store, old + new))
    assert auditor.certify().threshold is None


def test_whoever_chooses_among_audited_pictures_gets_no_certificate_by_it(slice_of):
    store, ids = slice_of(900)
    sure(store, ids)
    rng = np.random.default_rng(1)
    plain = [i for i in audited(store, ids) if rng.random() < 0.75]
    with pytest.raises(ConflictError, match=rf"picture {plain[0]}, .*in the queue"):
        store.queue.relabel("ann", plain, "dark")
    assert store.reader.progress().human == 0
    for item in plain:  # out of order, by their numbers
        store.queue.label("ann", item, "dark")
    assert store.audit.answers()["asked"].sum() < 30
    with pytest.raises(LabellingError, match="more labels in the audit slice"):
        Auditor(store).certify()


def test_answers_count_once_all_before_them_in_the_random_order_are_given(slice_of):
    store, ids = slice_of(20, audit_share=1)
    sure(store, ids)
    order = store.audit.answers()["id"].tolist()
    assert order == [item.id for item in store.queue.hand_out("ann", 20)] != sorted(order)
    for item in order[1:5]:
        store.queue.label("ann", item, "dark")
    assert store.audit.answers()["asked"].sum() == 0
    store.queue.skip("ann", order[0])
    assert store.audit.answers()["asked"].tolist() == [True] * 5 + [False] * 15
    store.queue.undo("ann")
    assert store.audit.answers()["asked"].sum() == 0


def test_the_first_blind_answer_is_what_counts_in_the_audit(slice_of):
    store, ids = slice_of(900)
    sure(store, ids)
    for k, item in enumerate(store.audit.answers()["id"].tolist()):
        store.queue.label("ann", item, "light" if k % 20 == 0 else "dark")
    auditor = Auditor(store)
    refused = auditor.certify()
    assert refused.threshold is None
    seen = store.reader.page(
        Filter(source="human", predicted="dark", label="light"), limit=900
    ).items
    changed = [item.id for item in seen if item.audit]
    assert len(changed) > 20
    store.queue.relabel("ann", changed, "dark")  # with the prediction beside it
    assert store.reader.item(changed[0]).label == "dark"
    found = auditor.certify()
    assert (found.n, found.errors) == (refused.n, refused.errors)
    progress = store.reader.progress()
    assert progress.audit_judged - progress.audit_right == len(changed)
    # Nor by taking an answer back and giving another.
    store.queue.undo("ann")
    (again,) = store.queue.undo("ann")
    assert again.label is None
    assert auditor.certify().errors == refused.errors
    store.queue.label("ann", again.id, "mid")
    assert auditor.certify().errors == refused.errors
    assert store.reader.progress().audit_right == progress.audit_right


def test_an_automatic_label_that_was_taken_back_does_not_come_back_by_the_same_model(slice_of):
    store, ids = slice_of(30)
    sure(store, ids)
    whole = {"threshold": 0.9}
    others = len(ids) - len(audited(store, ids))
    assert store.models.n_offered(0.9) == others
    assert store.models.n_offered(0.98) == 0
    assert store.models.auto_label("s" * 64, 0.9, whole) == others
    wrong = next(i for i in ids if store.reader.item(i).label_source == "auto")
    assert store.models.revoke("ann", items=[wrong]) == 1
    assert store.models.n_offered(0.9) == 0
    assert store.models.auto_label("s" * 64, 0.9, whole) == 0
    assert store.reader.item(wrong).label is None
    store.models.set_scores(
        Model("t" * 64, CLASSES, 12, "", ""), np.array(ids), np.ones(30, int), np.full(30, 0.97)
    )
    assert store.models.n_offered(0.9) == 1
    assert store.models.auto_label("t" * 64, 0.9, whole) == 1
    assert store.reader.item(wrong).label == CLASSES[1]


def test_the_button_offers_as_many_labels_as_it_gives(certain):
    store, truth, loop = certain
    label_audit(store, truth, 100)
    loop.work(train=True)
    store.queue.release("ann")
    assert loop.auditor.certify().threshold is not None
    desk = Desk(store, loop)

    def offer():
        return [each["text"] for each in desk.status()["offers"]]

    (text,) = offer()
    n = desk.answer("auto", "ann", {})["labelled"]
    assert text == f"Let the model label {n:,}"
    one = store.reader.page(Filter(source="auto"), limit=1).items[0]
    store.models.revoke("ann", items=[one.id])
    assert offer() == []


def test_putting_an_audited_picture_off_does_not_tell_its_prediction(slice_of):
    store, ids = slice_of(20)
    sure(store, ids)
    desk = Desk(store)
    hidden, plain = audited(store, ids)[0], next(i for i in ids if not store.reader.item(i).audit)
    event = desk.answer("skip", "ann", {"item": hidden, "key": "1"})["event"]
    assert (event["predicted"], event["confidence"]) == (None, None)
    event = desk.answer("skip", "ann", {"item": plain, "key": "2"})["event"]
    assert event["predicted"] == CLASSES[0]


def test_the_share_of_audited_pictures_stays_once_there_are_pictures(tmp_path):
    with Store.open(tmp_path, CLASSES, audit_share=0.2):
        pass
    with Store.open(tmp_path, audit_share=0.3) as store:
        bare(store, 2)
    with Store.open(tmp_path, audit_share=0.3):
        pass
    with pytest.raises(LabellingError, match=r"audit_share=0.5: .* with 0.3"):
        Store.open(tmp_path, audit_share=0.5)
    with Store.open(tmp_path) as store:
        assert store.audit.settings()["audit_share"] == 0.3


@pytest.mark.parametrize("given", [{"target": 1}, {"level": 0}, {"retrain_after": 0}])
def test_settings_that_cannot_be_are_refused(tmp_path, given):
    with Store.open(tmp_path) as store, pytest.raises(LabellingError, match="expected"):
        LabellingLoop(store, Plain(), **given)


# --- the head and its features --------------------------------------------------------------------


def test_the_head_is_penalised_softmax_regression():
    rng = np.random.default_rng(0)
    y = np.arange(120) % 4
    x = (rng.normal(0, 1, (120, 6)) + 2 * np.eye(4, 6)[y]).astype(np.float32) * 3 + 7
    head = learner.train(x, y, ["a", "b", "c", "d"])
    spread = np.sqrt(np.square(x - x.mean(axis=0)).mean())
    oracle = LogisticRegression(C=1 / learner.PENALTY, tol=1e-8, max_iter=1000)
    scaled = (x - x.mean(axis=0)) / spread
    expected = oracle.fit(scaled, y).predict_proba(scaled)
    assert np.abs(head.predict_proba(x) - expected).max() < 0.01


def test_classes_without_labels_are_left_out_and_one_class_is_too_few():
    x = np.random.default_rng(0).random((10, 3), np.float32)
    head = learner.train(x, np.array([0, 2] * 5), ["a", "b", "c"])
    assert head.classes == ("a", "c")
    assert head.predict_proba(x).shape == (10, 2)
    with pytest.raises(LabellingError, match="two or more"):
        learner.train(x, np.zeros(10, int), ["a", "b"])
    with pytest.raises(LabellingError, match="not finite"):
        learner.train(x * np.nan, np.array([0, 2] * 5), ["a", "b", "c"])


def test_a_head_is_read_back_and_one_for_other_features_is_not(tmp_path):
    x = np.random.default_rng(0).random((10, 3), np.float32)
    head = learner.train(x, np.arange(10) % 2, ["a", "Ω"], "these features")
    path = learner.save(head, tmp_path)
    again = learner.load(path, "these features")
    assert again.classes == head.classes
    assert (again.predict_proba(x) == head.predict_proba(x)).all()
    with pytest.raises(LabellingError, match="other features"):
        learner.load(path, "those")
    with pytest.raises(LabellingError, match="missing"):
        learner.load(tmp_path / "none.npz", "these features")


def test_a_damaged_file_of_features_is_computed_again(tmp_path):
    store, _ = project(tmp_path / "project", n=6)
    with store:
        names = store.reader.snapshot()["sha256"].tolist()
        cache = FeatureCache(tmp_path / "kept", Plain())
        cache.compute(names[:3], store.files.picture)
        cache.compute(names, store.files.picture)
        rows = cache.get(names)
        one, _ = sorted((tmp_path / "kept").rglob("*.npz"))
        one.write_bytes(one.read_bytes()[: one.stat().st_size // 2])
        again = FeatureCache(tmp_path / "kept", Plain())
        assert len(again) == 3
        again.compute(names, store.files.picture)
        assert (again.get(names) == rows).all()
        # Two files become one.
        assert len(FeatureCache(tmp_path / "kept", Plain())) == 6
        assert len(list((tmp_path / "kept").rglob("*.npz"))) == 1


def test_pictures_of_any_size_and_kind_become_what_the_network_takes(tmp_path):
    for i, (mode, size) in enumerate([("L", (5, 90)), ("RGB", (32, 32)), ("1", (8, 8))]):
        Image.new(mode, size, 1).save(tmp_path / f"{i}.png")
        assert features.read_picture(tmp_path / f"{i}.png", (32, 48)).shape == (32, 48, 3)


def test_advice_says_what_is_known_and_no_more():
    right = np.ones(29, bool)
    assert "29 labels to learn from" in learner.advice(right, right)
    rng = np.random.default_rng(0)
    now = rng.random(400) < 0.9
    assert "little" in learner.advice(now, now)
    before = now & (np.arange(400) % 4 > 0)
    text = learner.advice(before, now)
    assert f"{np.mean(before):.1%} of the others right, with two thirds {np.mean(now):.1%}" in text
    gone = 1 - np.count_nonzero(~now) / np.count_nonzero(~before)
    assert f"again, 400, should take away about {gone:.0%} of its errors" in text
    assert "about 99% of its errors" in learner.advice(np.zeros(400, bool), np.ones(400, bool))


def test_out_of_fold_learns_from_a_third_or_two_and_never_from_the_item():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = (rng.normal(0, 1, (90, 4)) + 3 * np.eye(3, 4)[y]).astype(np.float32)
    right = [np.mean(learner.out_of_fold(x, y, CLASSES, n) == y) for n in (1, 2)]
    assert 0.7 < right[0] <= right[1] < 1
    # Labels without sense are not learnt by heart.
    random = rng.integers(0, 3, 90)
    assert np.mean(learner.out_of_fold(x, random, CLASSES) == random) < 0.6
    # One class is no reason to say nothing.
    assert (learner.out_of_fold(x, np.ones(90, int), CLASSES) == 1).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_advice_is_the_same_whether_numbers_follow_classes_or_not(tmp_path, n_classes):
    said = {}
    for by_class in (False, True):
        store = Store.open(tmp_path / str(by_class), CLASSES[:n_classes], seed=0, audit_share=0)
        rng = np.random.default_rng(0)
        names = [CLASSES[i * n_classes // 150 if by_class else i % n_classes] for i in range(150)]
        truth = {add(store, name, rng): name for name in names}
        with store:
            loop = LabellingLoop(store, Plain(), retrain_after=10, pause_s=0)
            label(store, truth, 150)
            loop.work(train=True)
            said[by_class] = loop.status().advice
    # All is easy here: no class is unknown to a model because its pictures came last.
    for advice in said.values():
        assert "With a third of the 150 labels" in advice
        assert "little" in advice


def test_after_a_restart_labels_that_the_model_has_not_seen_are_new(begun):
    store, truth, loop = begun
    label(store, truth, 40)
    loop.work(train=True)
    n_trained = store.models.present().n_trained
    same = LabellingLoop(store, Plain(), retrain_after=1000, pause_s=0)
    same.work()
    assert same.status().n_new == 0
    assert same.status().advice == loop.status().advice  # not forgotten either
    label(store, truth, 30)
    now = store.reader.snapshot()
    n_labels = int(((now["label"] >= 0) & ~now["audit"]).sum())
    assert n_labels >= n_trained + 10
    again = LabellingLoop(store, Plain(), retrain_after=10, pause_s=0)
    again.work()
    assert again.status().n_trained == n_labels


def test_how_a_model_does_on_the_audit_slice_is_told_once_it_was_asked_about(certain):
    store, truth, loop = certain
    label_audit(store, truth, 100)
    assert loop.status().audit_labelled == 0  # no model has predicted anything
    loop.work(train=True)
    status = loop.status()
    assert (status.audit_is_present, status.audit_labelled) == (False, 0)
    label(store, truth, 10)
    status = loop.status()
    assert (status.audit_is_present, status.audit_labelled) == (False, 10)
    assert "the models of the time had" in str(model_text(status))
    assert loop.auditor.certify().threshold is not None
    status = loop.status()
    assert (status.audit_is_present, status.audit_labelled) == (True, 110)
    assert "random it has" in str(model_text(status))
    truth[add(store, "mid", np.random.default_rng(5))] = "mid"
    loop.work()  # the same model, more pictures: what is known stays so
    assert loop.status().audit_is_present
    label(store, truth, 30)
    ids = store.reader.snapshot()["id"]
    sure(store, ids)
    assert not loop.status().audit_is_present


def test_a_slice_that_is_too_small_for_ever_is_said_with_the_way_out(slice_of):
    store, ids = slice_of(300, audit_share=0.1)
    sure(store, ids)
    n = len(audited(store, ids))
    auditor = Auditor(store)
    permission = auditor.permission()
    lacking = permission.missing - n
    text = f"only {n} pictures, so label by hand; or add about {math.ceil(lacking / 0.1):,} "
    assert text in permission.reason
    for item in audited(store, ids):
        store.queue.label("ann", item, "dark")
    assert auditor.permission().missing == lacking
    assert text in auditor.permission().reason
    bare(store, 2500)
    assert "come by themselves" in auditor.permission().reason
    # After a refusal too: errors need more labels than the slice has.
    store, ids = slice_of(600)
    sure(store, ids)
    for k, item in enumerate(store.audit.answers()["id"].tolist()):
        store.queue.label("ann", item, "light" if k % 30 == 0 else "dark")
    auditor = Auditor(store)
    refused = auditor.certify()
    assert refused.missing > 0
    n = len(audited(store, ids))
    reason = auditor.permission().reason
    assert reason.startswith(refused.sentence()[:40])
    assert f"only {n} pictures" in reason
    store, ids = slice_of(20, audit_share=0)
    sure(store, ids)
    assert "has no audit slice" in Auditor(store).permission().reason
