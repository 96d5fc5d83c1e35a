"""Pictures that a model has not seen the like of: asked about, not labelled; then as decided."""

import io
import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from label_helpers import encoded, until
from PIL import Image

from alutils.data.mnist import mnist_article
from alutils.labelling.finish import certificates
from alutils.labelling.finish.project import Finish
from alutils.labelling.model.desk import Desk
from alutils.labelling.model.loop import LabellingLoop
from alutils.labelling.model.settings import Learning
from alutils.labelling.store.records import ConflictError, LabellingError
from alutils.labelling.store.store import Store
from alutils.labelling.web import pictures
from alutils.labelling.web.app import create_app
from alutils.labelling.web.security import access
from alutils.models.backbones import extractor
from alutils.models.picture_models import FeatureModel
from alutils.models.seen import Seen
from alutils.models.softmax_penalised import PenalisedSoftmax

CLASSES = tuple("0123456789")


class Pixels:
    """The pixels as features: enough for digits, in milliseconds."""

    identity, size = "pixels of a test", (32, 32)

    def __call__(self, pictures):
        small = pictures.reshape(len(pictures), 16, 2, 16, 2, 3).mean(axis=(2, 4, 5))
        return small.reshape(len(pictures), -1).astype(np.float32) / 255


def digits():
    return mnist_article()[0]


def taught(images=None, n=400):
    """Return a model that has learned from the last digits."""
    data = digits().take(np.arange(len(digits()) - n, len(digits())))
    images = data.images if images is None else images(data.images)
    reads = extractor(Pixels())
    x = reads(np.stack([reads.prepare(each) for each in images]))
    learned = PenalisedSoftmax().fit(x, data.labels)
    return FeatureModel(reads, learned.head, list(CLASSES), n, Seen.of(images))


def fill(store, images, first=0):
    """Add pictures, called by their number; return their numbers in the project."""
    found = []
    for i, image in enumerate(images, first):
        picture = pictures.decode(encoded(Image.fromarray(np.asarray(image))), f"{i:04}.png")
        found.append(store.pictures.add(*picture.to_keep(), "folder"))
    return found


def truth(store, item):
    return str(digits().labels[int(store.reader.item(item).name[:4])])


def looped(store, model=None, **options):
    options = {"retrain_after": 30, "pause_s": 0, "beside": False} | options
    folder = None if model is None else "brought"
    return LabellingLoop(store, Learning(Pixels(), **options), folder, load=lambda _: model)


def kinds(loop):
    return [each.kind for each in loop.training.reading.state.questions]


def n_right(store):
    items = [each for each in store.reader.page(limit=1000).items if each.predicted]
    return sum(each.predicted == truth(store, each.id) for each in items), len(items)


def mixed(images, every, change):
    return [change(each) if i % every == 0 else each for i, each in enumerate(images)]


CHANGES = {
    "negatives": (lambda x: 255 - x, "background"),
    "levels 0 and 1": (lambda x: x // 128, "levels"),
    "12 bit in 16": (lambda x: x // 16, "levels"),
}


@pytest.fixture
def store():
    memory = Path("/dev/shm")  # thousands of syncs to a busy disk take long
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        Store.open(Path(folder) / "digits", CLASSES, seed=0, random_rate=0, twice=0) as store,
    ):
        yield store


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("every", [1, 2])
def test_what_a_model_has_not_seen_waits_for_a_decision_and_is_then_read_rightly(
    store, name, every, caplog
):
    change, kind = CHANGES[name]
    fill(store, mixed(digits().images[:80], every, change))
    loop = looped(store, taught())
    with caplog.at_level(logging.WARNING, "alutils"):
        loop.work()
    assert kinds(loop) == [kind] and loop.training.reading.state.holds
    assert loop.training.reading.why in caplog.text
    assert n_right(store) == (0, 0)  # nothing to accept by Enter
    assert not store.models.auto_label_single("Ada", 1, 0.0)
    attempt = Finish(store, loop)
    for act in (lambda: attempt.forecast(), lambda: attempt.plan(0.95, person="Ada")):
        with pytest.raises(LabellingError, match="above the picture"):
            act()
    (question,) = loop.training.reading.state.questions
    Desk(store, loop).answer(
        "reading_decide", "Ada", {"kind": kind, "choice": question.ways[0]["choice"]}
    )
    assert loop.training.reading.is_due
    loop.work()
    assert kinds(loop) == [] and not loop.training.reading.state.holds
    right, n = n_right(store)
    assert n == 80 and right > 60
    (decided,) = loop.training.reading.state.decided
    assert decided["person"] == "Ada" and decided["kind"] == kind


def test_a_question_stays_though_others_learn_here_meanwhile(store):
    fill(store, 255 - digits().images[:60])
    loop = looped(store, taught(), retrain_after=20)
    loop.work()
    for item in store.queue.hand_out("Ada", 40):
        store.queue.label("Ada", item.id, truth(store, item.id))
    loop.work()
    assert loop.training.at_work.name == "quick"  # it has seen such pictures; still nobody decided
    assert kinds(loop) == ["background"] and n_right(store) == (0, 0)
    loop.training.reading.decide("Ada", "background", "as-they-are")
    loop.work()
    assert n_right(store)[1] == 60


@pytest.mark.parametrize("name", ["e\u0301", "a\u200b"])
def test_a_model_whose_classes_are_written_in_another_form_is_given_up_with_the_reason(
    tmp_path, name
):
    model = taught()
    model.classes = (name, *model.classes[1:])
    with Store.open(tmp_path / "p") as other:
        fill(other, digits().images[:3])
        loop = looped(other, model)
        loop.work()
        assert "The model cannot be used" in loop.status().problem
        assert other.classes.all() == []


def test_as_they_are_is_a_decision_and_can_be_changed(store):
    fill(store, 255 - digits().images[:60])
    loop, desk = looped(store, model := taught()), None
    loop.work()
    desk = Desk(store, loop)
    desk.answer("reading_decide", "Ada", {"kind": "background", "choice": "as-they-are"})
    loop.work()
    right, n = n_right(store)
    assert n == 60 and right < 30  # the model reads what it has never seen
    desk.answer("reading_decide", "Bob", {"kind": "background", "choice": None})
    assert n_right(store) == (0, 0)  # at once: what was said holds no more
    loop.work()
    assert kinds(loop) == ["background"] and n_right(store) == (0, 0)
    desk.answer("reading_decide", "Bob", {"kind": "background", "choice": "invert"})
    again = looped(store, model)  # what was decided outlives the program
    again.work()
    assert kinds(again) == [] and n_right(store)[0] > 45
    assert again.training.reading.state.decided[0]["person"] == "Bob"


def test_a_few_odd_pictures_are_set_aside_by_themselves(store):
    fill(store, mixed(digits().images[:100], 33, lambda x: 255 - x))
    loop = looped(store, taught())
    loop.work()
    state = loop.training.reading.state
    assert kinds(loop) == ["background"] and not state.holds and state.set_aside == 4
    odd = [each for each in store.reader.page(limit=200).items if not each.predicted]
    assert [each.name for each in odd] == ["0000.png", "0033.png", "0066.png", "0099.png"]
    assert not store.models.auto_label_single("Ada", odd[0].id, 0.0)
    (question,) = state.questions
    assert question.text.startswith("4 of 100 pictures are dark on light")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_folder_that_mixes_both_is_asked_about_before_there_is_a_model(store, name):
    change, kind = CHANGES[name]
    items = fill(store, mixed(digits().images[:90], 2, change))
    loop = looped(store)
    loop.work()
    assert kinds(loop) == [kind] and loop.training.reading.state.holds
    for item in store.queue.hand_out("Ada", 60):
        store.queue.label("Ada", item.id, truth(store, item.id))
    loop.work()
    assert n_right(store) == (0, 0)  # it has learned, and offers nothing
    way = loop.training.reading.state.questions[0].ways[0]["choice"]
    loop.training.reading.decide("Ada", kind, way)
    loop.work()
    right, n = n_right(store)
    assert n == len(items) and right > 60
    fill(store, mixed(digits().images[90:120], 2, change), 90)  # later ones are read alike
    loop.work()
    assert kinds(loop) == [] and n_right(store)[1] == len(items) + 30


def turned_letters(images):
    return images.transpose(0, 2, 1)


@pytest.mark.parametrize("change", [turned_letters, lambda x: x[:, :, ::-1]], ids=["T", "mirror"])
def test_pictures_that_lie_in_another_way_are_asked_about(store, change):
    fill(store, change(digits().images[:120]))
    loop = looped(store, taught(n=800))
    loop.work()
    assert kinds(loop) == ["turned"] and n_right(store) == (0, 0)
    loop.training.reading.decide("Ada", "turned", "as-they-are")
    loop.work()
    assert n_right(store)[1] == 120


@pytest.mark.slow
def test_pictures_that_came_later_and_differ_stay_a_question_until_it_is_decided(store):
    fill(store, digits().images[:200])
    loop = looped(store, retrain_after=10)
    loop.work()
    for item in store.queue.hand_out("Ada", 80):
        store.queue.label("Ada", item.id, truth(store, item.id))
    loop.work()
    assert kinds(loop) == [] and n_right(store)[1] == 200
    late = fill(store, turned_letters(digits().images[200:280]), 200)
    loop.work()
    assert kinds(loop) == ["turned"]
    for item in late[:20]:  # some of them are labelled meanwhile, and learned from
        store.queue.claim("Ada", item)
        store.queue.label("Ada", item, truth(store, item))
    loop.work()
    assert kinds(loop) == ["turned"] and n_right(store) == (0, 0)
    again = looped(store, retrain_after=10)
    again.work()
    assert kinds(again) == ["turned"]
    again.training.reading.decide("Ada", "turned", "as-they-are")
    again.work()
    assert kinds(again) == [] and n_right(store)[1] == 280


@pytest.mark.slow
def test_ordinary_pictures_are_never_asked_about(store):
    fill(store, digits().images[:200])
    loop = looped(store, taught())
    loop.work()
    assert kinds(loop) == [] and n_right(store)[1] == 200
    for item in store.queue.hand_out("Ada", 60):
        store.queue.label("Ada", item.id, truth(store, item.id))
        if item.id % 20 == 0:
            loop.work()
            assert kinds(loop) == []
    fill(store, digits().images[200:260], 200)
    loop.work(train=True)
    assert kinds(loop) == [] and n_right(store)[1] == 260


@pytest.mark.slow
def test_a_decision_is_checked_and_frozen_while_an_attempt_goes_on(store):
    fill(store, mixed(digits().images[:300], 2, lambda x: 255 - x))
    loop = looped(store, taught(n=800))
    desk = Desk(store, loop)
    loop.work()
    for request, text in (
        ({"kind": "colour", "choice": "grey"}, "expected what is asked: background"),
        ({"kind": "background", "choice": "grey"}, "expected one of invert-where-needed"),
        ({"kind": "background", "choice": None}, "nothing was decided"),
        ({"kind": ["x"], "choice": "grey"}, "expected two texts"),
        ({"kind": "background", "choice": {}}, "expected two texts"),
    ):
        with pytest.raises(LabellingError, match=text):
            desk.answer("reading_decide", "Ada", request)
    assert store.readings.decided() == {}
    loop.training.reading.decide("Ada", "background", "invert-where-needed")
    for item in store.queue.hand_out("Ada", 60):
        store.queue.label("Ada", item.id, truth(store, item.id))
    loop.work(train=True)
    attempt = Finish(store, loop)
    attempt.plan(0.6, person="Ada")
    with pytest.raises(ConflictError, match="goes on"):
        loop.training.reading.decide("Ada", "background", None)
    while store.plans.open() is not None:
        for item in attempt.next("Ada", 50):
            attempt.answer("Ada", item.id, truth(store, item.id))
    certificate = attempt.certificate()
    assert certificate is not None
    said = certificate["terms"]["reading"]
    assert said == ["Pictures that are dark on light are inverted for the model."]
    assert said[0] in certificates.as_page(certificate)


def test_scores_that_were_computed_before_a_decision_are_not_written_after_it(store):
    fill(store, mixed(digits().images[:60], 2, lambda x: 255 - x))
    loop = looped(store, taught())
    loop.work()
    loop.training.reading.decide("Ada", "background", "as-they-are")
    loop.work()
    assert n_right(store)[1] == 60
    made = loop.training.at_work.probabilities

    def meanwhile(*arguments):  # somebody wants to be asked again while it computes
        loop.training.reading.decide("Ada", "background", None)
        return made(*arguments)

    loop.training.at_work.probabilities = meanwhile
    fill(store, digits().images[60:61], 60)
    assert not loop.work()
    assert n_right(store) == (0, 0)
    loop.training.at_work.probabilities = made
    loop.work()
    assert kinds(loop) == ["background"] and n_right(store) == (0, 0)


def test_the_network_beside_the_queue_sees_the_same(store, tmp_path):
    from alutils.labelling.model import beside_work, strong
    from alutils.models.conversion import Conversion

    fill(store, 255 - digits().images[:6])
    conversion = Conversion(("invert-where-needed",), ground="dark")
    sha256 = store.reader.snapshot()["sha256"].tolist()
    settings = strong.Settings(5, (28, 28), False, conversion=conversion)
    none = np.empty(0, np.int64)
    files = [str(store.files.picture(each)) for each in sha256]
    strong.Job(settings, files, sha256, np.empty((0, 0)), none, none, none, []).write(tmp_path)
    job = strong.Job.read(tmp_path)
    assert job.settings == settings
    for seen, image in zip(beside_work._pictures(job), digits().images, strict=False):
        assert np.array_equal(seen, image)


# --- on the pages ---------------------------------------------------------------------------------


@pytest.fixture
def browser(store):
    """Return a function that signs in at a project whose models work in the background."""
    loops = []

    def begin(model=None):
        loop = looped(store, model)
        app = create_app(store, loop, access=access("127.0.0.1", bytes(32)), threshold=0.2)
        app.config["WTF_CSRF_ENABLED"] = False
        client = app.test_client()
        client.post("/who", data={"name": "Ada"})
        loop.start()
        loops.append(loop)
        return client, loop

    yield begin
    for loop in loops:
        loop.stop()


def chosen(image, name="x.png"):
    return {"file": (io.BytesIO(encoded(Image.fromarray(image))), name)}


def test_one_picture_of_another_kind_is_not_filed_but_asked_about(store, browser):
    client, loop = browser(taught())
    page = client.post("/one", data=chosen(255 - digits().images[0], "0000.png"))
    page = client.get(page.location)
    until(lambda: kinds(loop) == ["background"])
    page = client.get("/one/1")
    assert store.reader.item(1).label is None
    assert (
        "This picture is dark on light" in page.text and "Invert those for the model" in page.text
    )
    assert "Prediction is" not in page.text
    decided = {"kind": "background", "choice": "invert-where-needed", "next": "/one/1"}
    answer = client.post("/reading", data=decided)
    assert answer.location == "./one/1"
    until(lambda: store.reader.item(1).predicted is not None)
    client.post("/one/1", data={})
    filed = store.reader.item(1)
    assert filed.label == filed.predicted and filed.label_source == "auto"
    assert "inverted for the model" in client.get("/one").text
    for i in range(1, 6):  # and from then on without a question, both kinds
        image = digits().images[i]
        client.post("/one", data=chosen(255 - image if i % 2 else image, f"{i:04}.png"))
    until(lambda: all(store.reader.item(i).predicted for i in range(1, 7)))
    assert kinds(loop) == []
    client.post("/reading", data={"kind": "background", "again": "1"})
    until(lambda: kinds(loop) == ["background"])


def test_the_status_tells_programs_what_is_asked_and_decided(store, browser):
    fill(store, digits().images[:40] // 128)
    client, _ = browser(taught())
    until(lambda: client.get("/api/status").json["reading"]["questions"])
    told = client.get("/api/status").json["reading"]
    assert told["holds"] and told["set_aside"] == 40
    (question,) = told["questions"]
    assert [way["choice"] for way in question["ways"]] == ["stretch-where-needed", "as-they-are"]
    answer = client.post("/api/finish_plan", json={"target": 0.95})
    assert answer.status_code == 400 and "above the picture" in answer.json["error"]
    answer = client.post("/api/reading_decide", json={"kind": "levels", "choice": "as-they-are"})
    assert answer.status_code == 200
    until(lambda: not client.get("/api/status").json["reading"]["questions"])
    assert json.loads(store.database.setting("reading"))["levels"]["person"] == "Ada"


def test_without_a_model_nothing_is_read(store):
    assert Desk(store).status()["reading"] is None
    with pytest.raises(LabellingError, match="without a model"):
        Desk(store).answer("reading_decide", "Ada", {"kind": "levels", "choice": None})
